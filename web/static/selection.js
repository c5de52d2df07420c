// What is selected: a trip, a vehicle, or both when they belong together. Board and map follow it.

let selected = { trip: null, vehicle: null };
const listeners = new Set();

export const current = () => selected;
export const onChange = (listener) => listeners.add(listener);

/** Selects; the same once more selects nothing. `from` says which side asked, so that it need not jump. */
export function select(trip, vehicle, from) {
  const same = selected.trip === trip && selected.vehicle === vehicle;
  selected = same ? { trip: null, vehicle: null } : { trip, vehicle };
  for (const listener of listeners) listener(selected, from);
}

/** Selects a trip that may not be on the page yet; nothing is taken back. */
export function pick(trip) {
  selected = { trip, vehicle: null };
  for (const listener of listeners) listener(selected, "pick");
}

export function clear() {
  if (selected.trip || selected.vehicle) {
    selected = { trip: null, vehicle: null };
    for (const listener of listeners) listener(selected, "clear");
  }
}
