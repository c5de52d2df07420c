// The base map of an .mbtiles file, as layers: pictures as they are, or lines and areas in a small style of our own.
//
// Lines and areas are expected in the OpenMapTiles schema (openmaptiles.org/schema); of another one every layer is drawn as
// thin lines. Names are drawn from the machine's own fonts: nothing is loaded for them.

const FONT = ["Liberation Sans", "system-ui", "sans-serif"];
const NAME = ["coalesce", ["get", "name:latin"], ["get", "name"]];
const KNOWN = ["water", "waterway", "landcover", "landuse", "park", "transportation", "transportation_name", "building", "boundary", "place"];
const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;

const zoomed = (...stops) => ["interpolate", ["exponential", 1.5], ["zoom"], ...stops];
const among = (key, ...values) => ["in", ["get", key], ["literal", values]];

export function sources({ url, kind, minzoom, maxzoom, bounds }) {
  const shared = { tiles: [`${location.origin}${url}`], minzoom, maxzoom, bounds };
  const [west, south, east, north] = bounds;
  const area = [[west, south], [east, south], [east, north], [west, north], [west, south]];
  return {
    tiles: kind === "raster" ? { type: "raster", tileSize: 256, ...shared } : { type: "vector", ...shared },
    "tiles-area": { type: "geojson", data: { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [area] } } },
  };
}

/** Every layer has its whole paint, so that a change from light to dark can put it on again. */
export function layers({ kind, minzoom, layers: named }, css) {
  if (kind === "raster") {
    const paint = dark()
      ? { "raster-opacity": 0.7, "raster-brightness-max": 0.45, "raster-saturation": -0.3, "raster-fade-duration": 0 }
      : { "raster-opacity": 1, "raster-brightness-max": 1, "raster-saturation": 0, "raster-fade-duration": 0 };
    return [{ id: "tiles", type: "raster", source: "tiles", minzoom, paint }];
  }
  const other = named.filter((name) => !KNOWN.includes(name));
  const known = named.length === 0 || other.length < named.length;
  return [
    // The coast of the outlines is coarse: where there are tiles, all is land that they do not call water.
    { id: "tiles-area", type: "fill", source: "tiles-area", minzoom, paint: { "fill-color": css("land") } },
    ...(known ? openMapTiles(css) : other.map((name) => thin(name, css))),
  ];
}

const thin = (name, css) => ({
  id: `tiles-${name}`, type: "line", source: "tiles", "source-layer": name, paint: { "line-color": css("border"), "line-width": 0.8 },
});

function openMapTiles(css) {
  const made = (id, type, layer, paint, more = {}) => ({ id: `tiles-${id}`, type, source: "tiles", "source-layer": layer, paint, ...more });
  const fill = (id, layer, colour, more) => made(id, "fill", layer, { "fill-color": css(colour) }, more);
  const line = (id, layer, colour, width, more = {}) => made(
    id, "line", layer, { "line-color": css(colour), "line-width": width }, { layout: { "line-cap": "round", "line-join": "round" }, ...more },
  );
  const halo = { "text-color": css("text"), "text-halo-color": css("halo"), "text-halo-width": 1.4 };
  const name = (id, layer, layout, more = {}) => made(
    id, "symbol", layer, halo, { layout: { "text-field": NAME, "text-font": FONT, ...layout }, ...more },
  );
  const small = among("class", "minor", "service", "track", "path", "busway");
  const main = among("class", "primary", "secondary", "tertiary", "trunk");
  return [
    fill("green", "landcover", "green", { filter: among("class", "wood", "grass", "farmland", "wetland") }),
    fill("park", "park", "green"),
    fill("works", "landuse", "works", { filter: among("class", "industrial", "commercial", "retail", "hospital", "school", "university") }),
    fill("water", "water", "water"),
    line("river", "waterway", "water", zoomed(8, 0.5, 16, 4)),
    fill("building", "building", "building", { minzoom: 14 }),
    line("edge", "transportation", "road-edge", zoomed(8, 0.5, 13, 3, 18, 22), { minzoom: 9, filter: ["any", main, among("class", "motorway")] }),
    line("small", "transportation", "road", zoomed(12, 0.4, 14, 1.6, 18, 12), { minzoom: 11, filter: small }),
    line("rail", "transportation", "border", zoomed(10, 0.4, 16, 1.5), { minzoom: 10, filter: among("class", "rail", "transit") }),
    line("main", "transportation", "road", zoomed(7, 0.4, 13, 2.2, 18, 18), { filter: main }),
    line("motorway", "transportation", "motorway", zoomed(5, 0.6, 13, 3, 18, 20), { filter: among("class", "motorway") }),
    line("boundary", "boundary", "border", 1, { filter: ["<=", ["get", "admin_level"], 4] }),
    name("road-names", "transportation_name", { "symbol-placement": "line", "text-size": 10.5 }, { minzoom: 13 }),
    name("town-names", "place", {
      "text-size": ["match", ["get", "class"], ["city"], 15, ["town"], 13, 11.5], "text-max-width": 8,
    }, { filter: among("class", "city", "town", "village", "suburb", "quarter", "neighbourhood", "hamlet") }),
  ];
}
