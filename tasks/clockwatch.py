"""Steps of the wall clock, seen against the monotonic one, and what they would do to waiting work.

A box without a clock battery comes up behind and jumps when the time service answers. Waiting jobs and interval entries
mean durations, so they move with the step; a job that was due stays due.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance import log
from appliance.storage import identity, jobs, schedules, times
from appliance.storage.db import write_tx

TOLERANCE = timedelta(seconds=2)
SAVE_S = 30.0
LAST_SEEN = "clock_last_seen"

_log = log.get(__name__)


class ClockWatch:
    """Looks at both clocks once a second. The first look compares with what was seen before the last stop: a wall
    clock that is behind that has been set back meanwhile."""

    def __init__(self, db: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._monotonic = monotonic
        self._seen: tuple[datetime, float] | None = None
        self._saved_at = float("-inf")

    def step(self, now: datetime) -> timedelta:
        """Moves waiting work when the clock has stepped, and returns by how much (zero: it has not)."""
        elapsed = self._monotonic()
        expected = self._expected(now, elapsed)
        self._seen = (now, elapsed)
        by = now - expected
        if abs(by) <= TOLERANCE:
            by = timedelta()
        else:
            _log.warning("clock.stepped", by_s=round(by.total_seconds(), 1))
            with write_tx(self._db) as tx:
                jobs.shift(tx, expected, now)
                schedules.shift(tx, by)
        if by or elapsed - self._saved_at >= SAVE_S:
            self._saved_at = elapsed
            with write_tx(self._db) as tx:
                identity.put(tx, LAST_SEEN, times.text(now))
        return by

    def _expected(self, now: datetime, elapsed: float) -> datetime:
        if self._seen is not None:
            wall, monotonic = self._seen
            return wall + timedelta(seconds=elapsed - monotonic)
        last = times.parse_or_none(identity.get(self._db, LAST_SEEN, ""))
        return max(now, last) if last else now
