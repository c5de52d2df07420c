"""Shifts: who drives which vehicle from when to when; and which vehicles are at work now."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlite_utils import Database

from appliance.domain.trip import RUNNING
from appliance.storage import times, uids
from appliance.storage.db import Row, Tx, insert, rows, value

_RUNNING = ", ".join(f"'{state}'" for state in sorted(RUNNING))


def add(
    tx: Tx, vehicle_id: int, driver_id: int, starts_at: datetime, ends_at: datetime, who: str, now: datetime
) -> int:
    return insert(
        tx,
        "shifts",
        uid=uids.new(),
        vehicle_id=vehicle_id,
        driver_id=driver_id,
        starts_at=times.text(starts_at),
        ends_at=times.text(ends_at),
        created_by=who,
        created_at=times.text(now),
    )


def end(tx: Tx, id: int, at: datetime) -> bool:
    """Ends a shift that has not ended yet; one that has not begun never does. False where there is none."""
    return (
        tx.conn.execute(
            "UPDATE shifts SET starts_at = min(starts_at, ?1), ends_at = ?1 WHERE id = ?2 AND ends_at > ?1",
            (times.text(at), id),
        ).rowcount
        == 1
    )


def end_all(tx: Tx, column: Literal["vehicle_id", "driver_id"], id: int, at: datetime) -> int:
    """Ends all shifts of a vehicle or driver that have not ended, like `end`; returns how many."""
    return tx.conn.execute(
        f"UPDATE shifts SET starts_at = min(starts_at, ?1), ends_at = ?1 WHERE {column} = ?2 AND ends_at > ?1",
        (times.text(at), id),
    ).rowcount


def listed(db: Database, ends_after: datetime | None) -> list[Row]:
    """The shifts that end after a time (None: all), by their start, with the codes of vehicle and driver."""
    return rows(
        db,
        "SELECT shifts.id, vehicles.code AS vehicle, drivers.code AS driver, starts_at, ends_at FROM shifts"
        " JOIN vehicles ON vehicles.id = vehicle_id JOIN drivers ON drivers.id = driver_id"
        " WHERE ends_at > ? ORDER BY starts_at, shifts.id",
        times.text(ends_after) if ends_after else "",
    )


def of_driver(db: Database, driver_id: int, limit: int) -> list[Row]:
    """The shifts of a driver, the last to begin first, with the code of the vehicle."""
    return rows(
        db,
        "SELECT shifts.id, vehicles.code AS vehicle, starts_at, ends_at FROM shifts"
        " JOIN vehicles ON vehicles.id = vehicle_id WHERE driver_id = ?"
        " ORDER BY starts_at DESC, shifts.id DESC LIMIT ?",
        driver_id,
        limit,
    )


def driver_of(db: Database, id: int) -> str | None:
    """The code of the driver whose shift it is; None where there is none."""
    found = value(db, "SELECT code FROM shifts JOIN drivers ON drivers.id = driver_id WHERE shifts.id = ?", id)
    return None if found is None else str(found)


def at_work(db: Database, now: datetime | None) -> dict[str, Row]:
    """By code, the vehicles with a trip under way or a shift: vehicle_id, trip_id, driver_id, name, phone and `since`.

    The driver is that of the trip, else that of the shift; `since` is the first stamp of the trip, else the start of
    the shift. Without a `now` that can be trusted only trips count.
    """
    found = rows(
        db,
        f"""SELECT v.code, v.id AS vehicle_id, t.id AS trip_id, d.id AS driver_id, d.name, d.phone,
              coalesce(t.en_route_at, t.arrived_pickup_at, t.on_board_at, t.updated_at, s.starts_at) AS since
            FROM vehicles v
            LEFT JOIN trips t ON t.id = (
              SELECT max(r.id) FROM trips r WHERE r.vehicle_id = v.id AND r.state IN ({_RUNNING}))
            LEFT JOIN shifts s ON s.id = (
              SELECT max(o.id) FROM shifts o WHERE o.vehicle_id = v.id AND o.ends_at > ?1 AND o.starts_at <= ?1)
            LEFT JOIN drivers d ON d.id = coalesce(t.driver_id, s.driver_id)
            WHERE v.disabled_at IS NULL AND coalesce(t.id, s.id) IS NOT NULL""",
        times.text(now) if now else None,
    )
    return {row["code"]: row for row in found}
