"""Tokens with which programs ask the API in a user's name. Only their hashes are kept."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times, uids
from appliance.storage.db import Row, Tx, insert, row, rows, update

_COUNTS = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?1)"


def add(
    tx: Tx, user_id: int, name: str, scope: str, token_hash: str, now: datetime, expires_at: datetime | None = None
) -> int:
    return insert(
        tx,
        "api_tokens",
        uid=uids.new(),
        user_id=user_id,
        name=name,
        scope=scope,
        token_hash=token_hash,
        created_at=times.text(now),
        expires_at=times.text(expires_at) if expires_at else None,
    )


def get(db: Database, id: int) -> Row | None:
    return row(
        db, "SELECT api_tokens.*, email FROM api_tokens JOIN users ON users.id = user_id WHERE api_tokens.id = ?", id
    )


def of_hash(db: Database, token_hash: str, now: datetime) -> Row | None:
    """The token with its user's `email`, `user_name` and `role`; None where it is revoked or has expired, or its user
    is disabled."""
    return row(
        db,
        "SELECT api_tokens.*, email, users.name AS user_name, role FROM api_tokens JOIN users ON users.id = user_id"
        f" WHERE token_hash = ?2 AND {_COUNTS} AND disabled_at IS NULL",
        times.text(now),
        token_hash,
    )


def listed(db: Database, user_id: int | None = None) -> list[Row]:
    """All, or those of one user, by user and age; never their hashes."""
    return rows(
        db,
        "SELECT api_tokens.id, email, api_tokens.name, scope, api_tokens.created_at, expires_at, last_used_at,"
        " revoked_at"
        " FROM api_tokens JOIN users ON users.id = user_id WHERE ?1 IS NULL OR user_id = ?1 "
        " ORDER BY email, api_tokens.id",
        user_id,
    )


def existing(db: Database, token_hashes: Collection[str], now: datetime) -> set[str]:
    """Those of them that still count."""
    marks = ", ".join("?" * len(token_hashes))
    query = f"SELECT token_hash FROM api_tokens WHERE {_COUNTS} AND token_hash IN ({marks})"
    return {found["token_hash"] for found in rows(db, query, times.text(now), *token_hashes)}


def used(tx: Tx, id: int, now: datetime) -> None:
    update(tx, "api_tokens", id, last_used_at=times.text(now))


def revoke(tx: Tx, id: int, now: datetime) -> bool:
    """False where it was revoked before."""
    cursor = tx.conn.execute(
        "UPDATE api_tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (times.text(now), id)
    )
    return cursor.rowcount == 1


def revoke_of_user(tx: Tx, user_id: int, now: datetime) -> int:
    """Returns how many counted until now."""
    return tx.conn.execute(
        "UPDATE api_tokens SET revoked_at = ?1 WHERE user_id = ?2 AND revoked_at IS NULL"
        " AND (expires_at IS NULL OR expires_at > ?1)",
        (times.text(now), user_id),
    ).rowcount
