"""Alerts: at most one open row a vehicle, from the telling of an outage to its end."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times, uids
from appliance.storage.db import Row, Tx, rows, update, value

_ALERT = """
SELECT a.id, v.code AS vehicle, a.state, a.since, a.opened_at, a.closed_at, a.off_duty_at, a.trip_id,
  t.ref AS trip_ref, a.driver_id, d.code AS driver, d.name AS driver_name, nullif(d.phone, '') AS driver_phone
FROM alerts a JOIN vehicles v ON v.id = a.vehicle_id
LEFT JOIN trips t ON t.id = a.trip_id LEFT JOIN drivers d ON d.id = a.driver_id
"""
_SHOWN = "a.closed_at IS NULL AND a.off_duty_at IS NULL"


def add(
    tx: Tx, vehicle_id: int, state: str, since: datetime, now: datetime, trip_id: int | None, driver_id: int | None
) -> bool:
    """Opens an alert. False where the vehicle has one already: another bridge was first."""
    return (
        tx.conn.execute(
            "INSERT INTO alerts (uid, vehicle_id, state, since, opened_at, trip_id, driver_id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (uids.new(), vehicle_id, state, times.text(since), times.text(now), trip_id, driver_id),
        ).rowcount
        == 1
    )


def change(tx: Tx, id: int, state: str, trip_id: int | None, driver_id: int | None, off_duty_at: str | None) -> None:
    """How the outage is now, and who is to be called."""
    update(tx, "alerts", id, state=state, trip_id=trip_id, driver_id=driver_id, off_duty_at=off_duty_at)


def close(tx: Tx, id: int, now: datetime) -> bool:
    """False where it was closed already."""
    closed = tx.conn.execute(
        "UPDATE alerts SET closed_at = ? WHERE id = ? AND closed_at IS NULL", (times.text(now), id)
    )
    return closed.rowcount == 1


def open_ones(db: Database) -> dict[str, Row]:
    """The open alerts by vehicle code, also of vehicles that are off duty."""
    return {row["vehicle"]: row for row in rows(db, f"{_ALERT} WHERE a.closed_at IS NULL")}


def shown(db: Database) -> list[Row]:
    """What needs somebody now: the open alerts of vehicles at work, the oldest first."""
    return rows(db, f"{_ALERT} WHERE {_SHOWN} ORDER BY a.id")


def of_vehicle(db: Database, vehicle_id: int, limit: int) -> list[Row]:
    """The outages of a vehicle, newest first."""
    return rows(db, f"{_ALERT} WHERE a.vehicle_id = ? ORDER BY a.id DESC LIMIT ?", vehicle_id, limit)


def page(db: Database, only_open: bool, limit: int, offset: int) -> tuple[list[Row], int]:
    """A page of alerts, newest first, and how many there are in all; `only_open`: those that need somebody now."""
    where = _SHOWN if only_open else "1"
    total = value(db, f"SELECT count(*) FROM alerts a WHERE {where}")
    return rows(db, f"{_ALERT} WHERE {where} ORDER BY a.id DESC LIMIT ? OFFSET ?", limit, offset), int(total)
