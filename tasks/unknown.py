"""Jobs whose task no worker knows (a wrong name, a file of the depot's own that is gone or broken).

Celery throws their messages away, so they would wait unseen and be sent for ever. Like any other error that is three
tries a minute apart, and then the job is parked for a person.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import signals

from appliance import clock, log
from appliance.storage import jobs as job_rows
from appliance.storage.db import write_tx
from tasks.discarding import depot
from tasks.durable import RETRY_S, TRIES

_log = log.get(__name__)


@signals.task_unknown.connect(weak=False)
def tried(name: str, id: str, **_: Any) -> None:
    """Runs in the worker's main process, which forks: so the database is opened for this alone."""
    now = clock.now()
    error = f"NotRegistered: no worker knows the task {name!r}"
    with depot() as db, write_tx(db) as tx:
        row = job_rows.claim(tx, id, "no worker", now)
        if row is None:
            return
        failures = row["failures"] + 1
        if failures >= TRIES:
            job_rows.fail(tx, id, row["attempts"], error, "", now, failures=failures)
            _log.error("job.failed", job=id, task=name, error_type="NotRegistered")
        else:
            job_rows.wait(tx, id, row["attempts"], now + timedelta(seconds=RETRY_S), error, failures=failures)
            _log.warning("job.retrying", job=id, task=name, error_type="NotRegistered", delay_s=RETRY_S)
