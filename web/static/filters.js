// Which cards are shown: by text, driver, vehicle, level, late, flagged. They stay as they are while the board goes on.

const form = document.getElementById("board-filters");
const board = document.getElementById("board");
const clear = document.getElementById("filters-clear");
const KEPT = "board-filters";

const chosen = () => Object.fromEntries(new FormData(form));

function fits(card, { text, driver, vehicle, level, late, flagged }) {
  const shown = card.dataset;
  if (driver && shown.driver !== driver) return false;
  if (vehicle && shown.vehicle !== vehicle) return false;
  if (level && shown.level !== level) return false;
  if (late && !shown.late) return false;
  if (flagged && !shown.flagged) return false;
  if (!text) return true;
  const stands = card.textContent.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => stands.includes(word));
}

/** Shows what fits, and how many of how many. */
export function apply() {
  const wanted = chosen();
  const some = Object.values(wanted).some((value) => value.trim());
  clear.hidden = !some;
  for (const column of board.querySelectorAll(".column")) {
    let fitting = 0;
    for (const card of column.querySelectorAll(".card")) {
      card.hidden = some && !fits(card, wanted);
      fitting += !card.hidden;
    }
    const count = column.querySelector(".count");
    count.textContent = some && fitting < Number(count.dataset.all) ? `${fitting} of ${count.dataset.all}` : count.dataset.all;
  }
}

/** Only the trips of a crew. */
export function only(driver, vehicle) {
  form.reset();
  form.elements.driver.value = driver;
  if (!driver) form.elements.vehicle.value = vehicle;
  changed();
}

// What was typed stays out of what is kept: it may be a patient's name.
function changed() {
  const { text, ...kept } = chosen();
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
  apply();
}

function restore() {
  for (const [name, value] of Object.entries(JSON.parse(sessionStorage.getItem(KEPT) ?? "{}"))) {
    const field = form.elements[name];
    if (field?.type === "checkbox") field.checked = value === "yes";
    else if (field) field.value = value;
  }
}

export function start() {
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(changed));
  form.elements.text.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" && event.key !== "Enter") return;
    if (event.key === "Escape") form.elements.text.value = "";
    event.preventDefault();
    changed();
    board.querySelector(".card:not([hidden]) .choose")?.focus();
  });
  restore();
  apply();
}
