"""Beat's scheduler on SQLite, with the sweeper in its loop.

Entries live in the table `schedules`, so that an edit takes effect without a restart. A due entry becomes a job in
the transaction that moves the entry on: two beats at once run it once, and one that was overdue for days runs once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from celery.beat import Scheduler

from appliance import clock, jobs, log, worker_lock
from appliance.errors import Busy
from appliance.storage import jobs as job_rows
from appliance.storage import schedules, times
from appliance.storage.db import Row, write_tx
from tasks.box import box
from tasks.sweeper import Sweeper

_log = log.get(__name__)

_PRUNE_EVERY = 600  # steps, about ten minutes


class DepotScheduler(Scheduler):
    """Celery's beat calls `tick` and sleeps for as long as it says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        parts = box()
        self._parts = parts
        self._sweeper = Sweeper(parts.settings, parts.db, parts.sender, parts.fixes)
        self._steps = 0
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Nothing of Celery's own: the table is the schedule."""

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """One round: due entries, then the sweeper. Returns the seconds to sleep."""
        now = clock.now()
        try:
            for entry in schedules.enabled(self._parts.db):
                self._run_if_due(entry, now)
            self._sweeper.step(now)
            if self._steps % _PRUNE_EVERY == 0:
                self._prune(now)
        except Busy as error:
            _log.warning("beat.busy", error=str(error))
        self._steps += 1
        return 1.0

    def _run_if_due(self, entry: Row, now: datetime) -> None:
        every = timedelta(seconds=entry["every_s"])
        planned = times.parse_or_none(entry["next_run_at"])
        if planned is None or planned > now + every:  # new, or the clock has stepped back
            with write_tx(self._parts.db) as tx:
                schedules.plan(tx, entry["name"], now + every)
        elif planned <= now:
            with write_tx(self._parts.db) as tx:
                if not schedules.take(tx, entry["name"], entry["next_run_at"], now, now + every):
                    return
                ask = jobs.enqueue(tx, entry["task"], now=now, key=f"schedule:{entry['name']}")
            self._parts.sender.send([ask])

    def _prune(self, now: datetime) -> None:
        """Forgets finished jobs after their time, and the lock files of workers long gone."""
        with write_tx(self._parts.db) as tx:
            job_rows.delete_finished(tx, now - timedelta(days=self._parts.settings.retention.jobs_days))
        worker_lock.remove_dead(self._parts.settings.paths.worker_locks_dir)
