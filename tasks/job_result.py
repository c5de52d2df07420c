"""The result of a durable job, read from its row: Redis may have lost it, and is not asked."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult

from appliance.errors import Permanent
from appliance.storage import jobs as job_rows
from tasks.box import box

if TYPE_CHECKING:
    BaseResult = AsyncResult[Any]
else:
    BaseResult = AsyncResult

_CELERY_STATES = {
    "pending": "PENDING",
    "running": "STARTED",
    "waiting": "RETRY",
    "done": "SUCCESS",
    "failed": "FAILURE",
    "discarded": "REVOKED",
}


class JobResult(BaseResult):
    """What `.delay()` of a durable task returns: Celery's result, as far as the job's row can say it."""

    def get(  # type: ignore[override]
        self, timeout: float | None = None, propagate: bool = True, interval: float = 0.1, **_options: Any
    ) -> Any:
        """Waits for the job's end and returns its result. Raises Celery's TimeoutError, Permanent for a job that is
        parked as failed, TaskRevokedError for a discarded one (or returns these, without `propagate`)."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.ready():
            if end is not None and time.monotonic() >= end:
                raise CeleryTimeoutError("The operation timed out.")
            time.sleep(interval)
        found = self.result
        if propagate and isinstance(found, Exception):
            raise found
        return found

    @property
    def supports_native_join(self) -> bool:
        """False: a group asks its children one by one, since nothing in Redis tells of a job."""
        return False

    def then(self, callback: Any, on_error: Any = None, weak: bool = False) -> Any:
        """As Celery has it, but for subscribing in Redis."""
        return self.on_ready.then(callback, on_error)

    def __del__(self) -> None:
        """Nothing in Redis waits for it."""

    def _get_task_meta(self) -> dict[str, Any]:
        row = job_rows.get(box().db, str(self.id))
        if row is None:
            return self._without_row()
        result: Any = None
        if row["state"] == "done":
            result = json.loads(row["result"])
        elif row["state"] == "failed":
            result = Permanent(str(row["error"]), subject=f"job {self.id}", hint=f"depotbox jobs show {self.id}")
        elif row["state"] == "discarded":
            result = TaskRevokedError("discarded")
        return {"status": _CELERY_STATES[row["state"]], "result": result, "traceback": row["traceback"]}

    def _without_row(self) -> dict[str, Any]:
        return {"status": "PENDING", "result": None}


class AnyResult(JobResult):
    """`app.AsyncResult(id)`, where nobody says of which task: what has no row may be a task that is no job, whose
    result Redis has, if anything has it."""

    def _without_row(self) -> dict[str, Any]:
        found: dict[str, Any] = self.backend.get_task_meta(self.id)
        return found
