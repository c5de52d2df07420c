"""`make bench-ingest`: how many fixes a second the whole box stores, how soon, and what one broken tracker does to it.

Both contenders take turns in one run, on a load that is the same; the do-nothing subscriber has a broker of its own,
set up as the box's, with the box idle beside it. `--quick` is for those who change this file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from running_box import RunningBox

from appliance import clock, config
from appliance.config import Settings
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from mqtt_bridge import simulated_fleet
from mqtt_bridge.feed import Feed, Seen
from mqtt_bridge.load import Load, Plan
from mqtt_bridge.simulate import Spread, shown, spread
from mqtt_bridge.simulated_fleet import Simulated
from tests import cast
from tests.bench.do_nothing import DoNothing
from tests.ports import free_port
from tests.servers import Role, wait_for

VEHICLES = 200
AHEAD = 20_000
WAITING = 1_000_000
FLOOD_HZ = 5000.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["speed", "latency", "flood", "memory"])
    given = parser.parse_args()
    rounds, messages, seconds, waiting = (1, 20_000, 5.0, 50_000) if given.quick else (3, 150_000, 60.0, WAITING)
    found: dict[str, Any] = {"cpus": os.cpu_count(), "load_before": os.getloadavg()}
    print(f"{os.cpu_count()} processors, load average before: {' '.join(f'{one:.2f}' for one in os.getloadavg())}")
    with tempfile.TemporaryDirectory(prefix="depot-") as folder:
        if given.only != "memory":
            with RunningBox(Path(folder) / "data") as box, paho_alone(Path(folder)) as bare:
                if given.only in (None, "speed"):
                    found["single"] = speed(box, bare, rounds, messages, 1)
                    found["arrays"] = speed(box, bare, rounds, messages // 2, 10)
                if given.only in (None, "latency"):
                    found["latency"] = [latency(box, seconds) for _ in range(rounds)]
                if given.only in (None, "flood"):
                    found["flood"] = flood(box, seconds / 2)
        if given.only in (None, "memory"):
            found["memory"] = memory(Path(folder), waiting)
    found["load_after"] = os.getloadavg()
    print(f"load average after: {' '.join(f'{one:.2f}' for one in os.getloadavg())}")
    print(json.dumps(found, default=lambda one: {name: getattr(one, name) for name in one.__struct_fields__}))


@contextmanager
def paho_alone(folder: Path) -> Iterator[Settings]:
    """A broker without a bridge."""
    (folder / "bare").mkdir()
    settings = cast.depot(folder / "bare", DEPOTBOX_MQTT__PORT=str(free_port()))
    broker = Role(settings, "mosquitto")
    try:
        yield settings
    finally:
        broker.kill()


def settings_of(box: RunningBox) -> Settings:
    return config.load(environ=box.environment)


def fleet_of(settings: Settings, count: int) -> list[Simulated]:
    db = open_depot(settings.paths.depot_db)
    try:
        return simulated_fleet.prepare(db, settings, count, clock.now(), own_sessions=False)
    finally:
        db.conn.close()


def speed(box: RunningBox, bare: Settings, rounds: int, messages: int, batch: int) -> dict[str, Any]:
    """Fixes a second, as fast as they are taken, for the box and for the subscriber that does nothing."""
    settings = settings_of(box)
    fleet = fleet_of(settings, VEHICLES)
    rate_hz = 30_000 * batch / VEHICLES  # spaces the fix times: closer than they are sent
    plan = Plan(
        vehicles=VEHICLES, rate_hz=min(rate_hz, 1000), duration_s=messages * batch / VEHICLES / min(rate_hz, 1000),
        batch=batch, outstanding=AHEAD * (1 if batch == 1 else 3),
    )  # fmt: skip
    ours, theirs, cpu_us = [], [], []
    for _ in range(rounds):
        subscriber = DoNothing(bare)
        theirs.append(run(Load(bare, plan, fleet, lambda one=subscriber: one.count * batch)))
        subscriber.stop()
        bridge = psutil.Process(box.roles()["bridge"]["pid"])
        before, stored = sum(bridge.cpu_times()[:2]), Store(settings.paths.gps_dir).count()
        ours.append(run(Load(settings, plan, fleet)))
        cpu_us.append((sum(bridge.cpu_times()[:2]) - before) / plan.fixes * 1e6)
        assert Store(settings.paths.gps_dir).count() - stored == plan.fixes, "not every acknowledged fix is stored"
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    title = "one fix a message" if batch == 1 else f"arrays of {batch}"
    print(
        f"{title}: stored by the box      {said(ours)} fixes/s   bridge {statistics.median(cpu_us):.0f} µs of CPU a fix"
    )
    print(f"{title}: taken by paho alone    {said(theirs)} fixes/s")
    print(f"{title}: ratio                  {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return {"stored_per_s": ours, "paho_per_s": theirs, "ratios": ratios, "cpu_us": cpu_us}


def run(load: Load) -> float:
    """Fixes a second from the first one sent to the last one through."""
    try:
        load.send()
        load.drain()
        return load.plan.fixes / (time.monotonic() - load.began)
    finally:
        load.close()


def latency(box: RunningBox, seconds: float) -> dict[str, Spread | None]:
    """500 fixes a second: from publish to commit, to the live feed, and to a browser's event stream."""
    settings = settings_of(box)
    load = Load(settings, Plan(vehicles=100, rate_hz=5, duration_s=seconds), fleet_of(settings, 100))
    feed = Feed(settings.paths.redis_socket, simulated_fleet.PREFIX)
    box.token()  # an administrator: the box is set up
    browser = Browser(box.web_port, box.token("viewer", "read"))
    feed.start()
    browser.start()
    try:
        run(load)
    finally:
        feed.stop()
        browser.stop()
    found = {
        "commit": spread(load.took_s),
        "live": spread(shown(load, feed.seen)),
        "browser": spread(shown(load, browser.seen)),
    }
    for name, one in found.items():
        print(f"500 fixes/s, publish to {name:<8} {text(one)}")
    return found


class Browser:
    """An open page: reads `/api/v1/live` as its event stream."""

    def __init__(self, port: int, token: dict[str, str]) -> None:
        self.seen: list[Seen] = []
        self._token = token
        self._url = f"http://127.0.0.1:{port}/api/v1/live"
        self._open = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._open.wait(10), "no event stream"

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(20)

    def _run(self) -> None:
        kind = ""
        with httpx.stream("GET", self._url, timeout=30, headers=self._token) as answer:
            for line in answer.iter_lines():
                self._open.set()
                if self._stopped.is_set():
                    return
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind == "vehicle":
                    now, data = time.monotonic(), json.loads(line[6:])
                    self.seen.append(Seen(data["code"], datetime.fromisoformat(data["at"]).timestamp() * 1000, now))


def flood(box: RunningBox, seconds: float) -> dict[str, Any]:
    """The others' latency at 500 fixes a second: alone, and beside one tracker that floods, first within its burst and
    then above its limit."""
    settings = settings_of(box)
    fleet = fleet_of(settings, 101)
    burst_s = settings.limits.fixes_burst / FLOOD_HZ
    seconds = min(seconds, burst_s * 0.7)
    found: dict[str, Any] = {}
    began = 0.0
    flooding = get_context("spawn").Process(target=_flood, args=(dict(box.environment), fleet[100]), daemon=True)
    for name in ("alone", "beside a flood within its burst", "beside a flood above its limit"):
        if name == "beside a flood within its burst":
            flooding.start()
            began = time.monotonic()
            time.sleep(1.0)
        if name == "beside a flood above its limit":
            used_up_at = began + burst_s + 3.0
            wait_for(lambda at=used_up_at: time.monotonic() > at, "the burst is used up", burst_s * 2)
        load = Load(settings, Plan(vehicles=100, rate_hz=5, duration_s=seconds), fleet[:100])
        run(load)
        found[name] = spread(load.took_s)
        print(f"the others {name:<32} commit {text(found[name])}")
    assert flooding.is_alive(), "the flood ended too soon"
    flooding.kill()
    flooding.join()
    stored = Store(settings.paths.gps_dir).counts_of([fleet[100].id], [])[0]
    print(f"of the flood of {FLOOD_HZ:.0f} messages a second, {stored} fixes were stored")
    return found | {"stored_of_flood": stored}


def _flood(environ: dict[str, str], van: Simulated) -> None:
    Load(config.load(environ=environ), Plan(vehicles=1, rate_hz=FLOOD_HZ, duration_s=120), [van]).send()


def memory(folder: Path, waiting: int) -> dict[str, Any]:
    """The bridge's memory while it works off what has queued up at the broker in its absence."""
    (folder / "queue").mkdir()
    settings = cast.depot(folder / "queue", DEPOTBOX_MQTT__PORT=str(free_port()))
    fleet = fleet_of(settings, VEHICLES)
    broker = Role(settings, "mosquitto")
    bridge = Role(settings, "bridge")
    idle = psutil.Process(bridge.process.pid).memory_info().rss
    bridge.process.terminate()
    bridge.process.wait()
    per_van = waiting // VEHICLES
    load = Load(settings, Plan(vehicles=VEHICLES, rate_hz=1000, duration_s=per_van / 1000, outstanding=10**9), fleet)
    load._stored = lambda: load.sent_acknowledged
    run(load)
    held = psutil.Process(broker.process.pid).memory_info().rss
    store = Store(settings.paths.gps_dir)
    began, bridge = time.monotonic(), Role(settings, "bridge")
    process, most, stored, grew_at = psutil.Process(bridge.process.pid), 0, 0, began
    while stored < load.plan.fixes and time.monotonic() - grew_at < 20:
        time.sleep(0.5)  # the pace of looking: to count is work beside what is measured
        most = max(most, process.memory_info().rss)
        if (count := store.count()) > stored:
            stored, grew_at = count, time.monotonic()
    bridge.kill()
    broker.kill()
    took = time.monotonic() - began
    print(f"{stored} fixes of {load.plan.fixes} messages stored from the broker's queue in {took:.0f} s")
    print(f"memory of the bridge: {idle / 2**20:.0f} MiB idle, at most {most / 2**20:.0f} MiB")
    print(f"memory of the broker with the queue: {held / 2**20:.0f} MiB")
    return {
        "idle_bytes": idle,
        "most_bytes": most,
        "broker_bytes": held,
        "messages": load.plan.fixes,
        "stored": stored,
        "seconds": took,
    }


def said(values: list[float]) -> str:
    return f"{statistics.median(values):8.0f} ({min(values):.0f} to {max(values):.0f})"


def text(one: Spread | None) -> str:
    assert one is not None
    return f"p50 {one.p50_ms:6.1f} ms   p99 {one.p99_ms:6.1f} ms   most {one.max_ms:6.1f} ms   ({one.count})"


if __name__ == "__main__":
    main()
