// The line that a vehicle or a trip has driven: thinned by the box, grown by each live position, asked for again now and then.

import * as basemap from "./basemap.js";
import * as fleet from "./fleet.js";

const TOLERANCE_M = 2;
const AGAIN_MS = 60_000; // so that it stays the last hour, and thinned

export async function trailLine(url) {
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok) return [];
  const { features } = await answer.json();
  return features.find(({ geometry }) => geometry.type === "LineString")?.geometry.coordinates ?? [];
}

export class Trail {
  constructor(map) {
    this.map = map;
    this.line = [];
    this.code = null;
    this.path = null;
    this.asked = 0;
    fleet.onChange((vehicle) => {
      if (vehicle.code !== this.code || !vehicle.position) return;
      const place = [vehicle.position.lon, vehicle.position.lat];
      const last = this.line.at(-1);
      if (last && last[0] === place[0] && last[1] === place[1]) return;
      this.line.push(place);
      this.draw();
    });
    setInterval(() => this.code && !document.hidden && this.load(), AGAIN_MS);
  }

  /** The last hour of a vehicle; it grows with the vehicle. */
  ofVehicle(code) {
    return this.set(`vehicles/${encodeURIComponent(code)}`, code);
  }

  /** The ride of a trip; it grows with the vehicle `code` while that drives it. */
  ofTrip(id, code = null) {
    return this.set(`trips/${id}`, code);
  }

  none() {
    return this.set(null, null);
  }

  async set(path, code) {
    if (path !== this.path) this.line = [];
    this.path = path;
    this.code = null;
    await this.load(code);
  }

  async load(code = this.code) {
    const asked = ++this.asked;
    const line = this.path ? await trailLine(`/api/v1/${this.path}/trail?points=false&tolerance_m=${TOLERANCE_M}`) : [];
    if (asked !== this.asked) return; // something else was selected meanwhile
    this.line = line;
    this.code = code;
    this.draw();
  }

  draw() {
    basemap.setLines(this.map, "trail", this.line.length > 1 ? [this.line] : []);
  }
}
