// The one connection for live events. After a gap the server says `resync`, and so does every new connection.

/** Calls `on.vehicle(data)`, `on.alert(data)`, `on.changed(data)` for anything the board or the bell shows, `on.resync()`, `on.link(up)`. */
export function listen(on) {
  let source = null;
  let again = 0;
  const open = () => {
    if (source && source.readyState !== EventSource.CLOSED) return;
    source = new EventSource("/api/v1/live");
    source.addEventListener("open", () => {
      on.link(true);
      on.resync();
    });
    source.addEventListener("resync", () => on.resync());
    source.addEventListener("vehicle", (event) => on.vehicle(JSON.parse(event.data)));
    source.addEventListener("alert", (event) => on.alert(JSON.parse(event.data)));
    for (const kind of ["trip", "invoice", "trip_status", "inbox"]) {
      source.addEventListener(kind, (event) => on.changed(JSON.parse(event.data)));
    }
    source.addEventListener("error", () => {
      on.link(false);
      clearTimeout(again);
      if (source.readyState !== EventSource.CLOSED) return;
      // A browser gives up for good on an answer that is no stream, such as a 503 while the box starts. Or the session is
      // over: then asking for the state leads to the login page.
      again = setTimeout(open, 2000);
      on.resync();
    });
  };
  const close = () => {
    clearTimeout(again);
    source?.close();
  };
  // A browser keeps at most six connections to one server, over all its tabs: one that nobody sees must not hold any.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => document.hidden || open());
  if (!document.hidden) open();
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
