"""A rejected fix by its name, and storing it after all. The list of them: `gps.Store.rejected`."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, suppress
from datetime import date, datetime
from pathlib import Path

from sqlite_utils import Database

from appliance.errors import InputError
from appliance.storage import gps_days, times
from appliance.storage.db import Row, row, write_tx
from appliance.storage.gps_rows import UPSERT, day_of, ms_of_day, to_row
from appliance.storage.gps_writer import Arrival


def parse(name: str) -> tuple[date, int]:
    """The day on which it was received, and its row there: `2026-01-26:17`. Raises InputError."""
    if found := re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2}):([1-9][0-9]{0,17})", name):
        with suppress(ValueError):
            return date.fromisoformat(found[1]), int(found[2])
    raise InputError("expected DAY:NUMBER, as `depotbox fixes rejected` lists it", subject=repr(name))


def find(folder: Path, day: date, id: int) -> Row | None:
    """A rejected fix: received_at, vehicle (the code in its topic), device, reason, payload, restored_at."""
    query = "SELECT received_at, vehicle, device, reason, payload, restored_at FROM rejected WHERE id = ?"
    try:
        with gps_days.reading(folder, day) as conn:
            return row(Database(conn, execute_plugins=False), query, id)
    except sqlite3.OperationalError as error:
        if gps_days.is_gone(folder, day, error):
            return None
        raise


def restore(folder: Path, day: date, id: int, arrival: Arrival, now: datetime) -> None:
    """Stores the fix in its own day, with a change row in the same transaction, and then marks the rejected one.

    Again, also after a crash in between, it changes nothing more: the fix is one row, and a row that is there already
    is no change. Unlike the bridge's writer this sets no damaged file aside: the bridge may have it open.
    """
    own = day_of(arrival.fix.at)
    db = gps_days.open_to_write(folder, own)
    with closing(db.conn), write_tx(db) as tx:
        source = gps_days.DayFile(db).source(tx, arrival.vehicle, arrival.device)
        if tx.conn.execute(UPSERT, to_row(source, arrival.fix, own, arrival.received)).rowcount:
            t = ms_of_day(own, arrival.fix.at)
            tx.conn.execute("INSERT INTO changes (vehicle, t_from, t_to) VALUES (?, ?, ?)", (arrival.vehicle, t, t))
    db = gps_days.open_to_write(folder, day)
    with closing(db.conn), write_tx(db) as tx:
        tx.conn.execute(
            "UPDATE rejected SET restored_at = ? WHERE id = ? AND restored_at IS NULL", (times.text(now), id)
        )
