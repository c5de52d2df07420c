// The small panel of the selected vehicle: driver, trip, speed, time of the newest position.

import * as fleet from "./fleet.js";
import * as selection from "./selection.js";
import { ago, exact } from "./times.js";

const WORDS = {
  live: "Live", parked: "Parked", stale: "Stale", silent: "Silent", stuck: "Stuck: the same position again and again",
  offline: "Offline: its tracker lost the connection", never: "No position yet",
};
const panel = document.getElementById("vehicle-panel");

export function start() {
  if (!panel) return;
  document.getElementById("panel-close").addEventListener("click", () => selection.clear());
  selection.onChange(show);
  fleet.onChange((vehicle) => vehicle.code === selection.current().vehicle && show(selection.current()));
  setInterval(() => selection.current().vehicle && show(selection.current()), 1000);
}

function speed(kmh) {
  if (kmh === null || kmh === undefined) return "not reported";
  return document.body.dataset.units === "mile" ? `${Math.round(kmh / 1.609344)} mph` : `${Math.round(kmh)} km/h`;
}

function show({ vehicle: code }) {
  const vehicle = code && fleet.find(code);
  panel.hidden = !vehicle;
  if (!vehicle) return;
  const { state } = vehicle;
  document.getElementById("panel-title").textContent = vehicle.name && vehicle.name !== code ? `${code}, ${vehicle.name}` : code;
  const word = document.getElementById("panel-state");
  word.textContent = WORDS[state];
  word.dataset.state = state;
  const at = vehicle.position && new Date(vehicle.position.at);
  const facts = [
    ["Driver", vehicle.driver_name ?? vehicle.driver ?? "nobody under way"],
    ["Trip", vehicle.trip ? vehicle.trip.ref ?? `#${vehicle.trip.id}` : "none under way", vehicle.trip && `/trips/${vehicle.trip.id}`],
    ["Speed", speed(vehicle.position?.speed_kmh)],
    ["Position", at ? ago(at) : "never", null, at ? exact(at) : ""],
    ["Plate", vehicle.plate || "not known"],
    ["Carries", vehicle.levels.join(", ")],
  ];
  fill(document.getElementById("panel-facts"), facts);
}

function fill(list, facts) {
  const key = JSON.stringify(facts);
  if (list.dataset.shown === key) return; // what has focus in it stays as it is
  list.dataset.shown = key;
  list.replaceChildren(...facts.flatMap(([name, text, href, title]) => {
    const term = document.createElement("dt");
    term.textContent = name;
    const value = document.createElement("dd");
    const holder = href ? document.createElement("a") : value;
    if (href) {
      holder.href = href;
      value.append(holder);
    }
    holder.textContent = text;
    if (title) value.title = title;
    return [term, value];
  }));
}
