"""`make bench-web`: the depot's screen at its limits: 100,000 trips and invoices, 200 vehicles, 500 fixes a second.

First every list and page by itself, then the same ones beside the load, with one real Chromium on the board and 19 more
live clients. From publish to screen means: to the frame after the one in which the page took the event in; the first
seconds, in which the vehicles appear and the map is fitted to them, are told by themselves. `--quick` is for those who
change this file.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from running_box import RunningBox

from appliance import config
from mqtt_bridge.feed import Seen
from mqtt_bridge.load import Load, Plan
from mqtt_bridge.simulate import shown, spread
from tests import big_depot
from tests.bench.ingest import fleet_of, run, text
from tests.e2e.browser import chromium
from tests.web import world

VEHICLES, RATE_HZ, CLIENTS = 100, 5, 19
BEGINNING_S = 5.0
PAUSE_S = 0.2
"""Between two pages that are asked for beside the load: what a few people click."""
LISTS = (
    "/api/v1/trips", "/api/v1/trips?state=completed&offset=50000", "/api/v1/invoices", "/api/v1/invoices?state=issued",
    "/api/v1/invoices?offset=90000", "/api/v1/vehicles", "/api/v1/drivers", "/api/v1/payers",
    "/api/v1/adjustments", "/api/v1/jobs", "/api/v1/alerts", "/api/v1/shifts", "/api/v1/notifications",
)  # fmt: skip
PAGES = (
    "/", "/board", "/strip", "/trips/99000", "/run-sheets", "/vehicles", "/vehicles/VAN-001", "/drivers", "/patients",
    "/invoices", "/invoices?q=Payer+7", "/invoices?aging=90%2B", "/invoices/50000", "/invoices/unbilled",
    "/invoices/adjustments", "/invoices/print", "/payers", "/payers/7", "/work", "/system", "/inbox", "/users",
    "/account", "/help",
)  # fmt: skip
SEEN = """(() => {
  window.shown = [];
  const listen = EventSource.prototype.addEventListener;
  EventSource.prototype.addEventListener = function (kind, heard, ...rest) {
    if (kind !== "vehicle") return listen.call(this, kind, heard, ...rest);
    return listen.call(this, kind, (event) => {
      heard(event);
      const { code, at } = JSON.parse(event.data);
      requestAnimationFrame(() => requestAnimationFrame(() => window.shown.push([code, at, Date.now()])));
    }, ...rest);
  };
})()"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    seconds, rounds = (10.0, 3) if quick else (60.0, 20)
    print(f"{os.cpu_count()} processors, load average before: {' '.join(f'{one:.2f}' for one in os.getloadavg())}")
    with tempfile.TemporaryDirectory(prefix="depot-") as folder:
        data_dir = Path(folder) / "data"
        big_depot.make(data_dir, datetime.now(UTC), *([100_000] if quick else []))
        with RunningBox(data_dir) as box:
            settings = config.load(environ=box.environment)
            person = world.as_user(settings)
            cookie = {"Cookie": f"depot={person.session}", "Accept": "text/html"}
            found: dict[str, Any] = {"alone": alone(box.web_port, cookie, rounds)}
            found["beside"] = beside(box, person, cookie, seconds)
    print(f"load average after: {' '.join(f'{one:.2f}' for one in os.getloadavg())}")
    print(json.dumps(found, default=lambda one: {name: getattr(one, name) for name in one.__struct_fields__}))


def alone(port: int, headers: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """Each list and page by itself; ms from request to the last byte."""
    took: dict[str, list[float]] = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        for path in (*LISTS, *PAGES):
            took[path] = [asked(client, path) for _ in range(rounds)]
    for path, ms in sorted(took.items(), key=lambda item: -statistics.median(item[1])):
        print(f"alone: {path:<48} median {statistics.median(ms):6.1f} ms   most {max(ms):6.1f} ms")
    return took


def asked(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return (time.perf_counter() - began) * 1000


def beside(box: RunningBox, person: world.SignedIn, headers: dict[str, str], seconds: float) -> dict[str, Any]:
    """At 500 fixes a second: from publish to the screen, the share of a core that `web` takes, and pages beside it."""
    settings = config.load(environ=box.environment)
    load = Load(settings, Plan(vehicles=VEHICLES, rate_hz=RATE_HZ, duration_s=seconds), fleet_of(settings, VEHICLES))
    url, over = f"http://127.0.0.1:{box.web_port}", threading.Event()
    ms: dict[str, list[float]] = {path: [] for path in (*LISTS, *PAGES)}

    def click() -> None:
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            while not over.is_set():
                for path, took in ms.items():
                    took.append(asked(client, path))
                    if over.wait(PAUSE_S):
                        return

    with listeners(box.web_port, headers["Cookie"]), chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.context.add_cookies([person.cookie(url)])
        page.add_init_script(SEEN)
        page.goto(url)
        page.locator("body[data-link=up]").wait_for()
        page.locator("#map[data-ready=yes]").wait_for()
        web = psutil.Process(box.roles()["web"]["pid"])
        clicking, sending = threading.Thread(target=click), threading.Thread(target=run, args=(load,))
        began, used = time.monotonic(), sum(web.cpu_times()[:2])
        clicking.start()
        sending.start()
        while sending.is_alive():
            page.wait_for_timeout(500)  # the browser's messages are taken in meanwhile
        cores = (sum(web.cpu_times()[:2]) - used) / (time.monotonic() - began)
        over.set()
        clicking.join()
        told = page.evaluate("window.shown")
    offset = time.monotonic() - time.time()
    seen = [Seen(code, datetime.fromisoformat(at).timestamp() * 1000, now / 1000 + offset) for code, at, now in told]
    begun = min(one.seen_at for one in seen) + BEGINNING_S
    beginning = spread(shown(load, (one for one in seen if one.seen_at < begun)))
    screen = spread(shown(load, (one for one in seen if one.seen_at >= begun)))
    pages = spread(one / 1000 for took in ms.values() for one in took)
    print(f"500 fixes/s, publish to screen           {text(screen)}")
    print(f"the first {BEGINNING_S:.0f} s of it                     {text(beginning)}")
    print(f"pages and lists beside it                {text(pages)}")
    for path in sorted(ms, key=lambda path: -max(ms[path]))[:8]:
        print(f"beside: {path:<47} median {statistics.median(ms[path]):6.1f} ms   most {max(ms[path]):6.1f} ms")
    print(f"web takes {cores:.2f} of a core, {CLIENTS} live clients and one browser")
    return {"screen": screen, "beginning": beginning, "pages": pages, "web_cores": cores}


@contextmanager
def listeners(port: int, cookie: str) -> Iterator[None]:
    """CLIENTS open event streams, which are read and thrown away in a process of their own."""
    ready = get_context("spawn").Event()
    process = get_context("spawn").Process(target=_listen, args=(port, cookie, ready), daemon=True)
    process.start()
    assert ready.wait(30), "no event streams"
    try:
        yield
    finally:
        process.kill()
        process.join()


def _listen(port: int, cookie: str, ready: Any) -> None:
    streams = selectors.DefaultSelector()
    asking = f"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n"
    for _ in range(CLIENTS):
        stream = socket.create_connection(("127.0.0.1", port))
        stream.sendall(asking.encode())
        assert b" 200 " in stream.recv(65536), "no event stream"
        streams.register(stream, selectors.EVENT_READ)
    ready.set()
    while True:
        for key, _ in streams.select():
            assert isinstance(key.fileobj, socket.socket)
            assert key.fileobj.recv(65536), "an event stream ended"


if __name__ == "__main__":
    main()
