"""Beat's own round, with the parts that it really has: entries, sweeper and housekeeping, and a clock that jumps."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest

from appliance import work_history
from appliance.storage import jobs as job_rows
from appliance.storage import schedules, times
from appliance.storage.db import connect, rows, value, write_tx
from tasks import clockwatch
from tasks.box import Box
from tasks.celery import app
from tasks.scheduler import PRUNE_EVERY, DepotScheduler
from tests.cast import NOON, SetClock
from tests.servers import Redis

ENTRY = "check-trip-timeouts"
EVERY_S = 300


class Beat:
    """A scheduler whose two clocks move together, unless the wall clock is set."""

    def __init__(self, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = clock
        self.elapsed = 1000.0
        self.made = DepotScheduler(app=app)
        monkeypatch.setattr(self.made._clock, "_monotonic", lambda: self.elapsed)

    def run(self, seconds: float, step_s: float = 10.0) -> None:
        """So many seconds of rounds."""
        end = self.elapsed + seconds
        while self.elapsed < end:
            self.elapsed += step_s
            self.clock.move(step_s)
            assert self.made.tick() == 1.0


@pytest.fixture
def beat(box: Box, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> Beat:
    with write_tx(box.db) as tx:
        schedules.ensure_defaults(tx)
        tx.conn.execute("DELETE FROM schedules WHERE name <> ?", (ENTRY,))
    made = Beat(set_clock, monkeypatch)
    assert made.made.tick() == 1.0
    return made


def runs(box: Box) -> int:
    """How often the entry has become a job; each one is done at once."""
    box.db.conn.execute("UPDATE jobs SET state = 'done', finished_at = created_at WHERE state = 'pending'")
    return int(value(box.db, "SELECT count(*) FROM jobs WHERE name LIKE '%timeouts'"))


def test_a_new_entry_is_planned_one_interval_ahead(box: Box, beat: Beat) -> None:
    assert runs(box) == 0
    entry = schedules.get(box.db, ENTRY)
    assert entry is not None
    assert times.parse(entry["next_run_at"]) == NOON + timedelta(seconds=EVERY_S)
    beat.run(EVERY_S - 10)
    assert runs(box) == 0
    beat.run(10)
    assert runs(box) == 1


def test_an_entry_runs_once_an_interval(box: Box, beat: Beat) -> None:
    for expected in range(1, 5):
        beat.run(EVERY_S)
        assert runs(box) == expected


def test_an_entry_that_was_overdue_for_days_runs_once(box: Box, beat: Beat, set_clock: SetClock) -> None:
    """The box was off: both clocks have moved on."""
    set_clock.move(5 * 86_400)
    beat.elapsed += 5 * 86_400
    for _ in range(3):
        beat.made.tick()
    assert runs(box) == 1
    beat.run(EVERY_S)
    assert runs(box) == 2


@pytest.mark.parametrize("step_s", [-3600, -86_400 * 365, 3600, 86_400 * 365])
def test_a_clock_that_jumps_stalls_no_entry_for_longer_than_its_interval_and_hastens_none(
    box: Box, beat: Beat, set_clock: SetClock, step_s: int
) -> None:
    beat.run(EVERY_S / 2)
    set_clock.move(step_s)
    beat.run(EVERY_S / 2 - 20)
    assert runs(box) == 0
    beat.run(40)
    assert runs(box) == 1
    beat.run(EVERY_S)
    assert runs(box) == 2


def test_two_beats_at_once_run_an_entry_once(box: Box, beat: Beat) -> None:
    other = DepotScheduler(app=app)
    other._clock = clockwatch.ClockWatch(box.db, lambda: beat.elapsed)
    for _ in range(65):
        beat.run(10)
        other.tick()
        done = runs(box)
    assert done == 2


def test_an_entry_whose_job_still_waits_does_not_pile_up(box: Box, beat: Beat) -> None:
    """All workers are gone for an hour: one job is enough."""
    beat.run(3600)
    assert value(box.db, "SELECT count(*) FROM jobs WHERE name LIKE '%timeouts' AND state = 'pending'") == 1


@pytest.mark.parametrize(
    "edit",
    ["task = 'no.such.task'", "arguments = '{'", "arguments = '[]'", "every_s = 0", "every_s = -5", "every_s = 1e300",
     "every_s = NULL, crontab = 'no crontab'", "zone = 'Mars/Olympus', every_s = NULL, crontab = '* * * * *'",
     "next_run_at = 'soon'"],
)  # fmt: skip
def test_a_broken_entry_ends_neither_beat_nor_the_other_entries(box: Box, beat: Beat, edit: str) -> None:
    with write_tx(box.db) as tx:
        tx.conn.execute(
            "INSERT INTO schedules (name, task, every_s, next_run_at) VALUES ('a-broken-one',"
            " 'trips.tasks.cleanup_old_gps_data', 60, '2026-01-01T00:00:00.000Z')"
        )
        tx.conn.execute(f"UPDATE schedules SET {edit} WHERE name = 'a-broken-one'")
    beat.run(EVERY_S)
    assert runs(box) == 1


def test_a_round_sends_what_has_come_due(box: Box, beat: Beat, redis_of_depot: Redis) -> None:
    beat.run(EVERY_S)
    (raw,) = redis_of_depot.client().lrange("normal", 0, -1)
    assert json.loads(raw)["headers"]["task"] == "trips.tasks.check_trip_timeouts"


def test_a_busy_database_only_delays_a_round(box: Box, beat: Beat) -> None:
    rival = connect(box.settings.paths.depot_db)
    box.db.conn.execute("PRAGMA busy_timeout=10")
    rival.conn.execute("BEGIN IMMEDIATE")
    beat.run(EVERY_S)
    rival.conn.execute("ROLLBACK")
    rival.conn.close()
    beat.run(10)
    assert runs(box) == 1


def test_a_round_without_redis_does_not_take_long(box: Box, beat: Beat) -> None:
    beat.run(EVERY_S + 60)
    began = time.monotonic()
    beat.run(30)
    assert time.monotonic() - began < 2


def test_housekeeping_forgets_old_jobs_and_dead_workers(box: Box, beat: Beat) -> None:
    locks = box.settings.paths.worker_locks_dir
    (locks / "1-dead").touch()
    beat.run(EVERY_S)
    assert runs(box) == 1
    box.db.conn.execute("UPDATE jobs SET finished_at = '2025-12-01T00:00:00.000Z'")
    beat.made._steps = PRUNE_EVERY
    beat.run(10)
    assert rows(box.db, "SELECT 1 FROM jobs WHERE finished_at < '2026'") == []
    assert [path.name for path in locks.iterdir()] == [box.lock.name]
    assert job_rows.running(box.db) == []


def test_what_waits_is_noted_once_a_minute_and_forgotten_after_a_month(
    box: Box, beat: Beat, set_clock: SetClock
) -> None:
    for _ in range(2 * work_history.SAMPLE_S):
        beat.run(1, 1)
    (kept,) = rows(box.db, "SELECT count(DISTINCT at) AS n, count(*) AS all_rows FROM queue_samples")
    assert kept == {"n": 3, "all_rows": 9}
    set_clock.move(31 * 86_400)
    beat.elapsed += 31 * 86_400
    for _ in range(work_history.SAMPLE_S):
        beat.run(1, 1)
    assert value(box.db, "SELECT count(DISTINCT at) FROM queue_samples") == 1
