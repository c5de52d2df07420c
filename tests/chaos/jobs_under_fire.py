"""Thousands of jobs while workers and Redis are killed: none lost, each effect exactly once.

The effect is a real one: `generate_invoice` takes a number and appends to the sync log, and asks for
`send_invoice_email`, which puts the invoice on the print list and appends again. A double effect would be a double row,
a lost one a gap; neither can be hidden by a unique key, because the sync log has none on what it tells.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil
from sqlite_utils import Database

from appliance import dispatch
from appliance.config import Settings
from appliance.domain.fare import Rate
from appliance.domain.trip import LevelOfService, State
from appliance.storage import payers, times, trips
from appliance.storage.db import open_depot, rows, value, write_tx
from tests import cast

WORKERS = (("normal", "n1"), ("normal", "n2"), ("low_priority", "l1"), ("low_priority", "l2"))
AFTER_LAST_KILL_S = 60.0


def wait_for(done: Callable[[], object], what: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.05)


@dataclass
class Fire:
    """A depot's Redis, beat and workers, each started again as soon as it is killed."""

    settings: Settings
    folder: Path
    dice: random.Random
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.db: Database = open_depot(self.settings.paths.depot_db)
        self.log = (self.folder / "fire.log").open("ab")

    def start(self, name: str) -> None:
        environment = os.environ | cast.environ(self.settings)
        if name in ("redis", "beat"):
            command = [sys.executable, "-m", "appliance", "role", name]
        else:
            queue = {worker: queue for queue, worker in WORKERS}[name]
            options = ["-Q", queue, "-n", f"{name}@%h", "-c", "1", "--loglevel", "error"]
            command = [sys.executable, "-m", "celery", "-q", "-A", "tasks", "worker", *options, "--without-mingle"]
        self.processes[name] = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)

    def start_all(self) -> None:
        self.start("redis")
        wait_for(self.settings.paths.redis_socket.exists, "redis listens", 20)
        for name in ("beat", *(worker for _, worker in WORKERS)):
            self.start(name)

    def kill_redis(self) -> None:
        self._kill(self.processes["redis"].pid)
        self.processes["redis"].wait()
        self.start("redis")

    def kill_a_worker(self) -> None:
        """A worker, or a process of its pool; a worker is started again at once, its pool by itself."""
        name = self.dice.choice([worker for _, worker in WORKERS])
        worker = self.processes[name]
        pool = psutil.Process(worker.pid).children() if worker.poll() is None else []
        self._kill(self.dice.choice([worker.pid, *(child.pid for child in pool)]))
        self.revive()

    def revive(self) -> None:
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.start(name)

    def done(self) -> int:
        return int(value(self.db, "SELECT count(*) FROM jobs WHERE state = 'done'"))

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
        for process in self.processes.values():
            process.wait()
        self.db.conn.close()
        self.log.close()

    @staticmethod
    def _kill(pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def fill(fire: Fire, count: int) -> None:
    """`count` completed trips of a payer who takes no mail, each with the job for its invoice."""
    now = datetime.now(UTC)
    with write_tx(fire.db) as tx:
        payer = payers.add(tx, "Payer by post", "facility", now, delivery="print")
        payers.add_rate(tx, payer, Rate(LevelOfService.ambulatory, date(2020, 1, 1), None, 1500, 200, "km"), now)
        for number in range(count):
            at = times.text(now - timedelta(seconds=number))
            trip = trips.add(
                tx, now, state=State.completed.value, payer_id=payer, pickup_at=at, pickup_address="here",
                dropoff_address="there", completed_at=at, on_board_at=at, distance_m=1000.0 + number,
            )  # fmt: skip
            dispatch.ask_for_invoice(tx, trip, now=now)
        tx.conn.execute("UPDATE jobs SET sent_at = NULL")


def burn(fire: Fire, count: int, worker_kills: int, redis_kills: int) -> dict[str, float]:
    """Runs `count` trips through both tasks under fire and asserts that every effect is there exactly once."""
    fill(fire, count)
    fire.start_all()
    began = time.monotonic()
    total = 2 * count
    kills = ["worker"] * worker_kills + ["redis"] * redis_kills
    fire.dice.shuffle(kills)
    for number, kill in enumerate(kills, 1):
        goal, patience = total * 0.9 * number / len(kills), time.monotonic() + 5.0
        wait_for(lambda g=goal, p=patience: fire.done() >= g or time.monotonic() > p, "the next kill", 60)
        fire.kill_redis() if kill == "redis" else fire.kill_a_worker()
    last_kill = time.monotonic()
    done_at_last_kill = fire.done()

    def all_done() -> bool:
        fire.revive()
        return fire.done() >= total

    wait_for(all_done, "all jobs are done", AFTER_LAST_KILL_S)
    finished = time.monotonic()
    lost, double = judge(fire.db, count)
    return {
        "jobs": total,
        "worker_kills": worker_kills,
        "redis_kills": redis_kills,
        "lost": lost,
        "double": double,
        "done_at_last_kill": done_at_last_kill,
        "all_done_after_last_kill_s": round(finished - last_kill, 1),
        "whole_s": round(finished - began, 1),
        "claimed_again": int(value(fire.db, "SELECT count(*) FROM jobs WHERE attempts > 1")),
    }


def judge(db: Database, count: int) -> tuple[int, int]:
    """How many effects are missing and how many are there twice; asserts that none is."""
    states = {row["state"]: row["n"] for row in rows(db, "SELECT state, count(*) AS n FROM jobs GROUP BY state")}
    assert states == {"done": 2 * count}
    numbers = [row["number"] for row in rows(db, "SELECT number FROM invoices ORDER BY number")]
    head = numbers[0].rpartition("A")[0]
    assert numbers == [f"{head}A{number:06}" for number in range(1, count + 1)]
    told = rows(db, "SELECT kind, count(*) AS n, count(DISTINCT uid) AS uids FROM sync_log"
                    " WHERE stream = 'invoices' GROUP BY kind ORDER BY kind")  # fmt: skip
    lost = sum(count - row["uids"] for row in told)
    double = sum(row["n"] - row["uids"] for row in told)
    assert told == [{"kind": kind, "n": count, "uids": count} for kind in ("issued", "print_listed")]
    return lost, double
