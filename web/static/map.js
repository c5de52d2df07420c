// The map: base map, vehicles, and the trail of what is selected.

import * as basemap from "./basemap.js";
import * as fleet from "./fleet.js";
import { Markers } from "./markers.js";
import * as panel from "./panel.js";
import * as selection from "./selection.js";
import { Trail, trailLine } from "./trail.js";

const { vendor, units } = document.body.dataset;
const MARGIN = 60;
const NAME_MARGIN = 110; // names stand at the right of their places
const DRIVEN_HOURS = 1;
const DRIVEN_VEHICLES = 20;
const DRIVEN_AGAIN_MS = 10 * 60 * 1000;
const WORLD = [[-170, -55], [170, 72]];

function stylesheet() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = `${vendor}maplibre-gl.css`;
  // Before our own, which goes on from it.
  document.head.prepend(link);
}

/** Fits all places given, [lon, lat] each; a single one at a street's distance. */
function fit(library, map, places, options = {}) {
  if (!places.length) return false;
  const bounds = new library.LngLatBounds();
  for (const place of places) bounds.extend(place);
  const right = map.getContainer().clientWidth > 4 * NAME_MARGIN ? NAME_MARGIN : MARGIN;
  map.fitBounds(bounds, { padding: { top: MARGIN, right, bottom: MARGIN, left: MARGIN }, maxZoom: 14, duration: 0, ...options });
  return true;
}

export async function start(element) {
  stylesheet();
  const [library, tiles] = await Promise.all([import(`${vendor}maplibre-gl.mjs`), basemap.tiles()]);
  const map = new library.Map({
    container: element, style: basemap.style(tiles), bounds: WORLD, attributionControl: false, dragRotate: false,
    pitchWithRotate: false, maxZoom: 18, fadeDuration: 0, renderWorldCopies: true,
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new library.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new library.ScaleControl({ unit: units === "mile" ? "imperial" : "metric" }), "bottom-left");
  await map.once("load");
  map.on("moveend", () => basemap.drawGrid(map));
  map.on("resize", () => basemap.drawGrid(map));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => basemap.recolour(map, tiles));
  if (tiles?.attribution) map.addControl(new basemap.Attribution(tiles.attribution), "bottom-right");
  await SHOW[element.dataset.kind](library, map, element);
  basemap.drawGrid(map);
  basemap.loadLand(map); // not waited for: the vehicles are there already
  element.dataset.ready = "yes";
  return map;
}

const SHOW = { fleet: showFleet, trip: showTrip, replay: showReplay };

async function showReplay(library, map, element) {
  const { show } = await import("./replay.js");
  await show(library, map, element, (places) => fit(library, map, places));
}

async function showFleet(library, map) {
  const board = await import("./board.js");
  const places = () => basemap.setPlaces(map, board.places());
  const positions = () => fleet.all().filter((vehicle) => vehicle.position).map(({ position }) => [position.lon, position.lat]);
  const fitAll = (options) => fit(library, map, [...positions()], options) || fit(library, map, board.places().map(({ lon, lat }) => [lon, lat]), options);
  if (!fleet.all().length) await fleet.load();
  places();
  fitAll();
  followUntilTouched(map, () => positions().length, () => fitAll({ duration: 400 }));
  document.getElementById("board").addEventListener("htmx:afterSwap", places);
  map.addControl(new FitControl(() => fitAll({ duration: 400 })), "top-right");
  new Markers(map, library.Marker, (code) => selection.select(board.tripOfVehicle(code), code, "map"));
  map.on("click", () => selection.clear());
  panel.start();
  const trail = new Trail(map);
  const past = new PastLink();
  map.addControl(past, "top-right");
  selection.onChange((selected, from) => {
    past.of(selected.vehicle);
    // A trip that is over shows its ride; else a vehicle shows its last hour, also on the way to its next trip.
    const over = selected.trip && board.cardOf(selected.trip)?.closest("[data-column=done]");
    if (selected.vehicle && !over) trail.ofVehicle(selected.vehicle);
    else if (selected.trip) trail.ofTrip(selected.trip);
    else trail.none();
    const vehicle = selected.vehicle && fleet.find(selected.vehicle);
    if (from === "board" && vehicle?.position) comeToSee(map, [vehicle.position.lon, vehicle.position.lat]);
  });
  showDriven(map);
  setInterval(() => document.hidden || showDriven(map), DRIVEN_AGAIN_MS);
}

/** Fits again when further vehicles appear, as long as nobody has moved the map by hand. */
function followUntilTouched(map, count, fitAgain) {
  let touched = false;
  let known = count();
  map.on("movestart", (event) => { touched ||= Boolean(event.originalEvent); });
  fleet.onChange(() => {
    const now = count();
    if (now > known && !touched && !selection.current().vehicle) fitAgain();
    known = now;
  });
}

/** Where vehicles drove in the last hour, as faint lines: the roads that this depot uses. */
async function showDriven(map) {
  const start = new Date(Date.now() - DRIVEN_HOURS * 3600e3).toISOString();
  const lines = [];
  for (const vehicle of fleet.all().filter(({ position }) => position).slice(0, DRIVEN_VEHICLES)) {
    const line = await trailLine(`/api/v1/vehicles/${encodeURIComponent(vehicle.code)}/trail?points=false&tolerance_m=15&start=${start}`);
    if (line.length > 1) lines.push(line);
  }
  basemap.setLines(map, "driven", lines);
}

function comeToSee(map, place) {
  if (!map.getBounds().contains(place)) map.easeTo({ center: place });
}

async function showTrip(library, map) {
  const { show } = await import("./trip.js");
  await show(library, map, (places) => fit(library, map, places));
}

/** A link beside the zoom: the past hour, of the selected vehicle or of all. */
class PastLink {
  onAdd() {
    this.element = document.createElement("div");
    this.element.className = "maplibregl-ctrl maplibregl-ctrl-group fit-all";
    this.link = document.createElement("a");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", "#i-history");
    svg.append(use);
    this.link.append(svg);
    this.element.append(this.link);
    this.of(null);
    return this.element;
  }

  of(vehicle) {
    this.link.href = vehicle ? `/replay?vehicle=${encodeURIComponent(vehicle)}` : "/replay";
    this.link.title = vehicle ? `Replay the last hour of ${vehicle}` : "Replay the last hour";
    this.link.setAttribute("aria-label", this.link.title);
  }

  onRemove() {
    this.element.remove();
  }
}

/** A button beside the zoom: all vehicles again. */
class FitControl {
  constructor(onClick) {
    this.onClick = onClick;
  }

  onAdd() {
    this.element = document.createElement("div");
    this.element.className = "maplibregl-ctrl maplibregl-ctrl-group fit-all";
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Show all vehicles";
    button.setAttribute("aria-label", button.title);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5");
    svg.append(path);
    button.append(svg);
    button.addEventListener("click", this.onClick);
    this.element.append(button);
    return this.element;
  }

  onRemove() {
    this.element.remove();
  }
}
