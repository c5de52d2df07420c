"""What this box is: its epoch and its invoice series. Both move at a restore."""

from __future__ import annotations

from sqlite_utils import Database

from appliance.storage.db import Tx, value


def get(db: Database, key: str, default: str) -> str:
    found = value(db, "SELECT value FROM identity WHERE key = ?", key)
    return default if found is None else str(found)


def put(tx: Tx, key: str, new: str) -> None:
    tx.conn.execute("INSERT INTO identity VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (key, new))


def epoch(db: Database) -> int:
    """The number of times this box was restored, plus one: part of the key of every sync row."""
    return int(get(db, "epoch", "1"))


def series(db: Database) -> str:
    """The letter in invoice numbers."""
    return get(db, "series", "A")
