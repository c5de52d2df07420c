// The base map without the internet: coasts and borders from world-atlas, a grid of round degrees, our own places; and
// the streets of an .mbtiles file where the box has one (streets.js).

import * as streets from "./streets.js";

const { vendor } = document.body.dataset;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--map-${name}`).trim();
const empty = () => ({ type: "FeatureCollection", features: [] });
const FONT = ["Liberation Sans", "system-ui", "sans-serif"];

const COLOURS = [
  ["water", "background-color", "water"],
  ["land", "fill-color", "land"],
  ["borders", "line-color", "border"],
  ["grid", "line-color", "grid"],
  ["grid-names", "text-color", "text"],
  ["grid-names", "text-halo-color", "halo"],
  ["driven", "line-color", "driven"],
  ["places", "circle-color", "place"],
  ["places", "circle-stroke-color", "halo"],
  ["place-names", "text-color", "text"],
  ["place-names", "text-halo-color", "halo"],
];

/** The tiles of the box, or null. A box that does not answer has none: the vehicles matter more. */
export async function tiles() {
  const answer = await fetch("/api/v1/map").catch(() => null);
  return answer?.ok ? (await answer.json()).source : null;
}

export function style(source) {
  const sources = {};
  for (const name of ["land", "borders", "grid", "grid-names", "driven", "trail", "places"]) {
    sources[name] = { type: "geojson", data: empty() };
  }
  const round = { "line-cap": "round", "line-join": "round" };
  const layers = [
    { id: "water", type: "background" },
    { id: "land", type: "fill", source: "land" },
    { id: "borders", type: "line", source: "borders", paint: { "line-width": 1, "line-dasharray": [3, 2] } },
    { id: "grid", type: "line", source: "grid", paint: { "line-width": 1 } },
    { id: "driven", type: "line", source: "driven", layout: round, paint: { "line-width": 2.5, "line-opacity": 0.7 } },
    { id: "trail-edge", type: "line", source: "trail", layout: round, paint: { "line-color": "#ffffff", "line-width": 7, "line-opacity": 0.8 } },
    { id: "trail", type: "line", source: "trail", layout: round, paint: { "line-color": "#1c7fc0", "line-width": 4 } },
    { id: "places", type: "circle", source: "places", paint: { "circle-radius": 3.5, "circle-stroke-width": 1.5 } },
    {
      id: "place-names", type: "symbol", source: "places",
      layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": 11.5, "text-variable-anchor": ["left", "right", "top", "bottom"], "text-radial-offset": 0.7, "text-max-width": 9, "text-justify": "auto" },
      paint: { "text-halo-width": 1.4 },
    },
    {
      id: "grid-names", type: "symbol", source: "grid-names",
      layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": 10.5, "text-anchor": ["get", "anchor"], "text-offset": [0.3, 0.3], "text-allow-overlap": true },
      paint: { "text-halo-width": 1.2 },
    },
  ];
  if (source) {
    Object.assign(sources, streets.sources(source));
    // Below the grid, which goes: streets tell more. Outside the tiles' area the coasts stay.
    const grid = layers.findIndex(({ id }) => id === "grid");
    layers.splice(grid, 0, ...streets.layers(source, css));
    for (const id of ["grid", "grid-names"]) layers.find((layer) => layer.id === id).layout = { visibility: "none" };
  }
  for (const [id, property, name] of COLOURS) {
    const layer = layers.find((found) => found.id === id);
    layer.paint = { ...layer.paint, [property]: css(name) };
  }
  return { version: 8, sources, layers };
}

export function recolour(map, source) {
  for (const [id, property, name] of COLOURS) map.setPaintProperty(id, property, css(name));
  if (!source) return;
  for (const { id, paint } of streets.layers(source, css)) {
    for (const [property, value] of Object.entries(paint)) map.setPaintProperty(id, property, value);
  }
}

/** Who made the map: its licence asks for it. Plain text, whatever the file says. */
export class Attribution {
  constructor(text) {
    this.text = text;
  }

  onAdd() {
    this.element = document.createElement("div");
    this.element.className = "maplibregl-ctrl map-attribution";
    this.element.textContent = this.text;
    return this.element;
  }

  onRemove() {
    this.element.remove();
  }
}

function script(name) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = vendor + name;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`cannot load ${name}`));
    document.head.append(element);
  });
}

const atlas = async (name) => (await fetch(vendor + name)).json();

/** world-atlas is stitched together for a globe. On a flat map a ring that crosses 180 degrees goes on beyond it, and one
 * that goes all around (Antarctica) is closed along the pole. */
function flat(collection) {
  for (const { geometry } of collection.features ?? [collection]) {
    for (const rings of geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates) rings.forEach(unwrap);
  }
  return collection;
}

function unwrap(ring) {
  for (let i = 1; i < ring.length; i += 1) {
    const turns = Math.round((ring[i][0] - ring[i - 1][0]) / 360);
    if (turns) ring[i] = [ring[i][0] - 360 * turns, ring[i][1]];
  }
  const [first, last] = [ring[0], ring.at(-1)];
  if (Math.abs(last[0] - first[0]) > 180) {
    const pole = first[1] < 0 ? -90 : 90;
    ring.push([last[0], pole], [first[0], pole], first);
  }
  // Where most of it is: the library draws only what hangs over the edge a second time on the other side.
  const longitudes = ring.map(([longitude]) => longitude);
  const turns = Math.round(middle(longitudes) / 360);
  if (turns) ring.forEach(([x, y], i) => { ring[i] = [x - 360 * turns, y]; });
}

const middle = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Coasts at once, borders after them, and the finer coast once somebody looks closer. */
export async function loadLand(map) {
  await script("topojson-client.min.js");
  const { feature, mesh } = globalThis.topojson;
  const coarse = await atlas("land-50m.json");
  map.getSource("land").setData(flat(feature(coarse, coarse.objects.land)));
  let fine = null;
  const look = async () => {
    if (fine || map.getZoom() < 5.5) return;
    fine = await atlas("land-10m.json");
    map.getSource("land").setData(flat(feature(fine, fine.objects.land)));
    map.off("moveend", look);
  };
  map.on("moveend", look);
  await look();
  const countries = await atlas("countries-50m.json");
  map.getSource("borders").setData(mesh(countries, countries.objects.countries, (a, b) => a !== b));
}

const STEPS = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const WANTED_PX = 130;

/** Lines at round degrees through the view, named at its left and lower edge. */
export function drawGrid(map) {
  const bounds = map.getBounds();
  const { clientWidth, clientHeight } = map.getContainer();
  if (!clientWidth || !clientHeight) return;
  const [west, east] = [bounds.getWest(), bounds.getEast()];
  const [south, north] = [Math.max(bounds.getSouth(), -85), Math.min(bounds.getNorth(), 85)];
  const stepX = fitting((east - west) / clientWidth);
  const stepY = fitting((north - south) / clientHeight);
  const lines = [];
  const names = [];
  const shownLeft = map.unproject([8, 0]).lng;
  const shownLow = map.unproject([0, clientHeight - 24]).lat;
  for (let x = Math.ceil(west / stepX) * stepX; x <= east; x += stepX) {
    lines.push([[x, south], [x, north]]);
    if (map.project([x, south]).x > 130) names.push(named([x, shownLow], degrees(x, stepX, "E", "W"), "bottom-left"));
  }
  for (let y = Math.ceil(south / stepY) * stepY; y <= north; y += stepY) {
    lines.push([[west, y], [east, y]]);
    if (map.project([west, y]).y < clientHeight - 60) names.push(named([shownLeft, y], degrees(y, stepY, "N", "S"), "top-left"));
  }
  map.getSource("grid").setData({ type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } });
  map.getSource("grid-names").setData({ type: "FeatureCollection", features: names });
}

const fitting = (perPixel) => STEPS.findLast((step) => step / perPixel >= WANTED_PX) ?? STEPS[0];

function named(coordinates, name, anchor) {
  return { type: "Feature", properties: { name, anchor }, geometry: { type: "Point", coordinates } };
}

function degrees(value, step, plus, minus) {
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return `${Math.abs(value).toFixed(digits)}° ${value < 0 ? minus : plus}`;
}

export function setPlaces(map, places) {
  const features = places.map(({ lat, lon, name }) => named([lon, lat], name, "left"));
  map.getSource("places").setData({ type: "FeatureCollection", features });
}

export function setLines(map, source, lines) {
  map.getSource(source).setData({ type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } });
}
