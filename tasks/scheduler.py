"""Beat's scheduler on SQLite, with the sweeper in its loop."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from celery.beat import Scheduler

from appliance import clock, log, work_history, worker_lock
from appliance.errors import Busy, DiskFull
from appliance.storage import jobs as job_rows
from appliance.storage.db import write_tx
from tasks.box import box
from tasks.clockwatch import ClockWatch
from tasks.schedule import Schedule
from tasks.sweeper import Sweeper

PRUNE_EVERY = 600
"""Steps, about ten minutes."""

_log = log.get(__name__)


class DepotScheduler(Scheduler):
    """Celery's beat calls `tick` and sleeps for as long as it says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        parts = box()
        self._parts = parts
        self._clock = ClockWatch(parts.db)
        self._schedule = Schedule(parts.db, parts.settings.depot.timezone)
        self._sweeper = Sweeper(parts.settings, parts.db, parts.sender, parts.fixes)
        self._steps = 0
        self._full = False
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Nothing of Celery's own: the table is the schedule."""

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """One round: the clock, due entries, the sweeper. Returns the seconds to sleep."""
        now = clock.now()
        try:
            self._clock.step(now)
            self._parts.sender.send(self._schedule.step(now))
            self._sweeper.step(now)
            if self._steps % work_history.SAMPLE_S == 0:
                with write_tx(self._parts.db, synced=False) as tx:
                    work_history.sample(tx, now)
            if self._steps % PRUNE_EVERY == 0:
                self._prune(now)
        except Busy as error:
            _log.warning("beat.busy", error=str(error))
        except DiskFull:
            if not self._full:
                _log.error("beat.disk_full")
            self._full = True
        else:
            self._full = False
        self._steps += 1
        return 1.0

    def _prune(self, now: datetime) -> None:
        """Forgets finished jobs after their time, and the lock files of workers long gone."""
        with write_tx(self._parts.db) as tx:
            job_rows.delete_finished(tx, now - timedelta(days=self._parts.settings.retention.jobs_days))
        worker_lock.remove_dead(self._parts.settings.paths.worker_locks_dir)
