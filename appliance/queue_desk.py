"""What a person sees of the queues of jobs, and decides about them: holding one up, and letting it go on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlite_utils import Database

from appliance.errors import NotFound, Refused
from appliance.jobs import QUEUES
from appliance.storage import audit, queues
from appliance.storage.db import Row, Tx


def overview(db: Database, lengths: Mapping[str, int] | None, now: datetime) -> list[Row]:
    """Each queue in the order of its priority: jobs `waiting` (due), due `later` and `running`, `messages` in Redis
    (None while it is away), since when the oldest is due, and who has paused the queue when."""
    backlog, pauses = queues.backlog(db, now), queues.pauses(db)
    return [
        {
            "queue": queue,
            **{key: backlog.get(queue, {}).get(key, 0) for key in ("waiting", "later", "running")},
            "messages": lengths[queue] if lengths else None,
            "oldest_due_at": backlog.get(queue, {}).get("oldest_due_at"),
            "paused_at": pauses.get(queue, {}).get("paused_at"),
            "paused_by": pauses.get(queue, {}).get("paused_by"),
        }
        for queue in QUEUES
    ]


def pause(tx: Tx, queue: str, who: str, now: datetime) -> None:
    """Holds the queue up: no job of it is begun until it is resumed. Raises NotFound and Refused."""
    _known(queue)
    if not queues.pause(tx, queue, who, now):
        raise Refused("it is paused already", subject=queue)
    audit.record(tx, who, "queue.paused", "queue", queue, now)


def resume(tx: Tx, queue: str, who: str, now: datetime) -> None:
    """Lets the queue go on; what has waited is sent within seconds. Raises NotFound and Refused."""
    _known(queue)
    if not queues.resume(tx, queue):
        raise Refused("it is not paused", subject=queue)
    audit.record(tx, who, "queue.resumed", "queue", queue, now)


def purge(tx: Tx, queue: str, who: str, now: datetime) -> int:
    """Discards every job of the queue that has not begun, due or not, and returns how many; each can be retried until
    it is forgotten. Raises NotFound."""
    _known(queue)
    found = queues.purge(tx, queue, who, now)
    audit.record(tx, who, "queue.purged", "queue", queue, now, f"{len(found)} jobs")
    for job in found:
        audit.record(tx, who, "job.discarded", "job", job["id"], now, job["name"])
    return len(found)


def _known(queue: str) -> None:
    if queue not in QUEUES:
        raise NotFound("no such queue", subject=queue, hint=f"expected one of {', '.join(QUEUES)}")
