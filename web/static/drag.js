// Dragging a card onto a crew. With the pointer's own events: a browser's drag and drop does not begin on a button.

import * as acts from "./acts.js";

const FAR = 6;
const board = document.getElementById("board");
const announce = document.getElementById("announce");
let held = null; // {card, x, y, ghost, over}

const crews = () => [...board.querySelectorAll("[data-crew]")];

/** Why a crew cannot have a trip, as far as the page knows; the box has the last word. */
function unfit(crew, card) {
  if (crew.classList.contains("gone")) return "unavailable";
  if (!crew.dataset.vehicle) return "no van";
  if (!crew.dataset.levels.split(" ").includes(card.dataset.level)) return `not fitted for ${card.dataset.level}`;
  return "";
}

function begin() {
  const { card } = held;
  held.ghost = document.createElement("div");
  held.ghost.className = "ghost";
  held.ghost.textContent = `${card.querySelector("time").textContent}  ${card.dataset.title}`;
  document.body.append(held.ghost);
  document.body.classList.add("dragging");
  card.classList.add("held");
  for (const crew of crews()) {
    const reason = unfit(crew, card);
    crew.classList.toggle("no", reason !== "");
    crew.querySelector(".unfit span").textContent = reason;
  }
}

function move(x, y) {
  // Through the object model: the policy of the page forbids a style in an attribute, not this.
  held.ghost.style.transform = `translate(${x + 12}px, ${y + 8}px)`;
  const over = document.elementFromPoint(x, y)?.closest("[data-crew]") ?? null;
  if (over === held.over) return;
  held.over?.classList.remove("over");
  over?.classList.add("over");
  held.over = over;
}

function end() {
  held.ghost?.remove();
  document.body.classList.remove("dragging");
  held.card.classList.remove("held");
  for (const crew of crews()) crew.classList.remove("no", "over");
  held = null;
}

function drop({ card, over }) {
  const { vehicle, driver } = over.dataset;
  announce.textContent = `Trip ${card.dataset.title} to ${vehicle || driver}`;
  card.classList.add("sent");
  acts.send(`/trips/${card.dataset.trip}/acts/assign`, { version: card.dataset.version, vehicle, driver })
    .finally(() => card.classList.remove("sent"));
}

export function start() {
  board.addEventListener("pointerdown", (event) => {
    const card = event.target.closest(".card");
    const canMove = ["scheduled", "assigned", "will_call"].includes(card?.dataset.state);
    if (event.button !== 0 || event.pointerType === "touch" || !canMove || event.target.closest("a")) return;
    held = { card, x: event.clientX, y: event.clientY, ghost: null, over: null };
  });
  addEventListener("pointermove", (event) => {
    if (!held) return;
    if (!held.ghost) {
      if (Math.hypot(event.clientX - held.x, event.clientY - held.y) < FAR) return;
      begin();
    }
    move(event.clientX, event.clientY);
  });
  addEventListener("pointerup", () => {
    if (!held) return;
    const { ghost, over, card } = held;
    end();
    if (!ghost) return;
    // The click that follows is the end of the dragging, not a selection.
    const swallow = (event) => event.stopPropagation();
    addEventListener("click", swallow, { capture: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    if (over) drop({ card, over });
  });
  addEventListener("pointercancel", () => held && end());
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !held?.ghost) return;
    event.stopPropagation();
    end();
  }, { capture: true });
}
