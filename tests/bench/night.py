"""`make bench-night`: 1,000 depots send their night to one centre at once: over HTTP, signed, their books at the end.

    .venv/bin/python -m tests.bench.night [DEPOTS]

The load runs on the same processors. Bodies are packed and signed before the clock starts.
"""

from __future__ import annotations

import os
import queue
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
from sqlalchemy import func, select

from appliance.central import db, enrol, migrate
from appliance.central.config import load
from appliance.central.tables import batches, receipts
from tests.central import postgres
from tests.central.box import Box, trip
from tests.central.test_serve import Served
from tests.servers import wait_for

LINES = 64
"""Requests at a time: about what comes together when depots begin within half an hour of each other."""
INVOICES, TRIPS = 20, 10
POINTS = 30


class Recorder(httpx.BaseTransport):
    """Keeps the requests of a box in the place of sending them."""

    def __init__(self) -> None:
        self.kept: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.kept.append(request)
        return httpx.Response(200, json={})


@dataclass
class Told:
    """What the lines have measured."""

    ms: list[float] = field(default_factory=list)
    again: int = 0
    wrong: list[str] = field(default_factory=list)


def night(code: str) -> tuple[Box, list[httpx.Request], int]:
    """A depot, its requests of a night, and how many rows are in them."""
    recorder = Recorder()
    box = Box(httpx.Client(transport=recorder, base_url="http://centre"), code)
    trips = [trip(state="completed") for _ in range(INVOICES)]
    for one in trips:
        made = box.invoice(trip_uid=one["uid"])
        box.tell("invoices", "issued", made)
        box.tell("invoices", "sent", made | {"sent_at": made["issued_at"]})
        points = [[-2.0 - random.random(), 53.0 + random.random(), 1_769_400_000 + n] for n in range(POINTS)]
        box.tell("trails", "trail", {"trip_uid": one["uid"], "tolerance_m": 50.0, "points": points})
    for one in trips[:TRIPS]:
        box.tell("trips", "trip", one)
    for stream in ("invoices", "trips", "trails"):
        box.send(box.packed(stream))
    box.reconcile(box.books())
    rows = sum(len(rows) for rows in box.log.values())
    return box, recorder.kept, rows


def send(url: str, waiting: queue.SimpleQueue[list[httpx.Request]], told: Told) -> None:
    """One line: takes one depot after another, and each of its requests in turn."""
    with httpx.Client(base_url=url, timeout=120) as client:
        while True:
            try:
                requests = waiting.get_nowait()
            except queue.Empty:
                return
            for one in requests:
                headers = {name: value for name, value in one.headers.items() if name not in ("host", "connection")}
                while True:
                    began = time.perf_counter()
                    answer = client.request(one.method, one.url.path, content=one.content, headers=headers)
                    if answer.status_code != 503:
                        break
                    told.again += 1
                    time.sleep(float(answer.headers.get("retry-after", 1)) * random.random())  # as boxes do
                told.ms.append((time.perf_counter() - began) * 1000)
                if answer.status_code != 200:
                    told.wrong.append(answer.text)


@contextmanager
def centre(url: str, folder: Path) -> Iterator[Served]:
    served = Served(url, folder)
    served.start()
    try:
        yield served
    finally:
        served.end(15)  # type: ignore[arg-type]


def measure(name: str, url: str, folder: Path, depots: int) -> None:
    engine = db.connect(url)
    migrate.migrate(engine, datetime.now(UTC))
    with centre(url, folder) as served:
        settings = load(environ=served.environ)
        made = [night(f"D{number:04}") for number in range(depots)]
        with httpx.Client(base_url=served.url, timeout=60) as client:
            for box, _, _ in made:
                with db.write_tx(engine) as tx:
                    code = enrol.add(tx, box.code, box.code, settings, who="bench", now=datetime.now(UTC))
                box.client = client
                assert box.enrol(code).status_code == 201
        waiting: queue.SimpleQueue[list[httpx.Request]] = queue.SimpleQueue()
        for _, requests, _ in made:
            waiting.put(requests)
        told = Told()
        lines = [threading.Thread(target=send, args=(served.url, waiting, told)) for _ in range(LINES)]
        assert served.process is not None
        process = psutil.Process(served.process.pid)
        used, began = sum(process.cpu_times()[:2]), time.perf_counter()
        for line in lines:
            line.start()
        for line in lines:
            line.join()
        took = time.perf_counter() - began
        wait_for(lambda: not left(engine), "all is applied", 600)
        applied = time.perf_counter() - began
        cores = (sum(process.cpu_times()[:2]) - used) / applied
        with db.read(engine) as connection:
            whole = db.value(connection, select(func.count()).select_from(receipts).where(receipts.c.whole))
    engine.dispose()
    rows, ms = sum(count for _, _, count in made), sorted(told.ms)
    speed = f"{rows / took:,.0f} rows/s, {len(ms) / took:,.0f} requests/s"
    print(f"{name}: {depots} depots, {rows} rows in {took:.1f} s: {speed}")
    half, last = ms[len(ms) // 2], ms[len(ms) * 99 // 100]
    print(f"  answers p50 {half:.0f} ms, p99 {last:.0f} ms; told to wait {told.again} times")
    print(f"  all shown after {applied:.1f} s; {whole} whole receipts; the server took {cores:.2f} of a core")
    assert not told.wrong, told.wrong[:3]


def left(engine: db.Engine) -> int:
    with db.read(engine) as connection:
        return int(
            db.value(connection, select(func.count()).select_from(batches).where(batches.c.applied_at.is_(None))) or 0
        )


def main() -> None:
    depots = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{os.cpu_count()} processors, load average before: {' '.join(f'{one:.2f}' for one in os.getloadavg())}")
    with tempfile.TemporaryDirectory(prefix="night-") as name:
        folder = Path(name)
        (folder / "lite").mkdir()
        measure("SQLite", f"sqlite:///{folder / 'lite' / 'central.db'}", folder / "lite", depots)
        with postgres.running("fsync=on", within=None) as url:
            (folder / "pg").mkdir()
            measure("PostgreSQL", postgres.create(url, "night"), folder / "pg", depots)


if __name__ == "__main__":
    main()
