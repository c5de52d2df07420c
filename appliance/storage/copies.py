"""Copies of databases for a backup, and what a restored `depot.db` is told before it is used."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlite_utils import Database

from appliance.domain.invoice import next_series
from appliance.errors import InputError
from appliance.storage import audit, identity, queues, uplink
from appliance.storage.db import Tx, value


def copy(source: Path, target: Path) -> None:
    """A whole copy of a database that others may be writing to, as it is at one moment; checked by opening it. Raises
    sqlite3.Error."""
    uri = f"{source.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as conn:
        conn.execute("VACUUM INTO ?", (str(target),))
    if (damage := damage_of(target)) != "ok":
        raise sqlite3.DatabaseError(damage)


def damage_of(file: Path) -> str:
    """What is wrong with a database file; `ok` where nothing is."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as conn:
            return str(conn.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)


def as_restored(tx: Tx, *, series: str, epoch: int, who: str, now: datetime, detail: str) -> None:
    """A restored box starts a new epoch and a new invoice series; nobody is logged in, and no link that was sent
    counts. Queues whose work leaves the box or bills are paused until a person has looked: what they would do may have
    been done already, after the backup."""
    identity.put(tx, "epoch", str(epoch))
    identity.put(tx, "series", series)
    identity.put(tx, uplink.RESTORED_TRIPS, str(value(tx, "SELECT coalesce(max(id), 0) FROM trips")))
    for table in ("sessions", "sign_in_links", "password_links"):
        tx.conn.execute(f"DELETE FROM {table}")
    for queue in ("normal", "low_priority"):
        queues.pause(tx, queue, "restore", now)
    audit.record(tx, who, "box.restored", "box", "", now, detail)


def following(backup: Database, here: Database | None) -> tuple[str, int]:
    """(series, epoch) that neither the backup nor this box has used. Raises InputError after series ZZ."""
    used = [identity.series(one) for one in (backup, here) if one is not None]
    epochs = [identity.epoch(one) for one in (backup, here) if one is not None]
    try:
        return next_series(max(used, key=lambda series: (len(series), series))), max(epochs) + 1
    except ValueError as error:
        raise InputError(str(error), subject="invoice series") from error
