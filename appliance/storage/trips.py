"""Trips and their events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlite_utils import Database

from appliance.domain.trip import FINISHED
from appliance.storage import sync_log, times, uids
from appliance.storage.db import Row, Tx, insert, row, rows

STAMP_COLUMNS = (
    "accepted_at",
    "en_route_at",
    "arrived_pickup_at",
    "on_board_at",
    "arrived_dropoff_at",
    "completed_at",
    "cancelled_at",
    "no_show_at",
)
MEASURED_COLUMNS = ("distance_m", "duration_s", "stops", "fixes", "completeness", "trail_closed_at")
_FINISHED = ", ".join(f"'{state}'" for state in sorted(FINISHED))
_SAID = {"in_progress": "under way", "will_call": "waiting for a call"}
_SYNCED = (
    *("uid", "ref", "state", "level", "pickup_at", "appointment_at", *STAMP_COLUMNS),
    *("cancelled_by", "contact_attempts", "distance_m", "duration_s"),
)
_LOGGED = (
    f"SELECT {', '.join(f't.{name}' for name in _SYNCED)}, payers.uid AS payer_uid, patients.uid AS patient_uid,"
    " vehicles.uid AS vehicle_uid, drivers.uid AS driver_uid, outbound.uid AS outbound_uid FROM trips t"
    " LEFT JOIN payers ON payers.id = t.payer_id LEFT JOIN patients ON patients.id = t.patient_id"
    " LEFT JOIN vehicles ON vehicles.id = t.vehicle_id LEFT JOIN drivers ON drivers.id = t.driver_id"
    " LEFT JOIN trips AS outbound ON outbound.id = t.outbound_trip_id WHERE t.id = ?"
)


def add(tx: Tx, now: datetime, **columns: Any) -> int:
    """Inserts a trip (columns as in the schema; state included) and logs it for the central office."""
    at = times.text(now)
    id = insert(tx, "trips", uid=uids.new(), created_at=at, updated_at=at, **columns)
    _log(tx, id, now)
    return id


def get(db: Database, id: int) -> Row | None:
    return row(db, "SELECT * FROM trips WHERE id = ?", id)


def by_ref(db: Database, ref: str) -> Row | None:
    """The trip with this number, the oldest where several payers gave it."""
    return row(db, "SELECT * FROM trips WHERE ref = ? ORDER BY id LIMIT 1", ref)


def of_payer(db: Database, payer_id: int | None, ref: str) -> Row | None:
    """The trip that this payer (None: nobody) knows by this number."""
    return row(db, "SELECT * FROM trips WHERE ref = ? AND payer_id IS ?", ref, payer_id)


def change(tx: Tx, id: int, now: datetime, **columns: Any) -> None:
    """Sets columns, moves the version on, and logs the trip for the central office."""
    sets = ", ".join(f"{name} = ?" for name in columns)
    tx.conn.execute(
        f"UPDATE trips SET {sets}, version = version + 1, updated_at = ? WHERE id = ?",
        (*columns.values(), times.text(now), id),
    )
    _log(tx, id, now)


def note_unbilled(tx: Tx, id: int, reason: str | None) -> None:
    """Why the trip has no invoice; None once it has one."""
    tx.conn.execute("UPDATE trips SET unbilled_reason = ? WHERE id = ?", (reason, id))


def is_measured(trip: Row) -> bool:
    """Whether the trail of a trip was closed since it was completed."""
    return trip["trail_closed_at"] is not None or trip["distance_m"] is not None


def window(trip: Row) -> tuple[datetime, datetime]:
    """From when to when a completed trip carried its patient, as far as it was stamped."""
    began = trip["on_board_at"] or trip["arrived_pickup_at"] or trip["en_route_at"] or trip["completed_at"]
    ended = trip["arrived_dropoff_at"] or trip["completed_at"]
    start, end = times.parse(began), times.parse(ended)
    return start, max(start, end)


def unbilled(db: Database) -> list[Row]:
    """Finished trips without a live invoice, oldest first: `id`, `ref`, `state`, `level`, `payer_id`, `ended_at`,
    `payer` (none of a patient), `trail_closed_at`, `distance_m`, and the `reason` that was found when the invoice was
    asked for."""
    return rows(
        db,
        "SELECT trips.id, ref, trips.state, level, payer_id, coalesce(completed_at, no_show_at) AS ended_at,"
        " CASE WHEN kind <> 'patient' THEN name END AS payer, unbilled_reason AS reason, trail_closed_at,"
        " distance_m FROM trips"
        " LEFT JOIN payers ON payers.id = payer_id WHERE trips.state IN ('completed', 'no_show')"
        " AND NOT EXISTS (SELECT 1 FROM invoices WHERE trip_id = trips.id AND invoices.state <> 'void')"
        " ORDER BY ended_at, trips.id",
    )


def add_event(tx: Tx, now: datetime, **columns: Any) -> None:
    insert(tx, "trip_events", uid=uids.new(), received_at=times.text(now), **columns)


def event(db: Database, event_id: str) -> Row | None:
    """The event that a device sent under this id, if it is known."""
    return row(db, "SELECT * FROM trip_events WHERE event_id = ?", event_id)


def running_of_vehicles(db: Database) -> list[Row]:
    """id and vehicle code of each trip under way."""
    return rows(
        db, "SELECT trips.id, code FROM trips JOIN vehicles ON vehicles.id = vehicle_id WHERE state = 'in_progress'"
    )


def open_of_vehicles(db: Database) -> list[Row]:
    """What the vehicles must know of their trips: assigned or under way, in the order of their pickup."""
    return rows(
        db,
        "SELECT code, trips.id, trips.state, level, pickup_at, appointment_at FROM trips"
        " JOIN vehicles ON vehicles.id = vehicle_id WHERE trips.state IN ('assigned', 'in_progress')"
        " ORDER BY code, pickup_at, trips.id",
    )


def held(db: Database) -> list[Row]:
    """The trips that hold a vehicle or will, by their pickup: id, ref, state, vehicle_id, driver_id and their times."""
    return rows(
        db,
        "SELECT id, ref, state, vehicle_id, driver_id, pickup_at, appointment_at FROM trips"
        " WHERE state IN ('assigned', 'in_progress') ORDER BY pickup_at, id",
    )


def open_returns(db: Database, id: int) -> list[Row]:
    """The return legs of a trip that have not ended: id, ref, state, pickup_at, version."""
    return rows(
        db,
        "SELECT id, ref, state, pickup_at, version FROM trips WHERE outbound_trip_id = ?"
        f" AND state NOT IN ({_FINISHED}) ORDER BY pickup_at, id",
        id,
    )


def legs_of(db: Database, id: int) -> list[Row]:
    """The other legs of a trip, the way there first: id, ref, state, pickup_at, completed_at."""
    return rows(
        db,
        "SELECT id, ref, state, pickup_at, completed_at, outbound_trip_id IS NOT ?1 AS is_outbound FROM trips"
        " WHERE outbound_trip_id = ?1 OR id = (SELECT outbound_trip_id FROM trips WHERE id = ?1)"
        " ORDER BY outbound_trip_id IS ?1, pickup_at, id",
        id,
    )


def open_of(db: Database, column: Literal["vehicle_id", "driver_id", "patient_id"], id: int) -> list[Row]:
    """id, state and level of the trips of one of them that have not ended, in the order of their pickup."""
    return rows(
        db,
        f"SELECT id, state, level FROM trips WHERE {column} = ? AND state NOT IN ({_FINISHED}) ORDER BY pickup_at, id",
        id,
    )


def give_payer(tx: Tx, patient_id: int, payer_id: int, now: datetime) -> None:
    """Trips of a patient that have neither a payer nor an invoice are this payer's."""
    found = rows(
        tx,
        "SELECT id FROM trips WHERE patient_id = ? AND payer_id IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM invoices WHERE trip_id = trips.id AND invoices.state <> 'void')",
        patient_id,
    )
    for trip in found:
        change(tx, trip["id"], now, payer_id=payer_id)


def waiting_for_invoice(db: Database, patient_id: int) -> int | None:
    """A finished trip of a patient whose invoice is on its way; no blocked one, for it may stay so."""
    waiting = [trip["id"] for trip in unbilled(db) if trip["reason"] is None]
    theirs = rows(db, "SELECT id FROM trips WHERE patient_id = ? ORDER BY id", patient_id)
    return next((int(trip["id"]) for trip in theirs if trip["id"] in waiting), None)


def told(open_trips: Sequence[Row]) -> str:
    """Why something cannot be done yet: `trip 12 is under way, trip 14 is assigned`."""
    said = [f"trip {trip['id']} is {_SAID.get(trip['state'], trip['state'])}" for trip in open_trips[:5]]
    return ", ".join(said) + (f", and {len(open_trips) - 5} more" if len(open_trips) > 5 else "")


def touched_by(db: Database, vehicle_id: int, start: datetime, end: datetime) -> list[int]:
    """Ids of the vehicle's completed trips whose trail overlaps [start, end]."""
    found = rows(
        db,
        "SELECT id FROM trips WHERE vehicle_id = ? AND state = 'completed' AND completed_at >= ?"
        " AND coalesce(on_board_at, arrived_pickup_at, en_route_at, completed_at) <= ?",
        vehicle_id,
        times.text(start),
        times.text(end),
    )
    return [r["id"] for r in found]


def shared_with(db: Database, trip: Row) -> int:
    """How many other patients were on board of the same vehicle for a part of this trip's ride."""
    found = row(
        db,
        "SELECT count(*) AS n FROM trips AS other WHERE other.vehicle_id = ?1 AND other.id <> ?2"
        " AND other.state IN ('in_progress', 'completed') AND other.on_board_at < ?4"
        " AND coalesce(other.arrived_dropoff_at, other.completed_at, '9999') > ?3",
        trip["vehicle_id"],
        trip["id"],
        trip["on_board_at"],
        trip["arrived_dropoff_at"] or trip["completed_at"],
    )
    return int(found["n"]) if found else 0


def running_since_before(db: Database, limit: datetime) -> list[Row]:
    """Trips under way, not flagged yet, whose first stamp is older than the limit."""
    return rows(
        db,
        "SELECT id, vehicle_id FROM trips WHERE state = 'in_progress' AND flagged_at IS NULL"
        " AND coalesce(en_route_at, arrived_pickup_at, on_board_at) < ?",
        times.text(limit),
    )


def between(db: Database, start: datetime, end: datetime) -> list[Row]:
    """Trips with their pickup in [start, end): id, state, flagged_at, unbilled_reason. No names."""
    return rows(
        db,
        "SELECT id, state, flagged_at, unbilled_reason FROM trips WHERE pickup_at >= ? AND pickup_at < ? ORDER BY id",
        times.text(start),
        times.text(end),
    )


def _log(tx: Tx, id: int, now: datetime) -> None:
    trip = row(tx, _LOGGED, id)
    assert trip is not None
    trip["ref"] = sync_log.code(trip["ref"])
    sync_log.append(tx, "trips", "trip", trip["uid"], trip, now)


def log_trail(tx: Tx, id: int, tolerance_m: float, points: Sequence[tuple[float, float, int]], now: datetime) -> None:
    """Logs where a completed trip went for the central office: longitude, latitude, Unix seconds."""
    trip = get(tx, id)
    assert trip is not None
    snapshot = {"trip_uid": trip["uid"], "tolerance_m": tolerance_m, "points": list(points)}
    sync_log.append(tx, "trails", "trail", trip["uid"], snapshot, now)
