"""The inbox of each user on the pages."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times, uids, users
from appliance.storage.db import Row, Tx, rows, value


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


def page(db: Database, user_id: int, limit: int, offset: int) -> tuple[list[Row], int]:
    """A page of the user's messages, the newest first, and how many there are in all."""
    total = int(value(db, "SELECT count(*) FROM notifications WHERE user_id = ?", user_id))
    query = "SELECT * FROM notifications WHERE user_id = ? ORDER BY id DESC LIMIT ? OFFSET ?"
    return rows(db, query, user_id, limit, offset), total


def unread(db: Database, user_id: int) -> int:
    """How many of the user's messages are not read."""
    return int(value(db, "SELECT count(*) FROM notifications WHERE user_id = ? AND read_at IS NULL", user_id))


def mark_read(tx: Tx, user_id: int, id: int | None, now: datetime) -> bool:
    """Marks one message of the user as read, or all; a read one stays as it is. False where that one is not the
    user's."""
    tx.conn.execute(
        "UPDATE notifications SET read_at = ?1 WHERE user_id = ?2 AND read_at IS NULL AND (?3 IS NULL OR id = ?3)",
        (times.text(now), user_id, id),
    )
    return id is None or value(tx, "SELECT 1 FROM notifications WHERE user_id = ? AND id = ?", user_id, id) is not None
