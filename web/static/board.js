// The board: selecting cards, moving between them with the keyboard, and saying what changed.

import * as acts from "./acts.js";
import * as drag from "./drag.js";
import * as filters from "./filters.js";
import * as selection from "./selection.js";
import * as panel from "./trip_panel.js";
import { tick } from "./times.js";

const board = document.getElementById("board");
const announce = document.getElementById("announce");
const mayAct = document.getElementById("main").dataset.may === "dispatch";
const narrow = matchMedia("(max-width: 48rem)");
let states = statesOnBoard();
let wanted = null; // a new trip, which comes with the next board

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

// With how far it is: the driver's stamps come one by one.
function sign(card) {
  return `${card.dataset.stateTitle}/${card.dataset.reached}`;
}

function statesOnBoard() {
  return new Map(cards().map((card) => [card.id, sign(card)]));
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
    if (before === sign(card)) continue;
    card.classList.remove("fresh");
    void card.offsetWidth; // starts the animation again
    card.classList.add("fresh");
    const reached = card.querySelector(".progress > span:last-child")?.textContent ?? "";
    const now = before?.startsWith(`${card.dataset.stateTitle}/`) && reached ? reached : card.dataset.stateTitle;
    said.push(before ? `Trip ${card.dataset.title} is now ${now}` : `New trip ${card.dataset.title}`);
  }
  states = now;
  if (said.length) announce.textContent = said.slice(0, 3).join(". ") + (said.length > 3 ? ` and ${said.length - 3} more` : "");
}

function step(from, dx, dy) {
  const columns = [...board.querySelectorAll(".cards")].map((list) => [...list.querySelectorAll(".card:not([hidden]) .choose")]);
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

/** Moves between cards, and does what a key stands for. True when the key was one of ours. */
export function onKey(event) {
  if (event.key === "/") {
    document.getElementById("search").focus();
    return true;
  }
  if (mayAct && (event.key in ACTS || event.key === "n")) {
    act(event.key);
    return true;
  }
  const arrow = ARROWS[event.key];
  if (!arrow || event.target.closest(".side, dialog, [role=tablist], .crews")) return false;
  const next = step(event.target.closest(".card")?.querySelector(".choose") ?? null, ...arrow);
  if (next) {
    next.focus({ preventScroll: true });
    next.closest(".card").scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  return true;
}

/** The card that a key means: the one with the focus, else the selected one. */
export const meant = () => document.activeElement?.closest?.(".card") ?? cardOf(selection.current().trip);

/** Keys that do something with a trip, for who may: `a` assigns, `t` enters times, `n` plans a new one. */
function act(key) {
  if (key === "n") document.getElementById("new-trip").click();
  else if (meant()) acts.openAct(meant().dataset.trip, ACTS[key]);
}

const ACTS = { a: "assign", t: "times" };

export function start() {
  if (mayAct) drag.start();
  filters.start();
  panel.start();
  board.addEventListener("click", (event) => {
    const card = event.target.closest(".choose")?.closest(".card");
    if (!card) return;
    // Enter on the selected card goes on to what can be done with it; a click takes the selection back.
    const again = event.detail === 0 && card.dataset.trip === selection.current().trip;
    if (again) panel.focus();
    else selection.select(card.dataset.trip, card.dataset.vehicle ?? null, "board");
  });
  document.addEventListener("click", (event) => {
    const only = event.target.closest("[data-only-driver]");
    const leg = event.target.closest("[data-select]");
    if (only) {
      acts.close();
      filters.only(only.dataset.onlyDriver, only.dataset.onlyVehicle);
    } else if (leg && cardOf(leg.dataset.select)) {
      event.preventDefault();
      const card = cardOf(leg.dataset.select);
      selection.select(card.dataset.trip, card.dataset.vehicle ?? null, "board");
      card.scrollIntoView({ block: "nearest" });
    }
  });
  document.body.addEventListener("depot:acted", ({ detail }) => {
    if (detail.act !== "new") return;
    selection.pick(String(detail.trip));
    wanted = String(detail.trip);
  });
  selection.onChange((selected, from) => {
    mark(selected);
    // On a phone the panel covers the lower part of the board.
    if (from === "board" && selected.trip && narrow.matches) cardOf(selected.trip)?.scrollIntoView({ block: "start" });
    if (from === "map" && selected.trip) cardOf(selected.trip)?.scrollIntoView({ block: "nearest" });
  });
  // The server sends the board again only where it shows something else.
  board.addEventListener("htmx:configRequest", ({ detail }) => {
    if (detail.elt === board) detail.headers["If-None-Match"] = board.dataset.state;
  });
  board.addEventListener("htmx:afterSwap", ({ detail }) => {
    board.dataset.state = detail.xhr.getResponseHeader("ETag") ?? "";
    mark(selection.current());
    filters.apply();
    sayChanges();
    tick();
    if (cardOf(wanted)) {
      cardOf(wanted).scrollIntoView({ block: "nearest" });
      cardOf(wanted).querySelector(".choose").focus({ preventScroll: true });
      wanted = null;
    }
  });
  board.dataset.ready = "yes";
}
