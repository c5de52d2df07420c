// The board: selecting cards, moving between them with the keyboard, and saying what changed.

import * as selection from "./selection.js";
import { tick } from "./times.js";

const board = document.getElementById("board");
const announce = document.getElementById("announce");
let states = statesOnBoard();

export const cardOf = (trip) => document.getElementById(`trip-${trip}`);

/** The card of the trip that a vehicle drives now, or the next one that it has. */
export function tripOfVehicle(vehicle) {
  const own = cards().filter((card) => card.dataset.vehicle === vehicle);
  const found = own.find((card) => card.dataset.state === "in_progress") ?? own.find((card) => card.dataset.state === "assigned");
  return found?.dataset.trip ?? null;
}

/** Pickup and drop-off points of the trips on the board: {key, lat, lon, name}, each place once. */
export function places() {
  const found = new Map();
  for (const card of cards()) {
    add(found, card.dataset.pickup, card.dataset.origin);
    add(found, card.dataset.dropoff, card.dataset.destination);
  }
  return [...found.values()];
}

function add(found, at, name) {
  if (!at || found.has(at)) return;
  const [lat, lon] = at.split(",").map(Number);
  found.set(at, { lat, lon, name: name.split(",")[0] });
}

function cards() {
  return [...board.querySelectorAll(".card")];
}

function statesOnBoard() {
  return new Map(cards().map((card) => [card.id, card.dataset.stateTitle]));
}

function mark({ trip, vehicle }) {
  for (const card of cards()) {
    const chosen = trip !== null && card.dataset.trip === trip;
    card.classList.toggle("chosen", chosen);
    card.classList.toggle("kin", !chosen && vehicle !== null && card.dataset.vehicle === vehicle);
    card.querySelector(".choose").setAttribute("aria-pressed", String(chosen));
  }
}

function sayChanges() {
  const now = statesOnBoard();
  const said = [];
  for (const card of cards()) {
    const before = states.get(card.id);
    if (before === card.dataset.stateTitle) continue;
    card.classList.remove("fresh");
    void card.offsetWidth; // starts the animation again
    card.classList.add("fresh");
    said.push(before ? `Trip ${card.dataset.title} is now ${card.dataset.stateTitle}` : `New trip ${card.dataset.title}`);
  }
  states = now;
  if (said.length) announce.textContent = said.slice(0, 3).join(". ") + (said.length > 3 ? ` and ${said.length - 3} more` : "");
}

function step(from, dx, dy) {
  const columns = [...board.querySelectorAll(".cards")].map((list) => [...list.querySelectorAll(".choose")]);
  let x = columns.findIndex((column) => column.includes(from));
  if (x < 0) return columns.find((column) => column.length)?.[0];
  if (dy) return columns[x][columns[x].indexOf(from) + dy];
  const top = from.getBoundingClientRect().top;
  const away = (other) => Math.abs(other.getBoundingClientRect().top - top);
  for (x += dx; x >= 0 && x < columns.length; x += dx) {
    if (columns[x].length) return columns[x].reduce((best, other) => (away(other) < away(best) ? other : best));
  }
  return undefined;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Moves between cards. True when the key was one of ours. */
export function onKey(event) {
  const arrow = ARROWS[event.key];
  if (!arrow || event.target.closest(".map-pane, dialog, [role=tablist]")) return false;
  const next = step(event.target.closest(".card")?.querySelector(".choose") ?? null, ...arrow);
  if (next) {
    next.focus({ preventScroll: true });
    next.closest(".card").scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  return true;
}

export function start() {
  board.addEventListener("click", (event) => {
    const card = event.target.closest(".choose")?.closest(".card");
    if (card) selection.select(card.dataset.trip, card.dataset.vehicle ?? null, "board");
  });
  selection.onChange((selected, from) => {
    mark(selected);
    if (from === "map" && selected.trip) cardOf(selected.trip)?.scrollIntoView({ block: "nearest" });
  });
  board.addEventListener("htmx:afterSwap", () => {
    mark(selection.current());
    sayChanges();
    tick();
  });
}
