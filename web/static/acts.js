// The dialog of all forms: opening one, sending one that was dropped, and what follows when it is done.

const dialog = document.getElementById("act-dialog");
const body = document.getElementById("act-body");
const said = document.getElementById("said");
const SAID_MS = 10_000;
let asked = "";
let fading = 0;

/** Opens the form at this address at once; what stands in it comes with the answer. */
export function open(path) {
  asked = path;
  body.replaceChildren(skeleton());
  if (!dialog.open) dialog.showModal();
  htmx.ajax("GET", path, { target: body, swap: "innerHTML" });
}

export const openAct = (trip, act) => open(`/trips/${trip}/forms/${act}`);
export const isOpen = () => dialog.open;

/** Sends a form without showing it. It opens where there is something to say against it. */
export function send(path, values) {
  asked = path;
  body.replaceChildren();
  return htmx.ajax("POST", path, { target: body, swap: "innerHTML", values });
}

function skeleton() {
  const element = document.createElement("div");
  element.className = "skeleton";
  return element;
}

export function close() {
  asked = "";
  dialog.close();
  body.replaceChildren();
}

/** The first field that is wrong; else the first that is to be filled in. */
function focus() {
  const first = body.querySelector("[aria-invalid=true], .wrong input")
    ?? body.querySelector("[data-first]")
    ?? body.querySelector("input[type=radio]:checked, input:not([type=hidden], :disabled), select, button.go");
  first?.focus();
  if (first?.matches("input:not([type=radio], [type=checkbox])")) first.select();
}

/** A vehicle is chosen with who shares a shift with it, as long as nobody chose another. */
function pair(target) {
  const partner = target.dataset.partner;
  const other = target.name === "vehicle" ? "driver" : "vehicle";
  const form = target.form;
  form.dataset[`chose_${target.name}`] = "yes";
  if (form.dataset[`chose_${other}`] || !partner) return;
  const found = [...form.elements].find((each) => each.name === other && each.value === partner && !each.disabled);
  if (found) found.checked = true;
}

export function start() {
  document.addEventListener("click", ({ target }) => {
    const act = target.closest("[data-act]");
    const form = target.closest("[data-form]");
    if (act) openAct(act.dataset.trip, act.dataset.act);
    else if (form) open(form.dataset.form);
    else if (target.closest("[data-close]")) close();
    else if (target.closest("[data-dismiss]")) said.replaceChildren();
    else if (target.closest("[data-patient]")) fillIn(target.closest("[data-patient]"));
    else if (target.closest("[data-now]")) now(document.getElementById(target.closest("[data-now]").dataset.now));
  });
  body.addEventListener("change", ({ target }) => target.matches("input[type=radio]") && pair(target));
  // An answer to a form that was closed meanwhile is not shown.
  body.addEventListener("htmx:beforeSwap", (event) => {
    if (!asked) event.detail.shouldSwap = false;
  });
  body.addEventListener("htmx:afterSwap", () => {
    if (!asked || !body.querySelector("form")) return;
    if (!dialog.open) dialog.showModal();
    focus();
  });
  // The event comes a moment later: perhaps another form is open by then.
  dialog.addEventListener("close", () => dialog.open || close());
  document.body.addEventListener("depot:acted", () => {
    asked = "";
    if (dialog.open) dialog.close();
    htmx.trigger(document.body, "depot:refresh");
    const story = document.getElementById("trip-story"); // the trip's own page shows what became of it at once
    if (story) htmx.trigger(story, "trip:refresh");
    clearTimeout(fading);
    fading = setTimeout(() => said.querySelector("[hx-post]") || said.replaceChildren(), SAID_MS);
  });
}

/** A patient who was found: the name, and the address where none was typed. */
function fillIn({ dataset, parentElement }) {
  const { patient, pickup_address: from } = parentElement.closest("form").elements;
  patient.value = dataset.patient;
  from.value ||= dataset.address;
  parentElement.replaceChildren();
  (from.value ? document.getElementById("new-pickup_time") : from).focus();
}

function now(field) {
  const zone = document.body.dataset.zone;
  field.value = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" }).format(new Date());
  field.focus();
}

start();
