// The one connection for live events. After a gap the server says `resync`, and so does every new connection.

/** Calls `on.vehicle(data)`, `on.changed(data)` for anything the board shows, `on.resync()`, `on.link(up)`. */
export function listen(on) {
  let source;
  const open = () => {
    source = new EventSource("/api/v1/live");
    source.addEventListener("open", () => {
      on.link(true);
      on.resync();
    });
    source.addEventListener("resync", () => on.resync());
    source.addEventListener("vehicle", (event) => on.vehicle(JSON.parse(event.data)));
    for (const kind of ["trip", "invoice", "trip_status"]) {
      source.addEventListener(kind, (event) => on.changed(JSON.parse(event.data)));
    }
    source.addEventListener("error", () => {
      on.link(false);
      // A browser gives up for good on an answer that is no stream, such as a 503 while the box starts.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000);
    });
  };
  open();
  addEventListener("pagehide", () => source.close());
}

/** `run` at once, then at most once in `pause` ms; the last call is never forgotten. */
export function throttled(run, pause) {
  let last = -Infinity;
  let timer = 0;
  return () => {
    if (timer) return;
    const wait = Math.max(0, last + pause - performance.now());
    timer = setTimeout(() => {
      timer = 0;
      last = performance.now();
      run();
    }, wait);
  };
}
