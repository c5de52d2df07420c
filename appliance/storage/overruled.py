"""Outliers that a person keeps in the trail: the fix of a vehicle's position source at a time."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Tx, rows


def between(db: Database, vehicle_id: int, start: datetime, end: datetime) -> dict[datetime, str]:
    """Fix time -> who overruled its judgement, for the fixes of [start, end]."""
    found = rows(
        db,
        "SELECT at, decided_by FROM overruled WHERE vehicle_id = ? AND at BETWEEN ? AND ?",
        vehicle_id,
        times.text(start),
        times.text(end),
    )
    return {times.parse(row["at"]): row["decided_by"] for row in found}


def add(tx: Tx, vehicle_id: int, at: datetime, who: str, now: datetime) -> bool:
    """False where it was overruled before."""
    return bool(
        tx.conn.execute(
            "INSERT INTO overruled (vehicle_id, at, decided_by, decided_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (vehicle_id, times.text(at), who, times.text(now)),
        ).rowcount
    )


def remove(tx: Tx, vehicle_id: int, at: datetime) -> bool:
    """False where it was not overruled."""
    deleted = tx.conn.execute("DELETE FROM overruled WHERE vehicle_id = ? AND at = ?", (vehicle_id, times.text(at)))
    return bool(deleted.rowcount)
