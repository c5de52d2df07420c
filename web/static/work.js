// The charts of the page Work: jobs that ended, and jobs that waited, over an hour, a day, a week or a month.

const { vendor, zone } = document.body.dataset;
const AGAIN_MS = 30_000;
const TITLES = { high_priority: "High", normal: "Normal", low_priority: "Low" };
// A line is told by its dashes as well as by its colour.
const LINES = {
  high_priority: ["--offline", []], normal: ["--accent", [8, 4]], low_priority: ["--silent", [2, 3]],
};
const WORDS = { hour: "in the last hour", day: "in the last day", week: "in the last week", month: "in the last 30 days" };
let span = "day";
let uPlot = null;
let drawn = [];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const sum = (numbers) => numbers.reduce((total, one) => total + (one ?? 0), 0);
const most = (numbers) => numbers.reduce((top, one) => Math.max(top, one ?? 0), 0);
const say = (id, text) => { document.getElementById(id).textContent = text; };

function axes() {
  const look = { stroke: colour("--ink-3"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const day = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short" });
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
  // A day at its midnight, and wherever days are apart; else the time of day.
  const words = (_plot, splits, _axis, _space, apart) => splits.map((at) => {
    const time = clock.format(at * 1000);
    return apart >= 86_400 || time === "00:00" ? day.format(at * 1000) : time;
  });
  return [{ ...look, values: words, space: 70 }, { ...look, size: 46, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000] }];
}

function draw(holder, data, series) {
  holder.replaceChildren();
  const plot = new uPlot(
    {
      width: holder.clientWidth,
      height: 200,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
      scales: { y: { range: (_plot, _low, high) => [0, Math.max(4, Math.ceil((high ?? 0) * 1.1))] } },
      axes: axes(),
      series: [{ value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }, ...series],
      cursor: { y: false, drag: { x: false, y: false } },
    },
    data,
    holder,
  );
  drawn.push({ holder, plot });
}

async function show() {
  const charts = document.getElementById("charts");
  if (!charts) return;
  for (const button of charts.querySelectorAll("[data-span]")) {
    if (button.dataset.span === span) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  const asked = span;
  const [found] = await Promise.all([
    fetch(`/api/v1/jobs/history?span=${span}`).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null),
    (async () => { uPlot ??= (await import(`${vendor}uPlot.esm.js`)).default; })(),
  ]);
  if (!found || asked !== span || !document.getElementById("charts")) return;
  const begin = Date.parse(found.begin) / 1000;
  const at = found.done.map((_, part) => begin + part * found.step_s);
  for (const { plot } of drawn) plot.destroy();
  drawn = [];
  const bars = uPlot.paths.bars({ size: [0.8, 20] });
  const ended = found.done.map((done, part) => (done === null ? null : done + found.failed[part]));
  draw(document.getElementById("chart-ended"), [at, ended, found.failed], [
    { label: "ended", stroke: colour("--accent"), fill: colour("--accent-soft"), paths: bars, points: { show: false } },
    { label: "of them failed", stroke: colour("--offline"), fill: colour("--offline"), paths: bars, points: { show: false } },
  ]);
  const queues = Object.keys(found.waiting);
  draw(document.getElementById("chart-waiting"), [at, ...queues.map((queue) => found.waiting[queue])], queues.map((queue) => {
    const [name, dash] = LINES[queue];
    return { label: TITLES[queue], stroke: colour(name), dash, width: 2 };
  }));
  say("ended-said", `${sum(ended)} ${WORDS[span]}, ${sum(found.failed)} of them failed`);
  say("waiting-said", `at most ${queues.map((queue) => `${most(found.waiting[queue])} ${TITLES[queue].toLowerCase()}`).join(", ")} ${WORDS[span]}`);
  document.getElementById("charts").dataset.ready = span;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-span]");
  if (!button) return;
  span = button.dataset.span;
  show();
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (document.getElementById("charts") && !document.getElementById("charts").dataset.ready) show();
});
addEventListener("resize", () => {
  for (const { holder, plot } of drawn) plot.setSize({ width: holder.clientWidth, height: 200 });
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
setInterval(() => document.hidden || show(), AGAIN_MS);
show();
