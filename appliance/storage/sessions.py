"""Logins in browsers. Only the hash of a session's token is kept."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance.domain.access import Instant
from appliance.storage import times
from appliance.storage.db import Row, Tx, insert, row, rows

MOST = 20
"""Of one user, in so many browsers at once; the oldest gives way."""


def add(tx: Tx, token_hash: str, user_id: int, now: Instant, browser: str = "") -> None:
    insert(
        tx,
        "sessions",
        token_hash=token_hash,
        user_id=user_id,
        created_at=times.text(now.at),
        browser=browser,
        seen_at=times.text(now.at),
        seen_boot=now.boot,
        seen_uptime_s=now.uptime_s,
    )
    tx.conn.execute(
        "DELETE FROM sessions WHERE user_id = ?1 AND id NOT IN"
        " (SELECT id FROM sessions WHERE user_id = ?1 ORDER BY id DESC LIMIT ?2)",
        (user_id, MOST),
    )


def get(db: Database, token_hash: str) -> Row | None:
    """The session with its user's `email`, `name` and `role`; None where there is none, or its user is disabled."""
    return row(
        db,
        "SELECT sessions.*, email, name, role FROM sessions JOIN users ON users.id = user_id"
        " WHERE token_hash = ? AND disabled_at IS NULL",
        token_hash,
    )


def of_user(db: Database, user_id: int) -> list[Row]:
    """The sessions of a user, the newest first, those too that are over and that nobody has asked for since."""
    return rows(db, "SELECT * FROM sessions WHERE user_id = ? ORDER BY id DESC", user_id)


def existing(db: Database, token_hashes: Collection[str]) -> list[Row]:
    """Those of them that nobody has ended, also where they are over by their age."""
    marks = ", ".join("?" * len(token_hashes))
    return rows(db, f"SELECT * FROM sessions WHERE token_hash IN ({marks})", *token_hashes)


def seen(session: Row) -> Instant:
    """When it was last seen, as far as that was written down."""
    return Instant(times.parse(session["seen_at"]), session["seen_boot"], session["seen_uptime_s"])


def touch(tx: Tx, session_id: int, age: timedelta, now: Instant) -> None:
    tx.conn.execute(
        "UPDATE sessions SET age_s = ?, seen_at = ?, seen_boot = ?, seen_uptime_s = ? WHERE id = ?",
        (age.total_seconds(), times.text(now.at), now.boot, now.uptime_s, session_id),
    )


def add_link(tx: Tx, token_hash: str, user_id: int, expires_at: datetime) -> None:
    """A one-time link that logs in; earlier ones of the user stop to work."""
    tx.conn.execute("DELETE FROM sign_in_links WHERE user_id = ?", (user_id,))
    insert(tx, "sign_in_links", token_hash=token_hash, user_id=user_id, expires_at=times.text(expires_at))


def use_link(tx: Tx, token_hash: str, now: datetime) -> int | None:
    """The active user of a link that has not expired; it is used up. None where there is no such link."""
    found = row(
        tx,
        "SELECT user_id FROM sign_in_links JOIN users ON users.id = user_id"
        " WHERE token_hash = ? AND expires_at > ? AND disabled_at IS NULL",
        token_hash,
        times.text(now),
    )
    tx.conn.execute("DELETE FROM sign_in_links WHERE token_hash = ?", (token_hash,))
    return int(found["user_id"]) if found else None


def delete(tx: Tx, token_hash: str) -> None:
    tx.conn.execute("DELETE FROM sessions WHERE token_hash = ?", (token_hash,))


def delete_of_user(tx: Tx, user_id: int, *, but: str = "") -> int:
    """Ends all sessions of a user but the one with this hash; returns how many."""
    return tx.conn.execute("DELETE FROM sessions WHERE user_id = ? AND token_hash <> ?", (user_id, but)).rowcount
