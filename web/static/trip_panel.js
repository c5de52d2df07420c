// The panel of the selected trip: asked for when one is selected, and again whenever the board is.

import * as selection from "./selection.js";

const panel = document.getElementById("trip-panel");
let shown = null;

function ask(trip) {
  htmx.ajax("GET", `/trips/${trip}/panel`, { target: panel, swap: "morph:innerHTML" });
}

function show(trip) {
  if (trip === shown) return;
  shown = trip;
  panel.hidden = trip === null;
  panel.replaceChildren();
  if (trip) ask(trip);
}

/** To the first thing that can be done with the trip. */
export const focus = () => panel.querySelector(".act-buttons button, a")?.focus();

export function start() {
  selection.onChange(({ trip }) => show(trip));
  document.body.addEventListener("depot:refresh", () => shown && ask(shown));
  panel.addEventListener("click", ({ target }) => target.closest("[data-clear]") && selection.clear());
  panel.addEventListener("htmx:beforeSwap", (event) => {
    // The answer for a trip that is selected no more.
    if (!event.detail.pathInfo.requestPath.startsWith(`/trips/${shown}/`)) event.detail.shouldSwap = false;
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    document.getElementById(`choose-${shown}`)?.focus();
  });
}
