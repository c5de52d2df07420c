"""The day files of fixes as files: finding, making, opening, setting aside and deleting them."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from sqlite_utils import Database

from appliance import atomicfile, log, sharing
from appliance.storage.db import Tx, connect, value, write_tx
from appliance.storage.gps_rows import DAY_SCHEMA
from appliance.storage.migrations import statements

EPOCHS = 1_000
"""Epochs of a device that are remembered: those that it used last."""

Stamp = tuple[tuple[int, int], ...]
Numbering = tuple[int, int, int, int]
"""Device, epoch, how far it is on disk, and when it was last used (epoch milliseconds)."""

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class DayFile:
    """A day's file, open to write, and the numbers of the sources that were seen in it."""

    db: Database
    sources: dict[tuple[int, int], int] = field(default_factory=dict)

    def source(self, tx: Tx, vehicle: int, device: int) -> int:
        """The number of a device of a vehicle in this file; a new one where it has none."""
        known = self.sources.get((vehicle, device))
        if known is None:
            tx.conn.execute("INSERT OR IGNORE INTO sources (vehicle, device) VALUES (?, ?)", (vehicle, device))
            known = int(value(tx, "SELECT id FROM sources WHERE vehicle = ? AND device = ?", vehicle, device))
            self.sources[vehicle, device] = known
        return known


def path(folder: Path, day: date) -> Path:
    return folder / f"{day.isoformat()}.db"


def log_file(folder: Path, day: date) -> Path:
    """The day's write-ahead log: it is there while the file is open, and after a crash."""
    return folder / f"{day.isoformat()}.db-wal"


def seal_file(folder: Path, day: date) -> Path:
    """What the checks know of the day's file."""
    return folder / f"{day.isoformat()}.db.seal"


def listed(folder: Path) -> list[date]:
    """The days that have a file, oldest first. What only looks like one is left alone."""
    found = []
    for file in folder.glob("????-??-??.db"):
        with suppress(ValueError):
            found.append(date.fromisoformat(file.stem))
    return sorted(found)


def open_to_write(folder: Path, day: date) -> Database:
    """Opens a day's file, made first where there is none. A new file appears with its tables or not at all, so that
    neither a reader nor the start after a crash ever meets half of one."""
    file = path(folder, day)
    if not file.exists():
        _make(file)
    return connect(file)


@contextmanager
def reading(folder: Path, day: date) -> Iterator[sqlite3.Connection]:
    """A connection that reads only. The file is opened for writing all the same: a connection that SQLite knows to be
    read-only must leave its -wal and -shm files behind."""
    uri = f"{path(folder, day).absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=5, check_same_thread=False)) as conn:
        conn.execute("PRAGMA query_only=ON")
        yield conn


def is_gone(folder: Path, day: date, error: sqlite3.Error) -> bool:
    """Whether the file could not be read because retention has deleted it meanwhile."""
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CANTOPEN and not path(folder, day).exists()


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file's content is broken; not whether the disk, the memory or a lock is in the way."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    emptied = code == sqlite3.SQLITE_ERROR and "no such table" in str(error)  # a day's file appears with its tables
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or emptied


def set_aside(folder: Path, day: date, damage: str) -> None:
    """Renames a damaged file, so that the day can go on in a new one, and says so. It is kept for as long as the day
    would be. How far each device's numbering is on disk goes over into the new one, if it can still be read."""
    file = path(folder, day)
    kept: list[Numbering] = []
    with suppress(sqlite3.DatabaseError), reading(folder, day) as conn:
        kept = sequences(conn)
    number = 1
    while (aside := file.with_name(f"{file.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{file}{suffix}").rename(f"{aside}{suffix}")
    file.rename(aside)
    seal_file(folder, day).unlink(missing_ok=True)
    atomicfile.sync_folder(folder)
    _log.error("gps.day_set_aside", day=day.isoformat(), file=aside.name, damage=damage)
    if kept:
        db = open_to_write(folder, day)
        with closing(db.conn), write_tx(db) as tx:
            keep_sequences(tx, kept)


def sequences(conn: sqlite3.Connection) -> list[Numbering]:
    """What this day has of each device's numbering: of the EPOCHS epochs that it used last on it."""
    return conn.execute(
        "SELECT device, epoch, seq, used_at FROM"
        " (SELECT *, row_number() OVER (PARTITION BY device ORDER BY used_at DESC) AS age FROM sequences)"
        " WHERE age <= ?",
        (EPOCHS,),
    ).fetchall()


def keep_sequences(tx: Tx, found: Iterable[Numbering]) -> None:
    tx.conn.executemany(
        "INSERT INTO sequences VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq), used_at = max(used_at, excluded.used_at)",
        found,
    )


def set_aside_days(folder: Path) -> set[date]:
    """The days of which a damaged file was set aside."""
    return {date.fromisoformat(file.name[:10]) for file in folder.glob("????-??-??.db.damaged-*")}


def lost_until(folder: Path, day: date) -> datetime | None:
    """When a part of the day that was set aside was last written to: fixes of up to then may be missing. None where
    nothing was set aside."""
    written = [file.stat().st_mtime for file in folder.glob(f"{day.isoformat()}.db.damaged-*")]
    return datetime.fromtimestamp(max(written), UTC) if written else None


def delete(folder: Path, day: date) -> None:
    """Deletes the day's file with all that belongs to it. Whoever reads it just now reads on, and takes the files away
    that SQLite made for that."""
    path(folder, day).unlink(missing_ok=True)  # first: from here on nobody makes new ones
    for file in folder.glob(f"{day.isoformat()}.db*"):
        file.unlink(missing_ok=True)


def stamp(folder: Path, day: date) -> Stamp:
    """Differs from the last one when the day's file may have changed, whichever way the clock went meanwhile."""
    found = []
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            status = os.stat(f"{path(folder, day)}{suffix}")
            found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)


def _make(file: Path) -> None:
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".new-day-") as name:
        draft = Path(name) / file.name
        db = connect(draft)
        with write_tx(db) as tx:
            for statement in statements(DAY_SCHEMA):
                tx.conn.execute(statement)
            if file.stem in {day.isoformat() for day in set_aside_days(file.parent)}:
                # Of no vehicle: the next ones have higher numbers than the watermark of the file before.
                tx.conn.execute("INSERT INTO changes VALUES (?, 0, 0, 0)", (int(time.time()),))
        db.conn.close()  # writes the whole file and removes its WAL
        draft.chmod(sharing.file_mode(file.parent))
        with suppress(FileExistsError):  # another process was quicker
            os.link(draft, file)
    atomicfile.sync_folder(file.parent)
