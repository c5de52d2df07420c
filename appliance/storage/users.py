"""Users of the pages, and the one-time links with which they set their password."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlite_utils import Database

from appliance.domain.access import Role
from appliance.errors import InputError
from appliance.storage import times, uids
from appliance.storage.db import Row, Tx, insert, revise, row, rows, update, value

ROLES = tuple(Role)


def add(tx: Tx, email: str, name: str, role: str, now: datetime) -> int:
    """Adds a user without a password and returns the id. Raises InputError for a known address or role."""
    if role not in ROLES:
        raise InputError(f"expected one of {', '.join(ROLES)}", subject=f"role {role!r}")
    if by_email(tx, email):
        raise _known_address()
    return insert(tx, "users", uid=uids.new(), email=email, name=name, role=role, created_at=times.text(now))


def get(db: Database, id: int) -> Row | None:
    return row(db, "SELECT * FROM users WHERE id = ?", id)


def by_email(db: Database, email: str) -> Row | None:
    """The user with this address, however it is capitalized."""
    return row(db, "SELECT * FROM users WHERE email = ? COLLATE NOCASE", email)


def listed(db: Database) -> list[Row]:
    return rows(db, "SELECT * FROM users ORDER BY name, id")


def of_role(db: Database, role: str) -> list[Row]:
    """The active users of a role."""
    return rows(db, "SELECT * FROM users WHERE role = ? AND disabled_at IS NULL ORDER BY id", role)


def add_password_link(tx: Tx, user_id: int, token_hash: str, now: datetime, valid: timedelta) -> None:
    """Keeps the hash of a one-time token; earlier unused ones of the user stop to work."""
    drop_password_links(tx, user_id)
    insert(
        tx,
        "password_links",
        token_hash=token_hash,
        user_id=user_id,
        created_at=times.text(now),
        expires_at=times.text(now + valid),
    )


def of_password_link(db: Database, token_hash: str, now: datetime) -> Row | None:
    """The active user of a link that is neither used nor expired; None where there is no such link."""
    return row(
        db,
        "SELECT users.* FROM password_links JOIN users ON users.id = user_id"
        " WHERE token_hash = ? AND used_at IS NULL AND expires_at > ? AND disabled_at IS NULL",
        token_hash,
        times.text(now),
    )


def link_is_used(db: Database, token_hash: str) -> bool:
    query = "SELECT 1 FROM password_links WHERE token_hash = ? AND used_at IS NOT NULL"
    return row(db, query, token_hash) is not None


def use_password_link(tx: Tx, token_hash: str, now: datetime) -> None:
    tx.conn.execute("UPDATE password_links SET used_at = ? WHERE token_hash = ?", (times.text(now), token_hash))


def drop_password_links(tx: Tx, user_id: int) -> None:
    """Unused links of the user stop to work."""
    tx.conn.execute("DELETE FROM password_links WHERE user_id = ? AND used_at IS NULL", (user_id,))


def change(tx: Tx, id: int, **columns: Any) -> None:
    """Sets columns. Raises InputError for an address that another user has."""
    if "email" in columns and (other := by_email(tx, columns["email"])) and other["id"] != id:
        raise _known_address()
    revise(tx, "users", id, **columns)


def set_password(tx: Tx, id: int, password_hash: str) -> None:
    update(tx, "users", id, password_hash=password_hash)


def set_role(tx: Tx, id: int, role: str) -> None:
    revise(tx, "users", id, role=role)


def set_disabled(tx: Tx, id: int, at: datetime | None) -> None:
    revise(tx, "users", id, disabled_at=times.text(at) if at else None)


def any_administrator(db: Database, *, with_password: bool = False) -> bool:
    """Whether there is an active one; `with_password`: one who has chosen a password, and so can log in."""
    query = "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'administrator' AND disabled_at IS NULL AND {})"
    return bool(value(db, query.format("password_hash IS NOT NULL" if with_password else "1")))


def _known_address() -> InputError:
    return InputError("there is already a user with this address", subject="email")
