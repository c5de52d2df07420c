// The vehicles as the page knows them: loaded as a whole, then moved by live events.

const MAY_BE_HIDDEN = ["parked", "stuck", "offline"];
const vehicles = new Map();
const listeners = new Set();

export const all = () => [...vehicles.values()];
export const find = (code) => vehicles.get(code);
export const onChange = (listener) => listeners.add(listener);

function tell(vehicle) {
  for (const listener of listeners) listener(vehicle);
}

/** Asks for the whole state; what came over the live connection meanwhile is newer and stays. */
export async function load() {
  const asked = performance.now();
  const answer = await fetch("/api/v1/vehicles");
  if (!answer.ok) return;
  const { items } = await answer.json();
  const seen = new Set();
  for (const item of items) {
    const known = vehicles.get(item.code);
    if (known?.heard > asked) Object.assign(item, { position: known.position, state: known.state, heard: known.heard });
    vehicles.set(item.code, item);
    seen.add(item.code);
  }
  for (const code of [...vehicles.keys()].filter((code) => !seen.has(code))) {
    vehicles.delete(code);
    tell({ code, gone: true });
  }
  for (const item of items) tell(item);
}

/** One live position and the state with it, newest wins on the server already. A vehicle that the page does not know yet asks for the whole state. */
export function moved(data) {
  const code = data.code ?? data.vehicle;
  const vehicle = vehicles.get(code);
  if (!vehicle) return void load();
  vehicle.heard = performance.now();
  vehicle.state = data.state ?? vehicle.state;
  vehicle.position = {
    at: data.at, lat: data.lat, lon: data.lon, speed_kmh: data.speed_kmh ?? null, heading_deg: data.heading_deg ?? null,
  };
  tell(vehicle);
}

/** The counts of the strip, which change with live events too. */
export function tick() {
  if (!vehicles.size) return;
  const counts = { live: 0, stale: 0, silent: 0, stuck: 0, parked: 0, offline: 0 };
  for (const { state } of vehicles.values()) counts[state === "never" ? "silent" : state] += 1;
  for (const [state, count] of Object.entries(counts)) {
    const element = document.getElementById(`count-${state}`);
    if (!element || element.textContent === String(count)) continue;
    element.textContent = String(count);
    element.parentElement.dataset.some = count ? "yes" : "no";
    element.parentElement.hidden = !count && MAY_BE_HIDDEN.includes(state);
  }
}
