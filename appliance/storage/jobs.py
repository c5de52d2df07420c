"""The jobs table: every durable task is a row before it is a message (design section 6).

All moves are compare-and-set: "somebody got there first" is False or None, a normal answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, Tx, row, rows, value

_OPEN = "state IN ('pending', 'waiting')"
_NOT_PAUSED = "queue NOT IN (SELECT queue FROM queue_pauses)"
_JUDGED = "id, name, queue, due_at, sent_at, sends"

STATES = ("pending", "running", "done", "failed", "waiting", "discarded")


def add(
    tx: Tx,
    id: str,
    name: str,
    queue: str,
    arguments: dict[str, Any],
    *,
    due_at: datetime,
    now: datetime,
    key: str | None = None,
) -> str:
    """Adds a pending job, or finds the one of the same id, or the one of the same key that has not begun.

    Returns the id. A job that is due now counts as sent: its maker sends it right after the commit.
    """
    tx.conn.execute(
        "INSERT OR IGNORE INTO jobs (id, name, queue, arguments, state, key, due_at, created_at, sent_at)"
        " VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, ?)",
        (
            id,
            name,
            queue,
            json.dumps(arguments),
            key,
            times.text(due_at),
            times.text(now),
            times.text(now) if due_at <= now else None,
        ),
    )
    if key is None:
        return id
    return str(value(tx, "SELECT id FROM jobs WHERE key = ? AND state IN ('pending', 'waiting')", key))


def get(db: Database, id: str) -> Row | None:
    return row(db, "SELECT * FROM jobs WHERE id = ?", id)


def arguments(found: Row) -> dict[str, Any]:
    """The keyword arguments that a job row keeps."""
    kept: dict[str, Any] = json.loads(found["arguments"])
    return kept


def claim(tx: Tx, id: str, worker: str, now: datetime) -> Row | None:
    """Takes a job that is due for this worker and returns its row; None where there is nothing to take, or where its
    queue is paused.

    A job that was due when its message was sent stays due: the clock may have stepped back since.
    """
    return row(
        tx,
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, worker = ?, claimed_at = ?"
        " WHERE id = ? AND state IN ('pending', 'waiting') AND (due_at <= ? OR sent_at >= due_at)"
        " AND queue NOT IN (SELECT queue FROM queue_pauses) RETURNING *",
        worker,
        times.text(now),
        id,
        times.text(now),
    )


def finish(tx: Tx, id: str, attempt: int, result: Any, now: datetime) -> bool:
    """Marks this attempt done. False: the attempt is not the current one any more; its effect must not commit."""
    return _move(tx, id, attempt, state="done", finished_at=times.text(now), result=json.dumps(result), error=None)


def wait(tx: Tx, id: str, attempt: int, due_at: datetime, error: str, *, failures: int, waits: int = 0) -> bool:
    """Puts the attempt's job back, to be tried again at `due_at`. Where another job of its key was asked for while it
    ran, that one will do the same, and this one is discarded. False: the attempt is not the current one any more."""
    rival = value(
        tx,
        "SELECT other.id FROM jobs JOIN jobs AS other ON other.key = jobs.key AND other.state IN ('pending', 'waiting')"
        " WHERE jobs.id = ?",
        id,
    )
    if rival is not None:
        error = f"{error}; job {rival} does the same"
        return _move(tx, id, attempt, state="discarded", finished_at=times.text(due_at), error=error, failures=failures)
    return _move(
        tx, id, attempt, state="waiting", due_at=times.text(due_at), error=error, failures=failures, waits=waits
    )


def fail(tx: Tx, id: str, attempt: int, error: str, traceback: str, now: datetime, *, failures: int) -> bool:
    """Parks the job as failed, with its traceback, until a person retries it."""
    return _move(
        tx,
        id,
        attempt,
        state="failed",
        error=error,
        traceback=traceback,
        finished_at=times.text(now),
        failures=failures,
    )


def park(tx: Tx, id: str, error: str, now: datetime) -> bool:
    """Parks a job that has not begun and never can. False where it has."""
    cursor = tx.conn.execute(
        f"UPDATE jobs SET state = 'failed', error = ?, finished_at = ? WHERE id = ? AND {_OPEN}",
        (error, times.text(now), id),
    )
    return cursor.rowcount == 1


def unfinished(db: Database, now: datetime, limit: int = 500) -> list[Row]:
    """Jobs that are due and not claimed, for the sweeper to judge which to send again, by queue; none of paused queues.

    First at most `limit` that were not sent since they came due; then, of each queue, at most `limit` that were sent
    longest ago, with `outstanding`: how many of the queue should have a message. Quick also with many thousand open.
    """
    # The planner would rather read every open job.
    found = rows(
        db,
        f"SELECT {_JUDGED} FROM jobs INDEXED BY jobs_unsent WHERE {_OPEN} AND (sent_at IS NULL OR sent_at < due_at)"
        f" AND due_at <= ? AND {_NOT_PAUSED} ORDER BY due_at LIMIT ?",
        times.text(now),
        limit,
    )
    counts = rows(
        db,
        f"SELECT queue, count(*) AS outstanding FROM jobs INDEXED BY jobs_sent WHERE {_OPEN} AND sent_at >= due_at"
        f" AND {_NOT_PAUSED} GROUP BY queue",
    )
    outstanding = {one["queue"]: one["outstanding"] for one in counts}
    for queue in outstanding:
        found += rows(
            db,
            f"SELECT {_JUDGED} FROM jobs INDEXED BY jobs_sent WHERE {_OPEN} AND sent_at >= due_at AND queue = ?"
            " ORDER BY sent_at LIMIT ?",
            queue,
            limit,
        )
    return sorted(
        (one | {"outstanding": outstanding.get(one["queue"], 0)} for one in found), key=lambda one: str(one["queue"])
    )


def mark_sent(tx: Tx, ids: Sequence[str], now: datetime) -> None:
    tx.conn.executemany(
        "UPDATE jobs SET sent_at = ?, sends = sends + 1 WHERE id = ?", [(times.text(now), id) for id in ids]
    )


def shift(tx: Tx, expected: datetime, now: datetime) -> None:
    """The clock shows `now` where it should show `expected`: what waits still has as long to wait, what was due is
    due, and all of it counts as not sent, so that the sweeper sends it."""
    old, new = times.text(expected), times.text(now)
    tx.conn.execute(
        "UPDATE jobs SET sent_at = NULL, due_at = CASE WHEN due_at > ? THEN strftime(?, due_at, ?)"
        " WHEN due_at > ? THEN ? ELSE due_at END WHERE state IN ('pending', 'waiting')",
        (old, times.SQL_FORMAT, times.modifier(now - expected), new, new),
    )


def running(db: Database) -> list[Row]:
    return rows(db, "SELECT id, name, attempts, failures, worker FROM jobs WHERE state = 'running'")


def retry(tx: Tx, id: str, who: str, now: datetime) -> bool:
    """A person tries a failed or discarded job again. False where it is in another state, or where another job of its
    key waits already and will do the same."""
    cursor = tx.conn.execute(
        "UPDATE OR IGNORE jobs SET state = 'pending', failures = 0, waits = 0, due_at = ?, sent_at = NULL,"
        " decided_by = ?, decided_at = ?, finished_at = NULL WHERE id = ? AND state IN ('failed', 'discarded')",
        (times.text(now), who, times.text(now), id),
    )
    return cursor.rowcount == 1


def failed(db: Database, name: str | None) -> list[str]:
    """The ids of failed jobs, oldest first; of one task, or of all."""
    found = rows(
        db, "SELECT id FROM jobs WHERE state = 'failed' AND (?1 IS NULL OR name = ?1) ORDER BY created_at, id", name
    )
    return [one["id"] for one in found]


def discard(tx: Tx, id: str, who: str, now: datetime) -> bool:
    """A person gives a job up. False where it runs or has ended well."""
    cursor = tx.conn.execute(
        "UPDATE jobs SET state = 'discarded', finished_at = ?1, decided_at = ?1, decided_by = ?2 WHERE id = ?3"
        " AND state IN ('pending', 'waiting', 'failed')",
        (times.text(now), who, id),
    )
    return cursor.rowcount == 1


def listed(db: Database, state: str | None, limit: int) -> list[Row]:
    """The newest jobs, of one state or of all."""
    return rows(
        db,
        "SELECT id, name, queue, state, attempts, created_at, due_at, finished_at, error FROM jobs"
        " WHERE ? IS NULL OR state = ? ORDER BY created_at DESC LIMIT ?",
        state,
        state,
        limit,
    )


def is_open(db: Database, key: str) -> bool:
    """Whether a job of this key waits, or runs."""
    return value(db, f"SELECT 1 FROM jobs WHERE key = ? AND ({_OPEN} OR state = 'running')", key) is not None


def states_of_keys(db: Database) -> dict[str, str]:
    """The keys of jobs that are not done, each with its state: that of an open job, or of the newest that has ended."""
    found = rows(
        db,
        "SELECT key, state FROM jobs"
        " WHERE state IN ('pending', 'waiting', 'running', 'failed', 'discarded') AND key IS NOT NULL"
        " ORDER BY state IN ('pending', 'waiting', 'running'), created_at",
    )
    return {one["key"]: one["state"] for one in found}


def delete_finished(tx: Tx, before: datetime) -> int:
    """Forgets jobs that were done or discarded before then. Failed ones stay until a person decides."""
    cursor = tx.conn.execute(
        "DELETE FROM jobs WHERE state IN ('done', 'discarded') AND finished_at < ?", (times.text(before),)
    )
    return cursor.rowcount


def _move(tx: Tx, id: str, attempt: int, **columns: Any) -> bool:
    sets = ", ".join(f"{name} = ?" for name in columns)
    cursor = tx.conn.execute(
        f"UPDATE jobs SET {sets} WHERE id = ? AND state = 'running' AND attempts = ?", (*columns.values(), id, attempt)
    )
    return cursor.rowcount == 1
