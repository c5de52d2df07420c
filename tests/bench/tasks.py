"""`make bench-tasks`: what durability costs, and whether a backlog slows a broadcast down. Ratios within one run."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from appliance import events
from appliance.config import Settings
from appliance.storage.db import open_depot, value
from tasks.worker import NICE
from tests import cast
from tests.servers import running_redis

JOBS = 3000
BACKLOG = 10_000
BROADCASTS = 2000
POOL = "2"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="depot-") as folder:
        settings = cast.depot(Path(folder))
        os.environ |= cast.environ(settings)
        with running_redis(settings):
            speeds = throughput(settings)
            latencies = broadcasts(settings)
    print(f"plain Celery no-ops      {speeds['plain_per_s']:8.0f} /s   (pool of {POOL})")
    print(f"durable no-ops           {speeds['durable_per_s']:8.0f} /s   ratio {speeds['ratio']:.2f}")
    print(f"durable .delay()         {speeds['delay_per_s']:8.0f} /s")
    for name in ("unloaded", "loaded"):
        found = latencies[name]
        print(f"broadcast, {name:9}     p50 {found['p50_ms']:6.1f} ms   p99 {found['p99_ms']:6.1f} ms")
    print(f"loaded against unloaded  p50 {latencies['ratio_p50']:.2f}   p99 {latencies['ratio_p99']:.2f}")
    print(json.dumps({"throughput": speeds, "broadcast": latencies}))


def throughput(settings: Settings) -> dict[str, float]:
    """Both kinds are sent first and then worked off by the same pool; the clock runs from the first one done."""
    from tests.bench import app as bench  # here: the app reads its configuration from the environment set above

    queue = redis.Redis(unix_socket_path=str(settings.paths.redis_socket))
    db = open_depot(settings.paths.depot_db)
    began = time.monotonic()
    for _ in range(JOBS):
        bench.durable.delay()
    delay_per_s = JOBS / (time.monotonic() - began)

    def open_jobs() -> int:
        return int(value(db, "SELECT count(*) FROM jobs WHERE state <> 'done'"))

    durable_per_s = work_off(open_jobs, JOBS)
    for _ in range(JOBS):
        bench.plain.delay()
    plain_per_s = work_off(lambda: int(queue.llen("low_priority")), JOBS)
    return {
        "delay_per_s": delay_per_s,
        "durable_per_s": durable_per_s,
        "plain_per_s": plain_per_s,
        "ratio": durable_per_s / plain_per_s,
    }


def work_off(left: Callable[[], int], total: int) -> float:
    """Starts a worker, and returns how many a second it does between the first tenth and the last."""
    with worker("tests.bench.app", "low_priority", POOL):
        wait(lambda: left() <= total * 0.9)
        start, began = left(), time.monotonic()
        wait(lambda: left() <= total * 0.1)
        return (start - left()) / (time.monotonic() - began)


def broadcasts(settings: Settings) -> dict[str, dict[str, float] | float]:
    """From `.delay()` to the subscriber, with an idle box, and with a backlog that a worker of its own works off."""
    with worker("tasks", "high_priority", "1"):
        unloaded = latency(settings)
        from tests.bench import app as bench

        for _ in range(BACKLOG):
            bench.durable.delay()
        with worker("tests.bench.app", "low_priority", "1", NICE["low_priority"]):
            queue = redis.Redis(unix_socket_path=str(settings.paths.redis_socket))
            wait(lambda: int(queue.llen("low_priority")) < BACKLOG)
            loaded = latency(settings)
            assert int(queue.llen("low_priority")) > 0, "the backlog was gone before the measurement was"
    return {
        "unloaded": unloaded,
        "loaded": loaded,
        "ratio_p50": loaded["p50_ms"] / unloaded["p50_ms"],
        "ratio_p99": loaded["p99_ms"] / unloaded["p99_ms"],
    }


def latency(settings: Settings) -> dict[str, float]:
    from tasks.trips import broadcast_gps_update

    subscriber = redis.Redis(unix_socket_path=str(settings.paths.redis_socket), db=events.LIVE_DB).pubsub(
        ignore_subscribe_messages=True
    )
    subscriber.subscribe(events.CHANNEL)
    wait(lambda: subscriber.get_message(timeout=0.1) or subscriber.subscribed)
    taken = []
    for number in range(BROADCASTS + 20):
        began = time.monotonic()
        broadcast_gps_update.delay(trip_id=number, latitude=53.4, longitude=-2.9)
        while True:
            message = subscriber.get_message(timeout=10)
            if message and events.decode(message["data"]).key == str(number):
                break
            assert time.monotonic() - began < 30, "a broadcast did not arrive"
        taken.append((time.monotonic() - began) * 1000)
    taken = taken[20:]  # the first ones warm the worker up
    subscriber.close()
    return {"p50_ms": statistics.median(taken), "p99_ms": statistics.quantiles(taken, n=100)[98]}


class worker:  # noqa: N801  it reads as what it is: with worker(...)
    """A Celery worker on one queue, as a process."""

    def __init__(self, app: str, queue: str, pool: str, nice: int = 0) -> None:
        options = ["-Q", queue, "-n", f"{queue}@%h", "-c", pool, "--loglevel", "error", "--without-mingle"]
        celery = [sys.executable, "-m", "celery", "-q", "-A", app, "worker", *options, "--without-gossip"]
        self._command = ["nice", "-n", str(nice), *celery]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)

    def __exit__(self, *_: object) -> None:
        # Not asked: a pool process may wait for half a minute until its worker has counted its last results.
        self._process.kill()
        self._process.wait()


def wait(done: Callable[[], object], within_s: float = 300.0) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


if __name__ == "__main__":
    main()
