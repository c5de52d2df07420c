"""How far the change rows of each GPS day file have been turned into recomputed trips."""

from __future__ import annotations

from datetime import date

from sqlite_utils import Database

from appliance.storage.db import Tx, rows


def every(db: Database) -> dict[date, int]:
    return {date.fromisoformat(r["day"]): r["change_id"] for r in rows(db, "SELECT day, change_id FROM gps_watermarks")}


def move(tx: Tx, day: date, change_id: int) -> None:
    tx.conn.execute(
        "INSERT INTO gps_watermarks VALUES (?, ?) ON CONFLICT DO UPDATE SET change_id = excluded.change_id",
        (day.isoformat(), change_id),
    )


def forget_before(tx: Tx, day: date) -> None:
    """The files of the days before this one have been deleted."""
    tx.conn.execute("DELETE FROM gps_watermarks WHERE day < ?", (day.isoformat(),))
