"""What devices last said of themselves, `online` or `offline`: the broker gives their words again without a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Tx, rows


@dataclass(frozen=True, slots=True)
class Said:
    """A device's last word. `offline_at`: since when it takes its vehicle offline; None when it does not, as after a
    fix."""

    word: str
    offline_at: datetime | None


def every(db: Database) -> list[tuple[str, str, Said]]:
    """(vehicle code, username, what it said) of each device that said something."""
    found = rows(
        db,
        "SELECT code, username, word, offline_at FROM device_statuses JOIN devices ON devices.id = device_id"
        " JOIN vehicles ON vehicles.id = vehicle_id",
    )
    return [
        (r["code"], r["username"], Said(r["word"], times.parse(r["offline_at"]) if r["offline_at"] else None))
        for r in found
    ]


def keep(tx: Tx, said: Iterable[tuple[str, Said]]) -> None:
    """Stores these, by username."""
    tx.conn.executemany(
        "INSERT OR REPLACE INTO device_statuses SELECT id, ?, ? FROM devices WHERE username = ?",
        [(one.word, times.text(one.offline_at) if one.offline_at else None, username) for username, one in said],
    )
