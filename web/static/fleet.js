// The vehicles as the page knows them: loaded as a whole, then moved by live events.

const { staleS, silentS } = document.body.dataset;
const vehicles = new Map();
const listeners = new Set();

export const all = () => [...vehicles.values()];
export const find = (code) => vehicles.get(code);
export const onChange = (listener) => listeners.add(listener);

function tell(vehicle) {
  for (const listener of listeners) listener(vehicle);
}

/** live, stale, silent or never, by the age of the newest fix; the same rule as `state_of` on the server. */
export function stateOf(vehicle, now = Date.now()) {
  if (!vehicle.position) return "never";
  const age = (now - Date.parse(vehicle.position.at)) / 1000;
  if (age >= Number(silentS)) return "silent";
  return age >= Number(staleS) ? "stale" : "live";
}

/** Asks for the whole state; a position that came over the live connection meanwhile stays if it is newer. */
export async function load() {
  const answer = await fetch("/api/v1/vehicles");
  if (!answer.ok) return;
  const { items } = await answer.json();
  const seen = new Set();
  for (const item of items) {
    const known = vehicles.get(item.code)?.position;
    if (known && (!item.position || known.at > item.position.at)) item.position = known;
    vehicles.set(item.code, item);
    seen.add(item.code);
  }
  for (const code of [...vehicles.keys()].filter((code) => !seen.has(code))) {
    vehicles.delete(code);
    tell({ code, gone: true });
  }
  for (const item of items) tell(item);
}

/** One live position. A vehicle that the page does not know yet asks for the whole state. */
export function moved(data) {
  const code = data.code ?? data.vehicle;
  const vehicle = vehicles.get(code);
  if (!vehicle) return void load();
  if (vehicle.position && Date.parse(data.at) < Date.parse(vehicle.position.at)) return;
  vehicle.position = {
    at: data.at, lat: data.lat, lon: data.lon, speed_kmh: data.speed_kmh ?? null, heading_deg: data.heading_deg ?? null,
  };
  tell(vehicle);
}

/** The counts of the strip, which go on with time and not only with events. */
export function tick() {
  const counts = { live: 0, stale: 0, silent: 0 };
  for (const vehicle of vehicles.values()) {
    const state = stateOf(vehicle);
    counts[state === "never" ? "silent" : state] += 1;
    if (vehicle.shown !== state) {
      vehicle.shown = state;
      tell(vehicle);
    }
  }
  if (!vehicles.size) return;
  for (const [state, count] of Object.entries(counts)) {
    const element = document.getElementById(`count-${state}`);
    if (!element || element.textContent === String(count)) continue;
    element.textContent = String(count);
    if (element.parentElement.dataset.some) element.parentElement.dataset.some = count ? "yes" : "no";
  }
}
