"""What a worker does about a message before a process of its pool takes it: a job that was called by its name from
outside gets its row, so that from then on nothing can lose it.

A message of the box itself only carries the id of a row. One whose task no worker knows (a wrong name, a file of the
depot's own that is gone or broken) Celery throws away, so it would wait unseen and be sent for ever: like any other
error that is three tries a minute apart, and then the job is parked for a person; called by name, it is parked at once.

This runs in the worker's main process, which forks: so the database is opened for each of these alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import signals

from appliance import clock, jobs, log
from appliance.sender import HAS_ROW
from appliance.storage import jobs as job_rows
from appliance.storage.db import write_tx
from tasks.discarding import depot
from tasks.durable import RETRY_S, TRIES, Durable, as_sent

_log = log.get(__name__)


@signals.task_received.connect(weak=False)
def received(request: Any, **_: Any) -> None:
    """Writes the row of a call by name. Not of one that expires: who sent that takes its loss."""
    task = request.task
    if not isinstance(task, Durable) or HAS_ROW in request.request_dict or request.expires:
        return
    now = clock.now()
    delay_s = max(0.0, (request.eta - now).total_seconds()) if request.eta else 0.0
    arguments = task.named(request.args, request.kwargs)
    with depot() as db, write_tx(db) as tx:
        jobs.enqueue_call(tx, task.name, arguments, now=now, delay_s=delay_s, id=request.id)


@signals.task_unknown.connect(weak=False)
def unknown(name: str, id: str, message: Any, **_: Any) -> None:
    """Counts the try in the row, which a call by name gets now."""
    now = clock.now()
    error = f"NotRegistered: no worker knows the task {name!r}"
    with depot() as db, write_tx(db) as tx:
        by_name = job_rows.get(tx, id) is None
        if by_name:
            jobs.enqueue_call(tx, name, as_sent(*_arguments(message)), now=now, id=id)
        row = job_rows.claim(tx, id, "no worker", now)
        if row is None:
            return
        failures = TRIES if by_name else row["failures"] + 1
        if failures >= TRIES:
            job_rows.fail(tx, id, row["attempts"], error, "", now, failures=failures)
            _log.error("job.failed", job=id, task=name, error_type="NotRegistered")
        else:
            job_rows.wait(tx, id, row["attempts"], now + timedelta(seconds=RETRY_S), error, failures=failures)
            _log.warning("job.retrying", job=id, task=name, error_type="NotRegistered", delay_s=RETRY_S)


def _arguments(message: Any) -> tuple[list[Any], dict[str, Any]]:
    payload = message.payload
    if isinstance(payload, dict):  # Celery's older protocol
        return payload.get("args", []), payload.get("kwargs", {})
    return payload[0], payload[1]
