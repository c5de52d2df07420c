"""The schedule of periodic jobs: entries in the database, so that an edit takes effect without a restart."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance.storage import identity, times
from appliance.storage.db import Row, Tx, row, rows

# (name, task, seconds, crontab); a crontab is in the depot's zone unless its entry names another.
_DEFAULTS = (
    ("cleanup-old-gps-data", "trips.tasks.cleanup_old_gps_data", 3600.0, None),
    ("check-gps-days", "trips.tasks.check_gps_days", None, "30 3 * * *"),
    ("refresh-broker", "upkeep.refresh_broker", None, "15 4 * * *"),
    ("check-trip-timeouts", "trips.tasks.check_trip_timeouts", 300.0, None),
    ("bill-unblocked-trips", "billing.tasks.bill_unblocked_trips", 900.0, None),
    ("process-overdue-invoices", "billing.tasks.process_overdue_invoices", None, "0 2 * * *"),
)
_SYNC = "sync.tasks.push_upstream"
_TRIPS, _NIGHTLY = "sync.trips", "sync.nightly"
_NIGHT_PLANNED = "sync_nightly"
"""The identity key of the crontab that the configuration gave last."""
DEFAULT_NAMES = frozenset((*(name for name, *_ in _DEFAULTS), _TRIPS, _NIGHTLY))


def ensure_defaults(tx: Tx) -> None:
    """Adds the box's own entries where they are missing; edited ones stay as they are."""
    tx.conn.executemany("INSERT OR IGNORE INTO schedules (name, task, every_s, crontab) VALUES (?, ?, ?, ?)", _DEFAULTS)


def ensure_sync(tx: Tx, crontab: str) -> None:
    """The same for what a box with a central office does: trips every quarter of an hour, all and the books at night.
    An entry of the night that nobody has edited follows the configuration."""
    tx.conn.execute(
        "INSERT OR IGNORE INTO schedules (name, task, arguments, every_s) VALUES (?, ?, ?, 900.0)",
        (_TRIPS, _SYNC, json.dumps({"streams": "trips,reference"})),
    )
    tx.conn.execute(
        "INSERT OR IGNORE INTO schedules (name, task, crontab) VALUES (?, ?, ?)", (_NIGHTLY, _SYNC, crontab)
    )
    tx.conn.execute(
        "UPDATE schedules SET crontab = ?1, next_run_at = NULL WHERE name = ?2 AND crontab = ?3 AND crontab <> ?1",
        (crontab, _NIGHTLY, identity.get(tx, _NIGHT_PLANNED, crontab)),
    )
    identity.put(tx, _NIGHT_PLANNED, crontab)


def listed(db: Database) -> list[Row]:
    return rows(db, "SELECT * FROM schedules ORDER BY name")


def enabled(db: Database) -> list[Row]:
    return rows(db, "SELECT * FROM schedules WHERE enabled = 1 ORDER BY name")


def plan(tx: Tx, name: str, next_run_at: datetime) -> None:
    tx.conn.execute("UPDATE schedules SET next_run_at = ? WHERE name = ?", (times.text(next_run_at), name))


def take(tx: Tx, name: str, expected: str, now: datetime, next_run_at: datetime, missed: int) -> bool:
    """Moves a due entry on, and counts the runs that passed meanwhile. False where another beat has taken it: the
    entry then ran there. The last run of a crontab never moves back: a clock that is behind for a while must not make
    the entry run again for times that it has run for."""
    cursor = tx.conn.execute(
        "UPDATE schedules SET last_run_at = iif(crontab IS NULL, ?1, max(coalesce(last_run_at, ''), ?1)),"
        " next_run_at = ?, missed = missed + ?"
        " WHERE name = ? AND next_run_at = ? AND enabled = 1",
        (times.text(now), times.text(next_run_at), missed, name, expected),
    )
    return cursor.rowcount == 1


def shift(tx: Tx, by: timedelta) -> None:
    """The clock has stepped: what runs at an interval still has as long to wait as before."""
    tx.conn.execute(
        "UPDATE schedules SET next_run_at = strftime(?, next_run_at, ?)"
        " WHERE every_s IS NOT NULL AND next_run_at IS NOT NULL",
        (times.SQL_FORMAT, times.modifier(by)),
    )


def put(tx: Tx, name: str, task: str, arguments: str, every_s: float | None, crontab: str | None, zone: str) -> None:
    """Adds an entry or changes the one of that name; it is planned anew, and keeps whether it is paused."""
    tx.conn.execute(
        "INSERT INTO schedules (name, task, arguments, every_s, crontab, zone) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET task = excluded.task, arguments = excluded.arguments, every_s = excluded.every_s,"
        " crontab = excluded.crontab, zone = excluded.zone, next_run_at = NULL, version = version + 1",
        (name, task, arguments, every_s, crontab, zone),
    )


def enable(tx: Tx, name: str, enabled: bool) -> bool:
    """Pauses an entry or lets it go on, planned anew. False where there is none."""
    cursor = tx.conn.execute(
        "UPDATE schedules SET enabled = ?, next_run_at = NULL, version = version + 1 WHERE name = ?",
        (int(enabled), name),
    )
    return cursor.rowcount == 1


def delete(tx: Tx, name: str) -> bool:
    """False where there is none."""
    return tx.conn.execute("DELETE FROM schedules WHERE name = ?", (name,)).rowcount == 1


def get(db: Database, name: str) -> Row | None:
    return row(db, "SELECT * FROM schedules WHERE name = ?", name)
