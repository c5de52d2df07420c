// The page of one trip: its ride on the map, the doubtful positions beside it, and the page that follows what happens.

import * as basemap from "./basemap.js";
import * as fleet from "./fleet.js";
import { Markers } from "./markers.js";
import { Trail } from "./trail.js";

const WORDS = { rejected: "Rejected position", restored: "Restored position", outlier: "Outlier", kept: "Outlier, kept in the trail" };
const NEAR_DEG = 0.2;
const story = () => document.getElementById("trip-story");
const panel = document.getElementById("fix-panel");
const trip = document.getElementById("main").dataset.trip;

export async function show(library, map, fit) {
  const trail = new Trail(map);
  const doubts = new Doubts(library, map);
  await fleet.load();
  await followed(trail, map, doubts);
  const ride = [...trail.line, ...ends().map(({ lon, lat }) => [lon, lat])];
  fit([...ride, ...doubts.places().filter((place) => ride.some((other) => near(place, other)))]);
  if (story().dataset.running === "yes") new Markers(map, library.Marker, () => {}, story().dataset.vehicle);
  map.on("click", () => doubts.close());
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (detail.target.id === "trip-story" || detail.elt.id === "trip-story") followed(trail, map, doubts);
  });
  document.body.addEventListener("depot:refresh", refresh);
}

/** A doubtful position on another continent must not make the ride a dot. */
const near = (one, other) => Math.abs(one[0] - other[0]) < NEAR_DEG && Math.abs(one[1] - other[1]) < NEAR_DEG;

function ends() {
  const { pickup, dropoff, origin, destination } = story().dataset;
  return [[pickup, origin], [dropoff, destination]].filter(([at]) => at).map(([at, name]) => {
    const [lat, lon] = at.split(",").map(Number);
    return { lat, lon, name: name.split(",")[0] };
  });
}

/** What the map shows of the story as it stands on the page. */
async function followed(trail, map, doubts) {
  basemap.setPlaces(map, ends());
  doubts.show();
  const { vehicle, running } = story().dataset;
  await trail.ofTrip(trip, running === "yes" ? vehicle : null);
}

let asking = false;

/** Something happened in the depot: if it was this trip, the page takes it over. Not while somebody decides something. */
async function refresh() {
  if (asking || document.hidden || story().contains(document.activeElement)) return;
  asking = true;
  const answer = await fetch(`/api/v1/trips/${trip}`).catch(() => null);
  asking = false;
  if (answer?.ok && String((await answer.json()).version) !== story().dataset.version) htmx.trigger(story(), "trip:refresh");
}

const placeOf = (row) => row.dataset.place.split(",").map(Number).reverse();

/** A marker for each doubtful position; a click shows why, with the button of its row. */
class Doubts {
  constructor(library, map) {
    this.library = library;
    this.map = map;
    this.markers = [];
    story().parentElement.addEventListener("click", (event) => {
      const row = event.target.closest(".doubt");
      if (row && !event.target.closest("form")) this.open(row.dataset.key, true);
    });
  }

  rows() {
    return [...story().querySelectorAll(".doubt")];
  }

  places() {
    return this.rows().filter((row) => row.dataset.place).map(placeOf);
  }

  show() {
    const open = this.opened;
    for (const marker of this.markers) marker.remove();
    this.markers = this.rows().filter((row) => row.dataset.place).map((row) => this.marker(row));
    if (open) this.open(open, false);
  }

  marker(row) {
    const element = document.createElement("button");
    element.type = "button";
    element.className = `doubt-marker ${row.dataset.kind}`;
    element.dataset.key = row.dataset.key;
    const words = `${WORDS[row.dataset.kind]}, ${row.querySelector("time").textContent}`;
    element.title = words;
    element.setAttribute("aria-label", words);
    element.append(document.createElement("span"));
    element.addEventListener("click", (event) => {
      event.stopPropagation();
      this.open(row.dataset.key, false);
    });
    return new this.library.Marker({ element }).setLngLat(placeOf(row)).addTo(this.map);
  }

  /** By key: the rows are others after each decision. */
  open(key, come) {
    const row = this.rows().find((each) => each.dataset.key === key);
    this.opened = row ? key : null;
    for (const each of this.rows()) each.classList.toggle("chosen", each === row);
    for (const marker of this.markers) marker.getElement().classList.toggle("chosen", marker.getElement().dataset.key === key);
    panel.hidden = !row;
    if (!row) return;
    panel.className = `panel ${row.dataset.kind}`; // its mark is that of the row
    const close = document.createElement("button");
    close.type = "button";
    close.className = "plain panel-close";
    close.textContent = "×";
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", () => this.close());
    const title = document.createElement("h2");
    title.textContent = WORDS[row.dataset.kind];
    const head = document.createElement("header");
    head.append(title, close);
    panel.replaceChildren(head, ...[...row.querySelector(".doubt-said").children].map((child) => child.cloneNode(true)), ...this.decide(row));
    if (come && row.dataset.place && !this.map.getBounds().contains(placeOf(row))) this.map.easeTo({ center: placeOf(row) });
  }

  /** The button of the row again: there is one way to decide. */
  decide(row) {
    const form = row.querySelector("form");
    if (!form) return [];
    const button = form.querySelector("button").cloneNode(true);
    button.addEventListener("click", () => form.requestSubmit());
    return [button];
  }

  close() {
    this.open(null, false);
  }
}
