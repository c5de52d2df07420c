// Times on the page: the depot's clock, and words like "in 12 min" that go on by themselves.

const zone = document.body.dataset.zone;
const clockFormat = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
const exactFormat = new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "medium", timeStyle: "medium" });
const NEAR_MS = 90 * 60 * 1000;

export const clock = (at) => clockFormat.format(at);
export const exact = (at) => exactFormat.format(at);

/** The same words as `near` in web/cards.py; empty when far away. */
export function near(at, now = new Date()) {
  const away = at - now;
  if (Math.abs(away) > NEAR_MS) return "";
  const minutes = Math.floor(Math.abs(away) / 60000);
  if (minutes === 0) return "now";
  return away > 0 ? `in ${minutes} min` : `${minutes} min ago`;
}

/** How long ago a position was: seconds while it is fresh. */
export function ago(at, now = new Date()) {
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  return near(at, now) || `at ${exact(at)}`;
}

function say(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

export function tick() {
  const now = new Date();
  say(document.getElementById("clock"), clock(now));
  for (const element of document.querySelectorAll("[data-near]")) {
    say(element, near(new Date(element.dataset.near), now));
  }
}
