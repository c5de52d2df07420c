"""What is done to whole queues: pausing, purging, revoking, and how much waits in each.

Each acts on the rows of `jobs`: what happened to Celery's messages alone would be undone by the sweeper.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, Tx, rows, value


def pause(tx: Tx, queue: str, who: str, now: datetime) -> bool:
    """No job of the queue is begun or sent from now on. False where it was paused already."""
    cursor = tx.conn.execute(
        "INSERT OR IGNORE INTO queue_pauses (queue, paused_at, paused_by) VALUES (?, ?, ?)",
        (queue, times.text(now), who),
    )
    return cursor.rowcount == 1


def resume(tx: Tx, queue: str) -> bool:
    """Ends the pause. False where there was none.

    What waits counts as not sent: workers have thrown the messages of the pause away, and the sweeper sends new ones.
    """
    cursor = tx.conn.execute("DELETE FROM queue_pauses WHERE queue = ?", (queue,))
    if cursor.rowcount:
        tx.conn.execute("UPDATE jobs SET sent_at = NULL WHERE queue = ? AND state IN ('pending', 'waiting')", (queue,))
    return cursor.rowcount == 1


def is_paused(db: Database, queue: str) -> bool:
    return value(db, "SELECT 1 FROM queue_pauses WHERE queue = ?", queue) is not None


def pauses(db: Database) -> dict[str, Row]:
    """The paused queues, with `paused_at` and `paused_by`."""
    return {one["queue"]: one for one in rows(db, "SELECT * FROM queue_pauses")}


def purge(tx: Tx, queue: str, who: str, now: datetime) -> list[Row]:
    """Discards every job of the queue that has not begun, due or not. Returns their ids and names. They can be
    retried."""
    return rows(
        tx,
        "UPDATE jobs SET state = 'discarded', finished_at = ?1, decided_at = ?1, decided_by = ?2 WHERE queue = ?3"
        " AND state IN ('pending', 'waiting') RETURNING id, name",
        times.text(now),
        who,
        queue,
    )


def revoke(tx: Tx, id: str, who: str, now: datetime, *, running: bool) -> Row | None:
    """Discards a job that has not begun, and with `running` also one that runs: what that attempt still does cannot
    take effect any more. Returns its id and name; None where there is nothing to discard."""
    states = "('pending', 'waiting', 'running')" if running else "('pending', 'waiting')"
    found = rows(
        tx,
        "UPDATE jobs SET state = 'discarded', finished_at = ?1, decided_at = ?1, decided_by = ?2 WHERE id = ?3"
        f" AND state IN {states} RETURNING id, name",
        times.text(now),
        who,
        id,
    )
    return found[0] if found else None


def states(db: Database, ids: Iterable[str]) -> dict[str, str]:
    """The state of each of these jobs that has a row."""
    wanted = list(ids)
    marks = ", ".join("?" * len(wanted))
    return {one["id"]: one["state"] for one in rows(db, f"SELECT id, state FROM jobs WHERE id IN ({marks})", *wanted)}


def failed(db: Database, queues: Iterable[str], limit: int) -> list[Row]:
    """The failed jobs of these queues, the newest first."""
    wanted = list(queues)
    marks = ", ".join("?" * len(wanted))
    return rows(
        db,
        f"SELECT id, name, error, finished_at FROM jobs WHERE state = 'failed' AND queue IN ({marks})"
        " ORDER BY finished_at DESC LIMIT ?",
        *wanted,
        limit,
    )


def backlog(db: Database, now: datetime) -> dict[str, Row]:
    """For each queue with open jobs: `waiting` (due, not begun), `later` (not due yet), `running`, and `oldest_due_at`
    of those that wait."""
    at = times.text(now)
    found = rows(
        db,
        "SELECT queue, sum(state <> 'running' AND due_at <= ?1) AS waiting, sum(state <> 'running' AND due_at > ?1)"
        " AS later, sum(state = 'running') AS running,"
        " min(CASE WHEN state <> 'running' AND due_at <= ?1 THEN due_at END) AS oldest_due_at"
        " FROM jobs WHERE state IN ('pending', 'waiting', 'running') GROUP BY queue",
        at,
    )
    return {one["queue"]: one for one in found}
