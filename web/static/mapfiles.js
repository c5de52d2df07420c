// The page Base map: sends a file of any size, and says how far it is.

const MIB = 1048576;
const UNFINISHED = "The connection to the box ended; the map in use is what it was. Send it again.";

const at = (id) => document.getElementById(id);

function say(problem) {
  at("map-problem").textContent = problem;
  at("map-problem").hidden = !problem;
}

function busy(yes) {
  at("map-progress").hidden = !yes;
  at("map-cancel").hidden = !yes;
  at("map-send").disabled = yes;
}

function detail(request) {
  try {
    const said = JSON.parse(request.responseText).detail;
    return `${said[0].toUpperCase()}${said.slice(1)}.`;
  } catch {
    return `The box answered with ${request.status}.`;
  }
}

function send(file) {
  const request = new XMLHttpRequest(); // fetch does not say how much is sent
  const done = (problem) => {
    busy(false);
    say(problem);
  };
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    document.querySelector("#map-progress progress").value = total ? (100 * loaded) / total : 0;
    const sent = `${(loaded / MIB).toFixed(1)} of ${(total / MIB).toFixed(1)} MiB sent`;
    at("map-sent").textContent = loaded < total ? sent : "All is sent; the box checks it.";
  });
  request.addEventListener("load", () => {
    if (request.status === 200) location.assign("/system/map?sent=true");
    else done(detail(request));
  });
  request.addEventListener("error", () => done(UNFINISHED));
  request.addEventListener("abort", () => done("Cancelled; the map in use is what it was."));
  request.open("PUT", "/api/v1/map");
  for (const [name, value] of Object.entries(JSON.parse(document.body.getAttribute("hx-headers")))) request.setRequestHeader(name, value);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  at("map-cancel").onclick = () => request.abort();
  busy(true);
  say("");
  request.send(file);
}

document.addEventListener("submit", (event) => {
  if (event.target.id !== "map-form") return;
  event.preventDefault();
  const [file] = at("map-file").files;
  if (file) send(file);
});
