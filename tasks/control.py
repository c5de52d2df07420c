"""Remote control of the workers, as the operators' guide has it.

`inspect failed` is new. `revoke` and `terminate` act on the job's row in the place of the worker's memory of revoked
ids: that memory ends with the worker, and until then it would swallow a discarded job that a person retries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.app.control import Control
from celery.utils.functional import maybe_list
from celery.worker import control as celery_control
from celery.worker import state as worker_state

from appliance import errors
from appliance.storage import queues
from tasks.discarding import check_signal, depot, discard_jobs, operator

FAILED_LIMIT = 50
WHO = "celery"
"""Who revokes what a worker alone has heard of."""

_celery_revoke = celery_control.Panel.data["revoke"]
_OWN_ERRORS = tuple(f"{name}: " for name, kind in vars(errors).items() if isinstance(kind, type))

if TYPE_CHECKING:
    BaseControl = Any
else:
    BaseControl = Control


class BoxControl(BaseControl):
    """`app.control`. A revoke takes effect on the rows here, so that it needs no worker that listens, and the audit
    log names who asked for it."""

    _replies: Any = None

    def broadcast(self, command: str, arguments: Any = None, *args: Any, **options: Any) -> Any:
        given = dict(arguments or {})
        if command in ("revoke", "terminate"):
            check_signal(given.get("signal"))
            ending = command == "terminate" or bool(given.get("terminate"))
            discard_jobs(maybe_list(given.get("task_id")) or [], operator(), running=ending)
        self._replies = super().broadcast(command, arguments, *args, **options)
        return self._replies

    def refusals(self) -> list[tuple[str, Any]]:
        """Which workers have answered the last command with an error, and what they say."""
        return [
            (worker, answer["error"])
            for reply in self._replies or []
            for worker, answer in reply.items()
            if isinstance(answer, dict) and "error" in answer
        ]


@celery_control.inspect_command(args=[("limit", int)], signature=f"[limit={FAILED_LIMIT}]")
def failed(state: Any, limit: int = FAILED_LIMIT, **_: Any) -> list[dict[str, Any]]:
    """List the failed jobs of the worker's queues, the newest first."""
    consumed = [queue.name for queue in state.consumer.task_consumer.queues]
    with depot() as db:
        return [row | {"error": _fit_to_travel(row["error"])} for row in queues.failed(db, consumed, limit)]


@celery_control.control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(state: Any, task_id: Any, terminate: bool = False, signal: str | None = None, **_: Any) -> Any:
    """Discard jobs that have not begun; with terminate, also end those that run."""
    ids = set(maybe_list(task_id) or [])
    check_signal(signal)
    known = discard_jobs(ids, WHO, running=terminate)  # before the signal: the sweeper must find a discarded row
    answer = _celery_revoke(state, list(ids), terminate=terminate, signal=signal)
    for id in known:
        worker_state.revoked.discard(id)
    return answer


@celery_control.control_command(
    variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]"
)
def terminate(state: Any, signal: str, task_id: Any, **_: Any) -> Any:
    """End jobs that run, and discard them."""
    return revoke(state, task_id, terminate=True, signal=signal)


def _fit_to_travel(error: str) -> str:
    """An error as it may pass through Redis: the box's own errors never name a patient; of others only the kind."""
    return error if error.startswith(_OWN_ERRORS) else error.partition(":")[0]
