// Vehicles on the map: HTML markers that glide from fix to fix.

import * as fleet from "./fleet.js";
import * as selection from "./selection.js";

const LONGEST_GLIDE_MS = 2000;
const JUMP_DEG = 0.02; // about 2 km: a gap in the data, not a drive to be shown
const still = matchMedia("(prefers-reduced-motion: reduce)");
const QUIET = ["live", "parked"]; // the sign is enough; the others are named as well
const STILL = ["parked", "silent", "stuck", "offline"]; // a heading would say that it drives

/** The parts of a vehicle's marker; `onClick` is called when somebody clicks it. */
export function element(onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "van-marker";
  const arrow = document.createElement("span");
  arrow.className = "arrow";
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.setAttribute("aria-hidden", "true");
  const sign = document.createElementNS("http://www.w3.org/2000/svg", "use");
  icon.append(sign);
  arrow.append(icon);
  const label = document.createElement("span");
  label.className = "label";
  button.append(arrow, label);
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    onClick();
  });
  return { element: button, icon, sign, label };
}

/** Shows a state by shape, word and colour; a heading (degrees, or null) only where it says that the vehicle drives. */
export function dress({ element: button, icon, sign, label }, { code, state, heading, busy }) {
  button.dataset.state = state;
  button.dataset.busy = busy ? "yes" : "no";
  const turned = STILL.includes(state) ? null : heading;
  sign.setAttribute("href", turned === null ? `#i-${state}` : "#i-heading");
  icon.style.transform = turned === null ? "" : `rotate(${turned}deg)`;
  label.textContent = code + (QUIET.includes(state) ? "" : ` · ${state}`);
  button.setAttribute("aria-label", `Vehicle ${code}, ${state}${busy ? ", on a trip" : ""}`);
}

/** Keeps one marker a vehicle, or that of one vehicle `only`. `onPick(code)` is called when somebody clicks one. */
export class Markers {
  constructor(map, Marker, onPick, only = null) {
    this.map = map;
    this.Marker = Marker;
    this.onPick = onPick;
    this.only = only;
    this.byCode = new Map();
    this.gliding = new Set();
    this.frame = 0;
    for (const vehicle of fleet.all()) this.show(vehicle);
    fleet.onChange((vehicle) => this.show(vehicle));
    selection.onChange((selected) => this.choose(selected.vehicle));
  }

  show(vehicle) {
    if (this.only && vehicle.code !== this.only) return;
    if (vehicle.gone) {
      this.byCode.get(vehicle.code)?.marker.remove();
      this.byCode.delete(vehicle.code);
      return;
    }
    if (!vehicle.position) return;
    const entry = this.byCode.get(vehicle.code) ?? this.make(vehicle);
    const { code, state, position, trip } = vehicle;
    dress(entry, { code, state, heading: position.heading_deg, busy: Boolean(trip) });
    this.glide(entry, [vehicle.position.lon, vehicle.position.lat]);
  }

  make(vehicle) {
    const parts = element(() => this.onPick(vehicle.code));
    const at = [vehicle.position.lon, vehicle.position.lat];
    const marker = new this.Marker({ element: parts.element, anchor: "top", offset: [0, -15] }).setLngLat(at).addTo(this.map);
    const entry = { ...parts, marker, at, from: at, to: at, began: 0, lasts: 0, heard: performance.now() };
    this.byCode.set(vehicle.code, entry);
    this.choose(selection.current().vehicle);
    return entry;
  }

  /** Goes on to the new place in about the time that the vehicle needed for it. */
  glide(entry, to) {
    if (to[0] === entry.to[0] && to[1] === entry.to[1]) return;
    const now = performance.now();
    const far = Math.max(Math.abs(to[0] - entry.at[0]), Math.abs(to[1] - entry.at[1])) > JUMP_DEG;
    entry.from = entry.at;
    entry.to = to;
    entry.began = now;
    entry.lasts = far || still.matches || document.hidden ? 0 : Math.min(now - entry.heard, LONGEST_GLIDE_MS);
    entry.heard = now;
    this.gliding.add(entry);
    this.frame ||= requestAnimationFrame((time) => this.advance(time));
  }

  advance(time) {
    this.frame = 0;
    for (const entry of this.gliding) {
      const share = entry.lasts ? Math.min(1, Math.max(0, (time - entry.began) / entry.lasts)) : 1;
      entry.at = entry.from.map((start, axis) => start + (entry.to[axis] - start) * share);
      entry.marker.setLngLat(entry.at);
      if (share === 1) this.gliding.delete(entry);
    }
    if (this.gliding.size) this.frame = requestAnimationFrame((next) => this.advance(next));
  }

  choose(code) {
    for (const [own, entry] of this.byCode) {
      entry.element.classList.toggle("chosen", own === code);
      entry.element.setAttribute("aria-pressed", String(own === code));
    }
  }
}
