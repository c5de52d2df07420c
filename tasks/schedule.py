"""The schedule's own round: due entries become jobs, once, whatever the clock did."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance import jobs, log
from appliance.errors import InputError
from appliance.jobs import Ask
from appliance.storage import schedules, times
from appliance.storage.db import Row, write_tx
from appliance.timetable import after_crontab, after_interval

MISSED_COUNTED = 1000
WRONG = (InputError, ValueError, TypeError, KeyError, ArithmeticError)
"""What the rows of entries raise that somebody has written by hand."""
CLOCK_WAS_WRONG = timedelta(hours=26)

_log = log.get(__name__)


class Schedule:
    """Runs entries of the table `schedules`; each edit of a row takes effect at the next step."""

    def __init__(self, db: Database, zone: str) -> None:
        self._db = db
        self._zone = zone
        self._broken: set[str] = set()

    def step(self, now: datetime) -> list[Ask]:
        """The jobs of all entries that are due. An entry that was due many times while the box was off runs once, and
        its missed runs are counted; two beats at once run it once."""
        asks = []
        for entry in schedules.enabled(self._db):
            try:
                ask = self._run_if_due(entry, now)
            except WRONG as error:
                if entry["name"] not in self._broken:
                    self._broken.add(entry["name"])
                    _log.error("schedule.entry_broken", entry=entry["name"], error=str(error))
                continue
            self._broken.discard(entry["name"])
            if ask:
                asks.append(ask)
        return asks

    def _run_if_due(self, entry: Row, now: datetime) -> Ask | None:
        stored = times.parse_or_none(entry["next_run_at"])
        planned = self._planned(entry, stored, now)
        upcoming = self.next_run(entry, now)
        # New, edited, or the clock went back; or it was planned while the clock was behind.
        if planned is None or planned > upcoming or now < planned != stored:
            with write_tx(self._db) as tx:
                schedules.plan(tx, entry["name"], upcoming)
            return None
        if planned > now:
            return None
        with write_tx(self._db) as tx:
            missed = self._missed(entry, planned, now)
            if not schedules.take(tx, entry["name"], entry["next_run_at"], now, upcoming, missed):
                return None
            arguments = json.loads(entry["arguments"])
            return jobs.enqueue_call(tx, entry["task"], arguments, now=now, key=f"schedule:{entry['name']}")

    def _planned(self, entry: Row, stored: datetime | None, now: datetime) -> datetime | None:
        """When the entry was to run. What was planned before its own last run was planned by a clock that was behind,
        as after a power cut: then it is the first time after that run."""
        last = times.parse_or_none(entry["last_run_at"])
        if entry["crontab"] and stored and last and stored < last <= now:
            return after_crontab(entry["crontab"], entry["zone"] or self._zone, last)
        return stored

    def next_run(self, entry: Row, now: datetime) -> datetime:
        """When the entry runs after `now`. Raises InputError for a crontab or zone that is wrong.

        A crontab entry does not run again for a time that it has run for, when the clock goes back over it; a last run
        far in the future only says that the clock was wrong then.
        """
        if entry["every_s"] is not None:
            return after_interval(times.parse_or_none(entry["next_run_at"]), entry["every_s"], now)
        last = times.parse_or_none(entry["last_run_at"])
        after = last if last and now < last < now + CLOCK_WAS_WRONG else now
        return after_crontab(entry["crontab"], entry["zone"] or self._zone, after)

    def _missed(self, entry: Row, planned: datetime, now: datetime) -> int:
        """How many runs passed between the one that was planned and now."""
        if entry["every_s"] is not None:
            return int((now - planned) / timedelta(seconds=entry["every_s"]))
        crontab, zone = entry["crontab"], entry["zone"] or self._zone
        count, at = 0, after_crontab(crontab, zone, planned)
        while at <= now and count < MISSED_COUNTED:
            count, at = count + 1, after_crontab(crontab, zone, at)
        return count
