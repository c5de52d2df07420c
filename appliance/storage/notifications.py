"""The inbox of each user on the pages."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times, uids, users
from appliance.storage.db import Row, Tx, rows


def add(tx: Tx, user_id: int, type: str, message: str, key: str, now: datetime) -> None:
    """Puts a message into the inbox, once a key (the id of the job that says it, or what it is about)."""
    tx.conn.execute(
        "INSERT OR IGNORE INTO notifications (uid, user_id, type, message, created_at, key) VALUES (?, ?, ?, ?, ?, ?)",
        (uids.new(), user_id, type, message, times.text(now), key),
    )


def tell_role(tx: Tx, role: str, type: str, message: str, key: str, now: datetime) -> None:
    """Puts a message into the inbox of every active user of a role, once a user and key. Mails nothing."""
    for user in users.of_role(tx, role):
        add(tx, user["id"], type, message, key, now)


def of_user(db: Database, user_id: int, limit: int = 50) -> list[Row]:
    """The newest messages first."""
    return rows(db, "SELECT * FROM notifications WHERE user_id = ? ORDER BY id DESC LIMIT ?", user_id, limit)
