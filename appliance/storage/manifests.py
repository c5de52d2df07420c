"""What the box remembers of brokers' manifests: layouts, what was said of each trip last, member ids, and imports."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.storage import times, uids
from appliance.storage.db import Row, Tx, insert, rows, value

_TRIP = """
SELECT trips.id, trips.uid, trips.ref, trips.state, trips.version, trips.level, trips.patient_id, trips.vehicle_id,
  trips.cancelled_by, trips.pickup_at, trips.appointment_at, trips.pickup_address, trips.dropoff_address, trips.notes,
  patients.name AS patient, vehicles.code AS vehicle, vehicles.levels AS vehicle_levels, said
FROM trips LEFT JOIN patients ON patients.id = trips.patient_id LEFT JOIN vehicles ON vehicles.id = trips.vehicle_id
LEFT JOIN manifest_trips ON manifest_trips.trip_id = trips.id
"""


def trips_with(db: Database, payer_id: int, refs: Collection[str]) -> list[Row]:
    """The trips that a payer knows by these numbers, with what was `said` of each last (JSON, or None)."""
    return rows(
        db,
        f"{_TRIP} WHERE trips.payer_id = ? AND trips.ref IN (SELECT value FROM json_each(?))",
        payer_id,
        json.dumps(sorted(refs)),
    )


def trips_between(db: Database, payer_id: int, start: datetime, end: datetime) -> list[Row]:
    """The trips of a payer that have a number, with their pickup in [start, end)."""
    return rows(
        db,
        f"{_TRIP} WHERE trips.payer_id = ? AND trips.ref IS NOT NULL AND trips.pickup_at >= ? AND trips.pickup_at < ?"
        " ORDER BY trips.pickup_at, trips.id",
        payer_id,
        times.text(start),
        times.text(end),
    )


def say(tx: Tx, trip_id: int, said: str) -> None:
    """Remembers what a manifest said of a trip."""
    tx.conn.execute(
        "INSERT INTO manifest_trips (trip_id, said) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET said = ?2",
        (trip_id, said),
    )


def members(db: Database, payer_id: int) -> dict[str, int]:
    """Member id -> the id of the patient whom the payer means by it."""
    found = rows(db, "SELECT member_id, patient_id FROM members WHERE payer_id = ?", payer_id)
    return {row["member_id"]: row["patient_id"] for row in found}


def add_member(tx: Tx, payer_id: int, member_id: str, patient_id: int) -> None:
    insert(tx, "members", payer_id=payer_id, member_id=member_id, patient_id=patient_id)


def layout(db: Database, payer_id: int) -> str | None:
    """The layout of a payer's manifests as JSON, once somebody has checked one."""
    found = value(db, "SELECT layout FROM manifest_layouts WHERE payer_id = ?", payer_id)
    return str(found) if found is not None else None


def set_layout(tx: Tx, payer_id: int, layout: str, who: str, now: datetime) -> None:
    tx.conn.execute(
        "INSERT INTO manifest_layouts (payer_id, layout, changed_by, changed_at) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT DO UPDATE SET layout = ?2, changed_by = ?3, changed_at = ?4",
        (payer_id, layout, who, times.text(now)),
    )


def record(tx: Tx, now: datetime, **columns: Any) -> str:
    """Records an import and returns its uid."""
    uid = uids.new()
    insert(tx, "manifest_imports", uid=uid, at=times.text(now), **columns)
    return uid


def imports(db: Database, limit: int, offset: int = 0) -> tuple[list[Row], int]:
    """A page of the imports, newest first, with the payer's name as `payer`, and how many there are in all."""
    found = rows(
        db,
        "SELECT manifest_imports.*, payers.name AS payer FROM manifest_imports JOIN payers ON payers.id = payer_id"
        " ORDER BY manifest_imports.id DESC LIMIT ? OFFSET ?",
        limit,
        offset,
    )
    return found, int(value(db, "SELECT count(*) FROM manifest_imports"))
