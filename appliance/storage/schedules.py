"""The schedule of periodic jobs: entries in the database, so that an edit takes effect without a restart."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, Tx, row, rows

_DEFAULTS = (
    ("cleanup-old-gps-data", "trips.tasks.cleanup_old_gps_data", 3600.0),
    ("check-trip-timeouts", "trips.tasks.check_trip_timeouts", 300.0),
)


def ensure_defaults(tx: Tx) -> None:
    """Adds the box's own entries where they are missing; edited ones stay as they are."""
    tx.conn.executemany("INSERT OR IGNORE INTO schedules (name, task, every_s) VALUES (?, ?, ?)", _DEFAULTS)


def listed(db: Database) -> list[Row]:
    return rows(db, "SELECT * FROM schedules ORDER BY name")


def enabled(db: Database) -> list[Row]:
    return rows(db, "SELECT * FROM schedules WHERE enabled = 1 ORDER BY name")


def plan(tx: Tx, name: str, next_run_at: datetime) -> None:
    tx.conn.execute("UPDATE schedules SET next_run_at = ? WHERE name = ?", (times.text(next_run_at), name))


def take(tx: Tx, name: str, expected: str, now: datetime, next_run_at: datetime) -> bool:
    """Moves a due entry on. False where another beat has taken it: the entry then ran there."""
    cursor = tx.conn.execute(
        "UPDATE schedules SET last_run_at = ?, next_run_at = ? WHERE name = ? AND next_run_at = ? AND enabled = 1",
        (times.text(now), times.text(next_run_at), name, expected),
    )
    return cursor.rowcount == 1


def get(db: Database, name: str) -> Row | None:
    return row(db, "SELECT * FROM schedules WHERE name = ?", name)
