// A past hour on the map, played again: vehicles go from position to position as they did, at 1, 10 or 60 times the speed.

import * as basemap from "./basemap.js";
import { dress, element as markerElement } from "./markers.js";

const { units, zone } = document.body.dataset;
const FRAME_MS = 50;
const WORDS_MS = 250; // the list and the trail need not follow every frame
const FAR_S = 300; // Page Up and Page Down
const at = (id) => document.getElementById(id);
const clockFormat = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit" });

export async function show(library, map, holder, fit) {
  const { start, vehicle } = holder.dataset;
  if (!start) return;
  const asked = new URLSearchParams({ start, ...(vehicle && { vehicle }) });
  const answer = await fetch(`/api/v1/replay?${asked}`).catch(() => null);
  if (!answer?.ok) {
    at("replay-note").textContent = "The box did not answer with this hour. Load the page again.";
    return;
  }
  const player = new Player(library, map, await answer.json());
  fit(player.everywhere());
  player.choose(vehicle || null);
}

class Player {
  constructor(library, map, hour) {
    this.map = map;
    this.hour = hour;
    this.begin = Date.parse(hour.start);
    this.length = (Date.parse(hour.end) - this.begin) / 1000;
    this.t = 0;
    this.speed = 10;
    this.chosen = null;
    this.last = 0;
    this.drawn = 0;
    this.said = 0;
    this.entries = hour.vehicles.filter(({ points }) => points.length).map((vehicle) => this.entry(library, vehicle));
    this.wire();
    basemap.setLines(map, "driven", this.entries.map(({ line }) => line).filter((line) => line.length > 1));
    this.note();
    this.draw();
    this.say();
  }

  entry(library, vehicle) {
    const { code } = vehicle;
    const parts = markerElement(() => this.choose(this.chosen === code ? null : code));
    parts.element.classList.add("past");
    const button = document.createElement("button");
    button.type = "button";
    button.append(svg(), document.createElement("b"), document.createElement("span"), document.createElement("span"));
    const [, title, speed, by] = button.children;
    title.textContent = vehicle.name && vehicle.name !== code ? `${code}, ${vehicle.name}` : code;
    speed.className = "speed";
    by.className = "by";
    button.addEventListener("click", () => this.choose(this.chosen === code ? null : code));
    const row = document.createElement("li");
    row.append(button);
    at("replay-list").append(row);
    const line = vehicle.points.map(([, lat, lon]) => [lon, lat]);
    const marker = new library.Marker({ element: parts.element, anchor: "top", offset: [0, -15] });
    return { ...vehicle, ...parts, marker, shown: false, line, button, sign2: button.querySelector("use"), speedText: speed, by };
  }

  everywhere() {
    return this.entries.flatMap(({ line }) => line);
  }

  wire() {
    const slider = at("player-at");
    slider.max = String(this.length);
    slider.disabled = at("play").disabled = !this.entries.length;
    slider.addEventListener("input", () => this.go(Number(slider.value)));
    slider.addEventListener("keydown", (event) => {
      const far = { PageUp: FAR_S, PageDown: -FAR_S }[event.key];
      if (!far) return;
      event.preventDefault();
      this.go(this.t + far);
    });
    at("play").addEventListener("click", () => (this.playing ? this.pause() : this.play()));
    for (const input of document.querySelectorAll("[name=speed]")) {
      if (input.checked) this.speed = Number(input.value);
      input.addEventListener("change", () => { this.speed = Number(input.value); });
    }
  }

  get playing() {
    return at("play").getAttribute("aria-pressed") === "true";
  }

  play() {
    if (this.t >= this.length) this.t = 0;
    at("play").setAttribute("aria-pressed", "true");
    this.last = performance.now();
    requestAnimationFrame((now) => this.advance(now));
  }

  pause() {
    at("play").setAttribute("aria-pressed", "false");
    this.say();
  }

  go(t) {
    this.t = Math.min(this.length, Math.max(0, t));
    this.last = performance.now();
    this.draw();
    this.say();
  }

  advance(now) {
    if (!this.playing) return;
    if (now - this.drawn >= FRAME_MS) {
      this.t = Math.min(this.length, this.t + Math.max(0, (now - this.last) / 1000) * this.speed);
      this.last = now;
      this.drawn = now;
      this.draw();
      if (now - this.said >= WORDS_MS) {
        this.said = now;
        this.say();
      }
      if (this.t >= this.length) return void this.pause();
    }
    requestAnimationFrame((next) => this.advance(next));
  }

  /** Markers, slider and clock. */
  draw() {
    for (const entry of this.entries) {
      const now = this.where(entry);
      entry.now = now;
      if (Boolean(now) !== entry.shown) {
        entry.shown = Boolean(now);
        if (now) entry.marker.setLngLat(now.place).addTo(this.map);
        else entry.marker.remove();
      }
      if (!now) continue;
      entry.marker.setLngLat(now.place);
      dress(entry, { code: entry.code, state: now.state, heading: now.heading, busy: Boolean(this.ride(entry)) });
    }
    const clock = clockFormat.format(this.begin + this.t * 1000);
    at("replay-clock").textContent = clock;
    const slider = at("player-at");
    slider.value = String(this.t);
    slider.setAttribute("aria-valuetext", clock);
  }

  /** The list, and the trail of the chosen vehicle. */
  say() {
    for (const entry of this.entries) {
      const { now, button } = entry;
      const state = now?.state ?? "never";
      button.dataset.state = state;
      entry.sign2.setAttribute("href", `#i-${state === "never" ? "silent" : state}`);
      const ride = this.ride(entry);
      put(entry.speedText, now ? (state === "live" ? pace(now.speed) : state) : "not heard yet");
      put(entry.by, ride ? [ride.ref ?? `Trip #${ride.trip}`, ride.driver].filter(Boolean).join(", ") : "");
    }
    const entry = this.entries.find(({ code }) => code === this.chosen);
    const driven = entry?.now ? [...entry.line.slice(0, entry.now.index + 1), entry.now.place] : [];
    basemap.setLines(this.map, "trail", driven.length > 1 ? [driven] : []);
  }

  /** Where a vehicle was at the time shown: between two positions on the way, in a gap where it was last heard. */
  where({ points }) {
    if (this.t < points[0][0]) return null;
    let [low, high] = [0, points.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (points[middle][0] <= this.t) low = middle;
      else high = middle - 1;
    }
    const [from, lat, lon, speed, heading] = points[low];
    const next = points[low + 1];
    const pause = Math.max(this.hour.stale_s, 3 * this.hour.step_s);
    if (next && next[0] - from <= pause) {
      const share = (this.t - from) / (next[0] - from);
      return { index: low, place: [lon + (next[2] - lon) * share, lat + (next[1] - lat) * share], speed, heading, state: "live" };
    }
    const silent = this.t - from;
    const state = silent <= pause ? "live" : silent <= this.hour.silent_s ? "stale" : "silent";
    return { index: low, place: [lon, lat], speed, heading: state === "silent" ? null : heading, state };
  }

  ride({ rides }) {
    const now = this.begin + this.t * 1000;
    return rides.find(({ began, ended }) => Date.parse(began) <= now && (!ended || now <= Date.parse(ended)));
  }

  choose(code) {
    this.chosen = code;
    for (const entry of this.entries) {
      const own = entry.code === code;
      entry.button.setAttribute("aria-pressed", String(own));
      entry.element.setAttribute("aria-pressed", String(own));
      entry.element.classList.toggle("chosen", own);
      if (own && entry.now && !this.map.getBounds().contains(entry.now.place)) this.map.easeTo({ center: entry.now.place });
    }
    this.say();
  }

  note() {
    const { damaged_days: damaged, step_s: step } = this.hour;
    const said = [];
    if (!this.entries.length) said.push("No positions are stored of this hour. They are kept for a limited time; try another hour.");
    if (damaged.length) said.push(`Positions of ${damaged.join(" and ")} are damaged: some may be missing.`);
    if (step > 5) said.push(`With so many vehicles, positions stand ${step} s apart; choose one vehicle for all of its own.`);
    at("replay-note").textContent = said.join(" ");
  }
}

function svg() {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("aria-hidden", "true");
  made.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  return made;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function pace(kmh) {
  if (kmh === null) return "";
  return units === "mile" ? `${Math.round(kmh / 1.609344)} mph` : `${Math.round(kmh)} km/h`;
}
