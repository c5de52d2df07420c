// Puts the page together: the live connection drives the board (through htmx) and the vehicles on the map (directly).

import * as fleet from "./fleet.js";
import { listen, throttled } from "./live.js";
import * as selection from "./selection.js";
import * as times from "./times.js";

const REFRESH_MS = 1000;
const ASK_MS = 15_000;
const narrow = matchMedia("(max-width: 48rem)");
const main = document.getElementById("main");
const mapElement = document.getElementById("map");
let mapModule = null;
let linked = false;

const refresh = throttled(() => {
  htmx.trigger(document.body, "depot:refresh");
  fleet.load();
}, REFRESH_MS);

listen({
  vehicle: fleet.moved,
  alert({ code, state }) {
    if (state) document.getElementById("announce").textContent = `Vehicle ${code} is ${state}`;
    refresh();
  },
  changed: refresh,
  resync: refresh,
  link(up) {
    linked = up;
    document.body.dataset.link = up ? "up" : "down"; // on the body: the strip is put in again now and then
  },
});

times.tick();
setInterval(() => {
  times.tick();
  fleet.tick();
}, 1000);

// The live connection tells each change of a state; this is for the time in which nobody is there to tell it.
setInterval(() => linked && !document.hidden && fleet.load(), ASK_MS);

/** The map library is large: it is loaded when the map is first to be seen. */
function showMap() {
  if (!mapElement || mapElement.querySelector(".empty")) return;
  mapModule ??= import("./map.js").then((module) => module.start(mapElement));
  mapModule.then((map) => map.resize());
}

function showTab(name) {
  main.dataset.tab = name;
  for (const tab of ["board", "map"]) {
    document.getElementById(`tab-${tab}`).setAttribute("aria-selected", String(tab === name));
  }
  if (name === "map") showMap();
}

const help = document.getElementById("help");
document.getElementById("strip").addEventListener("click", (event) => {
  if (event.target.closest("#help-button")) help.showModal();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  if (help.open || document.querySelector(":popover-open, dialog[open]")) return;
  if (event.key === "?") help.showModal();
  else if (event.key === "Escape") selection.clear();
  else if (event.key === "b" && board) focusOn("board", "#board .choose");
  else if (event.key === "m" && board) focusOn("map", ".van-marker, #map canvas");
  else if (!board?.onKey(event)) return;
  event.preventDefault();
});

function focusOn(tab, target) {
  showTab(tab);
  document.querySelector(target)?.focus();
}

let board = null;
if (document.getElementById("board")) {
  // Before anything is waited for: a tap on a page just come would be lost.
  for (const tab of ["board", "map"]) {
    document.getElementById(`tab-${tab}`).addEventListener("click", () => showTab(tab));
  }
  board = await import("./board.js");
  board.start();
}
if (!board || !narrow.matches) showMap();
narrow.addEventListener("change", () => narrow.matches || showMap());
