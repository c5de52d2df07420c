"""The sweeper: sends again what was never claimed, frees the jobs of dead workers, and turns late fixes into
recomputed trips. Made of steps; beat calls them once a second."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlite_utils import Database

from appliance import dispatch, log, worker_lock
from appliance.config import Settings
from appliance.jobs import EPHEMERAL, Ask
from appliance.sender import Sender
from appliance.storage import jobs, times, trips, watermarks
from appliance.storage.db import Row, write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_days import Stamp
from tasks.durable import TRIES

GRACE_S = 5.0
PATIENCE_S = 60.0

_log = log.get(__name__)


class Sweeper:
    """Holds what one step needs of the step before."""

    def __init__(self, settings: Settings, db: Database, sender: Sender, fixes: Store) -> None:
        self._settings = settings
        self._db = db
        self._sender = sender
        self._fixes = fixes
        self._locks: Path = settings.paths.worker_locks_dir
        self._queues = Redis(
            unix_socket_path=str(settings.paths.redis_socket),
            db=0,
            socket_timeout=1.0,
            socket_connect_timeout=1.0,
            retry=Retry(NoBackoff(), 1),  # beat must not wait for what is away
        )
        self._seen: dict[date, Stamp] = {}

    def step(self, now: datetime) -> None:
        """One round. A Redis that is away only delays it."""
        self.free_jobs_of_dead_workers(now)
        self.recompute_changed_trips(now)
        try:
            self.send_again(now)
        except RedisError:
            return

    def send_again(self, now: datetime) -> int:
        """Sends jobs that have come due, and jobs whose message must be lost. Returns how many. A message too many
        does no harm, but a queue that is merely long is not made longer."""
        waiting = [row for row in jobs.unfinished(self._db, now) if not self._parked(row, now)]
        chosen = [
            row
            for queue, rows in groupby(waiting, key=lambda row: str(row["queue"]))
            for row in _to_send(list(rows), self._length(queue), now)
        ]
        if chosen:
            with write_tx(self._db) as tx:
                jobs.mark_sent(tx, [row["id"] for row in chosen], now)
            self._sender.send(Ask(row["id"], row["name"], True) for row in chosen)
        return len(chosen)

    def free_jobs_of_dead_workers(self, now: datetime) -> int:
        """Puts the jobs of dead workers back; one that has lost its worker too often is parked. Returns how many."""
        dead = [row for row in jobs.running(self._db) if worker_lock.is_dead(self._locks, row["worker"])]
        for row in dead:
            failures = row["failures"] + 1
            error = "the worker died while it ran the job"
            with write_tx(self._db) as tx:
                if failures >= TRIES:
                    jobs.fail(tx, row["id"], row["attempts"], error, "", now, failures=failures)
                else:
                    jobs.wait(tx, row["id"], row["attempts"], now, error, failures=failures)
            _log.warning("job.worker_died", job=row["id"], task=row["name"], attempt=row["attempts"])
        return len(dead)

    def recompute_changed_trips(self, now: datetime) -> int:
        """Works through new change rows of the day files: asks for every completed trip that they touch to be closed
        again. Watermark and jobs commit together. Returns the number of change rows."""
        done = 0
        marks: dict[date, int] | None = None
        for day in self._fixes.days():
            stamp = self._fixes.stamp(day)
            if self._seen.get(day) == stamp:
                continue
            marks = watermarks.every(self._db) if marks is None else marks
            changes = self._fixes.changes(day, marks.get(day, 0))
            if changes:
                with write_tx(self._db) as tx:
                    for change in changes:
                        for trip_id in trips.touched_by(tx, change.vehicle, change.start, change.end):
                            dispatch.ask_to_close(tx, trip_id, now=now, delay_s=self._settings.billing.settle_s)
                    watermarks.move(tx, day, changes[-1].id)
                done += len(changes)
            else:
                self._seen[day] = stamp
        return done

    def _parked(self, row: Row, now: datetime) -> bool:
        """Parks a row that no worker ever claims: somebody has written it by hand."""
        if row["name"] not in EPHEMERAL:
            return False
        with write_tx(self._db) as tx:
            jobs.park(tx, row["id"], "an ephemeral task has no job", now)
        _log.error("job.failed", job=row["id"], task=row["name"], error_type="Ephemeral")
        return True

    def _length(self, queue: str) -> int:
        found = self._queues.llen(queue)
        assert isinstance(found, int)
        return found


def _to_send(waiting: list[Row], length: int, now: datetime) -> list[Row]:
    """Of the waiting jobs of one queue those that have no message, as far as can be told.

    They were not sent since they came due, or have waited too long: 5 s with an empty queue, else a minute (doubling
    with each time). No more messages can be missing than the queue is shorter than it should be: those that were sent
    longest ago.
    """
    missing = waiting[0]["outstanding"] - length
    chosen: list[Row] = []
    for row in waiting:
        if row["sent_at"] is None or row["sent_at"] < row["due_at"]:
            chosen.append(row)
        elif missing > 0:
            age = now - times.parse(row["sent_at"])
            patience_s = PATIENCE_S * 2 ** min(row["sends"], 6) if length else GRACE_S
            # Sent in the future: the clock has stepped back, and nobody knows how long it has waited.
            if age > timedelta(seconds=patience_s) or age < timedelta():
                chosen.append(row)
                missing -= 1
    return chosen
