"""The fixes: one SQLite file for each UTC day, keyed (vehicle, device, fix time).

A fix sent twice is one row, in whatever order it came; a late fix lands in its own day; retention deletes files.
`Writer` belongs to the bridge alone; `Store` reads, from any process, and holds no file open between calls.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from appliance.domain.fix import Fix, Rejection
from appliance.storage import times
from appliance.storage.db import Row, connect, rows, value, write_tx
from appliance.storage.gps_rows import DAY_SCHEMA, UPSERT, day_of, from_row, ms_of_day, to_row
from appliance.storage.migrations import statements

_COLUMNS = "t, lat, lon, speed, heading, accuracy, altitude, odometer, ignition, battery, format"
_OPEN_DAYS = 8


@dataclass(frozen=True, slots=True)
class Arrival:
    """A good fix as it came: whose it is, and when the box received it."""

    vehicle: int
    device: int
    fix: Fix
    received: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """A rejected fix as it came: `vehicle` is the code in the topic, `payload` the element that was refused."""

    vehicle: str
    device: int | None
    rejection: Rejection
    payload: bytes
    received: datetime


@dataclass(slots=True)
class Batch:
    """What one commit stores. `sequences` is how far each (device, epoch) is on disk once it has committed."""

    arrivals: list[Arrival] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    sequences: dict[tuple[int, int], int] = field(default_factory=dict)


class Writer:
    """Stores batches durably. One process only."""

    def __init__(self, folder: Path, *, late_s: float) -> None:
        self._folder = folder
        self._late = timedelta(seconds=late_s)
        self._open: dict[date, Database] = {}

    def commit(self, batch: Batch, now: datetime) -> int:
        """Commits the batch and returns how many rows are new or changed. When it returns, everything is on disk.

        The sequence numbers go into today's file, which commits last: after a crash in between they say less than
        is stored, never more. A fix later than `late_s` leaves a change row in the same transaction.
        """
        today = day_of(now)
        days: defaultdict[date, list[Arrival]] = defaultdict(list)
        for arrival in batch.arrivals:
            days[day_of(arrival.fix.at)].append(arrival)
        stored = 0
        for day in sorted(days, key=lambda day: (day == today, day)):
            if day != today:
                with write_tx(self._file(day)) as tx:
                    stored += self._store(tx, day, days[day])
        if days.get(today) or batch.refused or batch.sequences:
            with write_tx(self._file(today)) as tx:
                stored += self._store(tx, today, days.get(today, []))
                tx.conn.executemany(
                    "INSERT OR IGNORE INTO rejected (digest, received_at, vehicle, device, reason, value, bound,"
                    " payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    map(_refused_row, batch.refused),
                )
                tx.conn.executemany(
                    "INSERT INTO sequences VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
                    [(device, epoch, seq) for (device, epoch), seq in batch.sequences.items()],
                )
        return stored

    def close(self) -> None:
        for db in self._open.values():
            db.conn.close()
        self._open.clear()

    def _store(self, tx: Database, day: date, arrivals: list[Arrival]) -> int:
        before = tx.conn.total_changes
        spans: dict[int, tuple[int, int]] = {}
        prompt = []
        for arrival in arrivals:
            row = to_row(arrival.vehicle, arrival.device, arrival.fix, day, arrival.received)
            if arrival.received - arrival.fix.at <= self._late:
                prompt.append(row)
            elif tx.conn.execute(UPSERT, row).rowcount:
                t = row[2]
                first, last = spans.get(arrival.vehicle, (t, t))
                spans[arrival.vehicle] = (min(first, t), max(last, t))
        tx.conn.executemany(UPSERT, prompt)
        stored = tx.conn.total_changes - before
        tx.conn.executemany(
            "INSERT INTO changes (vehicle, t_from, t_to) VALUES (?, ?, ?)",
            [(vehicle, first, last) for vehicle, (first, last) in spans.items()],
        )
        return stored

    def _file(self, day: date) -> Database:
        if day not in self._open:
            if len(self._open) >= _OPEN_DAYS:
                self._open.pop(next(iter(self._open))).conn.close()
            self._open[day] = connect(_path(self._folder, day))
            with write_tx(self._open[day]) as tx:
                for statement in statements(DAY_SCHEMA):
                    tx.conn.execute(statement)
        return self._open[day]


@dataclass(frozen=True, slots=True)
class Change:
    """A span of a vehicle's history that changed after the fact."""

    id: int
    vehicle: int
    start: datetime
    end: datetime


class Store:
    """Reads fixes. Each call opens the day files it needs and closes them again, so that no WAL is held open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def days(self) -> list[date]:
        """The days that have a file, oldest first."""
        return sorted(date.fromisoformat(path.stem) for path in self._folder.glob("????-??-??.db"))

    def trail(self, vehicle: int, device: int | None, start: datetime, end: datetime) -> list[Fix]:
        """The stored fixes of [start, end] in fix-time order; of one device, or of all when `device` is None."""
        found: list[Fix] = []
        only = "" if device is None else "AND device = ?"
        for day in self._between(start, end):
            args = [vehicle, ms_of_day(day, start), ms_of_day(day, end)] + ([] if device is None else [device])
            with self._read(day) as conn:
                query = f"SELECT {_COLUMNS} FROM fixes WHERE vehicle = ? AND t BETWEEN ? AND ? {only} ORDER BY t"
                found += [from_row(row, day) for row in conn.execute(query, args)]
        return found

    def newest(self, now: datetime, days: int = 2) -> dict[int, Fix]:
        """The newest fix of each vehicle in the last days, by vehicle id."""
        found: dict[int, Fix] = {}
        for day in self._between(now - timedelta(days=days), now + timedelta(days=1)):
            with self._read(day) as conn:
                query = f"SELECT vehicle, max(t), {_COLUMNS} FROM fixes GROUP BY vehicle"
                found |= {row[0]: from_row(row[2:], day) for row in conn.execute(query)}
        return found

    def sequences(self) -> dict[tuple[int, int], int]:
        """How far each (device, epoch) is on disk."""
        found: dict[tuple[int, int], int] = {}
        for day in self.days():
            with self._read(day) as conn:
                for device, epoch, seq in conn.execute("SELECT device, epoch, seq FROM sequences"):
                    found[device, epoch] = max(seq, found.get((device, epoch), 0))
        return found

    def stamp(self, day: date) -> int:
        """A number that moves when the day's file may have changed."""
        found = 0
        for suffix in ("", "-wal"):
            path = Path(f"{_path(self._folder, day)}{suffix}")
            if path.exists():
                status = path.stat()
                found = max(found, status.st_mtime_ns) + status.st_size
        return found

    def changes(self, day: date, after: int, limit: int = 500) -> list[Change]:
        """The change rows of a day after a watermark, oldest first."""
        with self._read(day) as conn:
            query = "SELECT id, vehicle, t_from, t_to FROM changes WHERE id > ? ORDER BY id LIMIT ?"
            found = conn.execute(query, (after, limit)).fetchall()
        start = datetime.fromisoformat(f"{day.isoformat()}T00:00:00+00:00")
        ms = timedelta(milliseconds=1)
        return [Change(id, vehicle, start + first * ms, start + last * ms) for id, vehicle, first, last in found]

    def count(self) -> int:
        """How many fixes are stored, over all days."""
        total = 0
        for day in self.days():
            with self._read(day) as conn:
                total += conn.execute("SELECT count(*) FROM fixes").fetchone()[0]
        return total

    def rejected(self, limit: int = 100) -> tuple[list[Row], int]:
        """The newest rejected fixes, and how many there are in all."""
        found: list[Row] = []
        total = 0
        for day in reversed(self.days()):
            with self._read(day) as conn:
                db = Database(conn, execute_plugins=False)
                total += value(db, "SELECT count(*) FROM rejected")
                found += rows(
                    db,
                    "SELECT received_at, vehicle, reason, value, bound, payload FROM rejected"
                    " ORDER BY received_at DESC, id DESC LIMIT ?",
                    limit - len(found),
                )
        return found, total

    def delete_before(self, day: date) -> list[date]:
        """Deletes the files of days before `day`, and returns those days."""
        old = [found for found in self.days() if found < day]
        for found in old:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{_path(self._folder, found)}{suffix}").unlink(missing_ok=True)
        return old

    def _between(self, start: datetime, end: datetime) -> Iterable[date]:
        return [day for day in self.days() if day_of(start) <= day <= day_of(end)]

    @contextmanager
    def _read(self, day: date) -> Iterator[sqlite3.Connection]:
        conn = sqlite3.connect(f"file:{_path(self._folder, day)}?mode=ro", uri=True, timeout=5, check_same_thread=False)
        with closing(conn):
            yield conn


def _path(folder: Path, day: date) -> Path:
    return folder / f"{day.isoformat()}.db"


def _refused_row(refused: Refused) -> tuple[Any, ...]:
    digest = hashlib.blake2b(
        refused.payload, digest_size=16, salt=b"", person=b"rejected", key=refused.vehicle.encode()
    )
    return (
        digest.digest(),
        times.text(refused.received),
        refused.vehicle,
        refused.device,
        refused.rejection.reason.value,
        refused.rejection.value,
        refused.rejection.limit,
        refused.payload,
    )
