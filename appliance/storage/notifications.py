"""The inbox of each user on the pages."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times, uids
from appliance.storage.db import Row, Tx, rows


def add(tx: Tx, user_id: int, type: str, message: str, job_id: str, now: datetime) -> None:
    """Puts a message into the inbox, once a job: the same job again changes nothing."""
    tx.conn.execute(
        "INSERT OR IGNORE INTO notifications (uid, user_id, type, message, created_at, job_id)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (uids.new(), user_id, type, message, times.text(now), job_id),
    )


def of_user(db: Database, user_id: int, limit: int = 50) -> list[Row]:
    """The newest messages first."""
    return rows(db, "SELECT * FROM notifications WHERE user_id = ? ORDER BY id DESC LIMIT ?", user_id, limit)
