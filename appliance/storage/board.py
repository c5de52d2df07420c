"""The read queries of the pages and of the API's lists.

Every function is one short read and returns plain rows; none keeps a cursor open. Times go in and come out as stored
text (see times.py), patient names come out of `cards`, `trip` and `trips` only.
"""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.domain.trip import FINISHED, RUNNING, State
from appliance.storage.db import Row, row, rows, value
from appliance.storage.times import text

CARDS_LIMIT = 400

_OPEN = ", ".join(f"'{state}'" for state in State if state not in FINISHED)
_RUNNING = ", ".join(f"'{state}'" for state in sorted(RUNNING))

_TRIP = """
SELECT t.*, p.name AS patient, y.name AS payer, y.kind AS payer_kind, v.code AS vehicle, v.name AS vehicle_name,
  d.code AS driver, d.name AS driver_name, i.id AS invoice_id, i.number AS invoice_number, i.state AS invoice_state,
  coalesce(t.completed_at, t.no_show_at, t.cancelled_at, t.updated_at) AS ended_at,
  o.ref AS outbound_ref, o.state AS outbound_state, o.completed_at AS outbound_completed_at
FROM trips t
LEFT JOIN patients p ON p.id = t.patient_id
LEFT JOIN payers y ON y.id = t.payer_id
LEFT JOIN vehicles v ON v.id = t.vehicle_id
LEFT JOIN drivers d ON d.id = t.driver_id
LEFT JOIN invoices i ON i.trip_id = t.id AND i.state <> 'void'
LEFT JOIN trips o ON o.id = t.outbound_trip_id
"""


def cards(db: Database, since: datetime, until: datetime) -> list[Row]:
    """The trips of the board by pickup time: open ones to be picked up before `until` (however old), and finished ones
    that were planned or ended since `since`. At most `CARDS_LIMIT`; the newest stay when there are more."""
    return rows(
        db,
        f"""{_TRIP} WHERE t.id IN (SELECT id FROM trips WHERE id IN (
              SELECT id FROM trips WHERE state IN ({_OPEN})
              UNION SELECT id FROM trips WHERE pickup_at >= ?2
              UNION SELECT id FROM trips WHERE coalesce(completed_at, no_show_at, cancelled_at) >= ?2)
            AND pickup_at < ?1 ORDER BY pickup_at DESC, id DESC LIMIT ?3)
          ORDER BY t.pickup_at, t.id""",
        text(until), text(since), CARDS_LIMIT,
    )  # fmt: skip


def cards_between(db: Database, since: datetime, until: datetime) -> list[Row]:
    """The trips that were planned for that time, by pickup time; at most `CARDS_LIMIT`."""
    return rows(
        db, f"{_TRIP} WHERE t.pickup_at >= ? AND t.pickup_at < ? ORDER BY t.pickup_at, t.id LIMIT ?",
        text(since), text(until), CARDS_LIMIT,
    )  # fmt: skip


def trip(db: Database, trip_id: int) -> Row | None:
    """One trip with the names and codes that belong to it, or None."""
    return row(db, f"{_TRIP} WHERE t.id = ?", trip_id)


def trips(
    db: Database, state: str | None, since: datetime | None, until: datetime | None, limit: int, offset: int
) -> tuple[list[Row], int]:
    """A page of trips, newest pickup first, and how many there are in all."""
    where, args = ["1"], list[str]()
    if state is not None:
        where.append("t.state = ?")
        args.append(state)
    if since is not None and until is not None:
        where.append("t.pickup_at >= ? AND t.pickup_at < ?")
        args += [text(since), text(until)]
    condition = " AND ".join(where)
    total = value(db, f"SELECT count(*) FROM trips t WHERE {condition}", *args)
    order = "ORDER BY t.pickup_at DESC, t.id DESC LIMIT ? OFFSET ?"
    return rows(db, f"{_TRIP} WHERE {condition} {order}", *args, limit, offset), int(total)


def trip_exists(db: Database, trip_id: int) -> bool:
    return value(db, "SELECT 1 FROM trips WHERE id = ?", trip_id) is not None


def trip_events(db: Database, trip_id: int) -> list[Row]:
    """What happened to a trip, in the order in which the box learned of it."""
    return rows(db, "SELECT * FROM trip_events WHERE trip_id = ? ORDER BY id", trip_id)


def vehicles(db: Database) -> list[Row]:
    """The vehicles in service by code, each with the newest of its running trips and that trip's driver."""
    return rows(
        db,
        f"""SELECT v.id, v.code, v.name, v.plate, v.levels, t.id AS trip_id, t.ref AS trip_ref, t.state AS trip_state,
              t.on_board_at, d.code AS driver, d.name AS driver_name,
              t.pickup_address, t.dropoff_address
            FROM vehicles v
            LEFT JOIN trips t ON t.id = (
              SELECT max(r.id) FROM trips r WHERE r.vehicle_id = v.id AND r.state IN ({_RUNNING}))
            LEFT JOIN drivers d ON d.id = t.driver_id
            WHERE v.disabled_at IS NULL ORDER BY v.code""",
    )


def vehicle_id(db: Database, code: str) -> int | None:
    """The id of a vehicle, in service or not: its history stays readable."""
    found = value(db, "SELECT id FROM vehicles WHERE code = ?", code)
    return None if found is None else int(found)


def vehicle(db: Database, code: str) -> Row | None:
    """Id, code and name of a vehicle, in service or not."""
    return row(db, "SELECT id, code, name FROM vehicles WHERE code = ?", code)


def rides(db: Database, start: datetime, end: datetime) -> list[Row]:
    """The trips that were under way in a time, by when they began: from setting out to their end, which is null while
    they run."""
    return rows(
        db,
        """SELECT * FROM (
             SELECT t.id, t.ref, t.vehicle_id, d.name AS driver_name,
               coalesce(t.en_route_at, t.arrived_pickup_at, t.on_board_at) AS began,
               coalesce(t.completed_at, t.no_show_at, t.cancelled_at) AS ended
             FROM trips t LEFT JOIN drivers d ON d.id = t.driver_id WHERE t.vehicle_id IS NOT NULL)
           WHERE began <= ?2 AND coalesce(ended, ?2) >= ?1 ORDER BY began, id""",
        text(start), text(end),
    )  # fmt: skip


def drivers(db: Database) -> list[Row]:
    """The drivers in service by name, each with the newest of their running trips."""
    return rows(
        db,
        f"""SELECT d.id, d.code, d.name, t.id AS trip_id, t.ref AS trip_ref, t.state AS trip_state, v.code AS vehicle
            FROM drivers d
            LEFT JOIN trips t ON t.id = (
              SELECT max(r.id) FROM trips r WHERE r.driver_id = d.id AND r.state IN ({_RUNNING}))
            LEFT JOIN vehicles v ON v.id = t.vehicle_id
            WHERE d.disabled_at IS NULL ORDER BY d.name, d.code""",
    )


def jobs(
    db: Database, state: str | None, limit: int, offset: int, *, queue: str = "", q: str = ""
) -> tuple[list[Row], int]:
    """A page of durable jobs, newest first, and how many there are in all; of one state, of one queue, with `q` in
    their name or at the beginning of their id."""
    where, args = ["1"], list[str]()
    if state is not None:
        where.append("state = ?")
        args.append(state)
    if queue:
        where.append("queue = ?")
        args.append(queue)
    if q:
        where.append("(instr(name, ?) > 0 OR substr(id, 1, length(?)) = ?)")
        args += [q.lower()] * 3
    condition = " AND ".join(where)
    total = value(db, f"SELECT count(*) FROM jobs WHERE {condition}", *args)
    columns = "id, name, queue, state, attempts, failures, due_at, created_at, claimed_at, finished_at, error"
    order = "ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
    return rows(db, f"SELECT {columns} FROM jobs WHERE {condition} {order}", *args, limit, offset), int(total)


def job_counts(db: Database) -> dict[str, int]:
    """How many jobs there are in each state that occurs."""
    return {found["state"]: found["n"] for found in rows(db, "SELECT state, count(*) AS n FROM jobs GROUP BY state")}


def invoices_on(db: Database, issued_on: str) -> tuple[int, int]:
    """How many invoices were issued on a local day (`2026-01-26`) and are not void, and their sum in minor units."""
    found = row(
        db,
        "SELECT count(*) AS n, coalesce(sum(total_cents), 0) AS cents FROM invoices"
        " WHERE issued_on = ? AND state <> 'void'",
        issued_on,
    )
    return (found["n"], found["cents"]) if found else (0, 0)


def answers(db: Database) -> bool:
    """True when the depot's tables can be read."""
    return value(db, "SELECT count(*) FROM identity") is not None
