"""The fixes: one SQLite file for each UTC day, keyed (vehicle, device, fix time).

A fix sent twice is one row, in whatever order it came; a late fix lands in its own day; retention deletes files.
`Writer` belongs to the bridge alone; `Store` reads, from any process, and holds no file open between calls. A damaged
day is set aside when it is written to, and left out (and said) when all days are read: it takes no other along.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from sqlite_utils import Database

from appliance import disk, log
from appliance.domain.fix import Fix, Rejection
from appliance.errors import DiskFull, Permanent
from appliance.storage import gps_checks, gps_days, times
from appliance.storage.db import Row, Tx, rows, value, write_tx
from appliance.storage.gps_days import DayFile
from appliance.storage.gps_rows import (
    COLUMNS,
    DAY_MS,
    T_BITS,
    UPSERT,
    day_of,
    from_row,
    key_of,
    midnight,
    ms_of,
    ms_of_day,
    to_row,
)

T = TypeVar("T")

_OPEN_DAYS = 8
KEPT_BYTES = 2048
"""Of a rejected payload: more than any fix takes, so that garbage does not fill the disk."""

_log = log.get(__name__)


class Arrival(Struct, frozen=True, gc=False):
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
        self._open: dict[date, DayFile] = {}

    def commit(self, batch: Batch, now: datetime) -> int:
        """Commits the batch and returns how many rows are new or changed. When it returns, everything is on disk.

        The sequence numbers go into today's file, which commits last: after a crash in between they say less than
        is stored, never more. A fix later than `late_s` leaves a change row in the same transaction. Raises DiskFull
        before the room is used that fixes leave to everything else (`disk.RESERVE_BYTES`).
        """
        if (batch.arrivals or batch.refused) and disk.room(self._folder).free < disk.RESERVE_BYTES:
            raise DiskFull("the disk is full but for what trips and jobs need", subject=str(self._folder))
        today = day_of(now)
        days: defaultdict[date, list[Arrival]] = defaultdict(list)
        for arrival in batch.arrivals:
            days[day_of(arrival.fix.at)].append(arrival)
        stored = 0
        for day in sorted(days, key=lambda day: (day == today, day)):
            if day != today:
                stored += self._write(day, partial(self._store, day=day, arrivals=days[day]))
        if days.get(today) or batch.refused or batch.sequences:
            stored += self._write(
                today, partial(self._store_today, today=today, arrivals=days.get(today, []), batch=batch)
            )
        return stored

    def close(self) -> None:
        for file in self._open.values():
            file.db.conn.close()
        self._open.clear()

    def _write(self, day: date, work: Callable[[Tx, DayFile], int]) -> int:
        """One transaction in the day's file. A damaged one is set aside, and the day goes on in a new one."""
        try:
            return self._transact(day, work)
        except sqlite3.DatabaseError as error:
            if not gps_days.is_damaged(error):
                raise
            damage = str(error)
        if day in self._open:
            self._open.pop(day).db.conn.close()
        gps_days.set_aside(self._folder, day, damage)
        return self._transact(day, work)

    def _transact(self, day: date, work: Callable[[Tx, DayFile], int]) -> int:
        file = self._file(day)
        try:
            with write_tx(file.db) as tx:
                return work(tx, file)
        except BaseException:
            file.sources.clear()  # their rows may have been rolled back
            raise

    def _store_today(self, tx: Tx, file: DayFile, today: date, arrivals: list[Arrival], batch: Batch) -> int:
        stored = self._store(tx, file, today, arrivals)
        tx.conn.executemany(
            "INSERT OR IGNORE INTO rejected (digest, received_at, vehicle, device, reason, value, bound,"
            " payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            map(_refused_row, batch.refused),
        )
        gps_days.keep_sequences(tx, batch.sequences)
        return stored

    def _store(self, tx: Tx, file: DayFile, day: date, arrivals: list[Arrival]) -> int:
        sources = {who: file.source(tx, *who) for who in {(one.vehicle, one.device) for one in arrivals}}
        before = tx.conn.total_changes
        spans: dict[int, tuple[int, int]] = {}
        prompt = []
        for arrival in arrivals:
            row = to_row(sources[arrival.vehicle, arrival.device], arrival.fix, day, arrival.received)
            if arrival.received - arrival.fix.at <= self._late:
                prompt.append(row)
            elif tx.conn.execute(UPSERT, row).rowcount:
                t = ms_of(row[0])
                first, last = spans.get(arrival.vehicle, (t, t))
                spans[arrival.vehicle] = (min(first, t), max(last, t))
        tx.conn.executemany(UPSERT, prompt)
        stored = tx.conn.total_changes - before
        tx.conn.executemany(
            "INSERT INTO changes (vehicle, t_from, t_to) VALUES (?, ?, ?)",
            [(vehicle, first, last) for vehicle, (first, last) in spans.items()],
        )
        return stored

    def _file(self, day: date) -> DayFile:
        if day not in self._open:
            if len(self._open) >= _OPEN_DAYS:
                self._open.pop(next(iter(self._open))).db.conn.close()
            self._open[day] = DayFile(gps_days.open_to_write(self._folder, day))
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
        return gps_days.listed(self._folder)

    def trail(
        self, vehicle: int, device: int | None, start: datetime, end: datetime, *, whole: bool = True
    ) -> list[Fix]:
        """The stored fixes of [start, end] in fix-time order; of one device, or of all when `device` is None.

        Raises Permanent where a part of them is damaged, or was set aside: a trail that is short of it would be billed.
        Without `whole` it is what can be read.
        """
        for day in gps_days.set_aside_days(self._folder) if whole else ():
            lost = gps_days.lost_until(self._folder, day)
            if lost and start <= lost and day_of(start) <= day <= day_of(end):
                raise _damaged(day)
        sources = "SELECT id FROM sources WHERE vehicle = ? AND device = coalesce(?, device)"
        query = f"SELECT {COLUMNS} FROM fixes WHERE key BETWEEN ? AND ? ORDER BY key"

        def read(conn: sqlite3.Connection, day: date) -> list[Fix]:
            begin, first, last = midnight(day), ms_of_day(day, start), ms_of_day(day, end)
            found = [
                from_row(row, begin)
                for (source,) in conn.execute(sources, (vehicle, device)).fetchall()
                for row in conn.execute(query, (key_of(source, first), key_of(source, last)))
            ]
            return found if device is not None else sorted(found, key=attrgetter("at"))

        return [fix for _day, fixes in self._each(read, self._between(start, end), whole=whole) for fix in fixes]

    def newest(self, sources: Mapping[int, int], until: datetime | None, days: int = 3) -> dict[int, Fix]:
        """The newest fix of each vehicle's position source, by vehicle id, in the last `days` that have a file.

        `sources` maps vehicle ids to device ids. Fixes after `until` are left out: they were taken while nobody could
        know the time. None: the clock cannot be trusted now either, and the newest counts whatever its time.
        """
        id_of = "SELECT id FROM sources WHERE vehicle = ? AND device = ?"
        query = f"SELECT {COLUMNS} FROM fixes WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1"
        found: dict[int, Fix] = {}

        def read(conn: sqlite3.Connection, day: date) -> None:
            last = ms_of_day(day, until) if until else DAY_MS
            for vehicle, device in sources.items():
                source = None if vehicle in found else conn.execute(id_of, (vehicle, device)).fetchone()
                row = source and conn.execute(query, (key_of(source[0], 0), key_of(source[0], last))).fetchone()
                if row:
                    found[vehicle] = from_row(row, midnight(day))

        for _ in self._each(read, [day for day in self.days() if not until or day <= day_of(until)][: -days - 1 : -1]):
            pass
        return found

    def sequences(self) -> dict[tuple[int, int], int]:
        """How far each (device, epoch) is on disk."""
        return self._sequences(self.days())

    def damaged_days(self) -> list[date]:
        """The days of which a part is damaged, as far as it was noticed."""
        return gps_checks.damaged_days(self._folder)

    def stamp(self, day: date) -> gps_days.Stamp:
        """Differs from the last one when the day's file may have changed."""
        return gps_days.stamp(self._folder, day)

    def changes(self, day: date, after: int, limit: int = 500) -> list[Change]:
        """The change rows of a day after a watermark, oldest first."""
        query = "SELECT id, vehicle, t_from, t_to FROM changes WHERE id > ? ORDER BY id LIMIT ?"
        start, ms = midnight(day), timedelta(milliseconds=1)
        return [
            Change(id, vehicle, start + first * ms, start + last * ms)
            for _day, found in self._each(lambda conn, _day: conn.execute(query, (after, limit)).fetchall(), [day])
            for id, vehicle, first, last in found
        ]

    def count(self) -> int:
        """How many fixes are stored, over all days."""
        counts = self._each(lambda conn, _day: int(conn.execute("SELECT count(*) FROM fixes").fetchone()[0]))
        return sum(count for _day, count in counts)

    def counts_of(self, vehicles: Collection[int], codes: Collection[str]) -> tuple[int, int]:
        """How many fixes of these vehicles are stored, and how many under these codes were rejected."""
        marks, names = (", ".join("?" * len(chosen)) for chosen in (vehicles, codes))
        of_source = f"SELECT count(*) FROM fixes WHERE key BETWEEN id << {T_BITS} AND (id + 1 << {T_BITS}) - 1"
        stored = f"SELECT coalesce(sum(({of_source})), 0) FROM sources WHERE vehicle IN ({marks})"
        rejected = f"SELECT count(*) FROM rejected WHERE vehicle IN ({names})"
        found = (0, 0)
        for _day, (one, other) in self._each(
            lambda conn, _day: (
                *conn.execute(stored, [*vehicles]).fetchone(),
                *conn.execute(rejected, [*codes]).fetchone(),
            )
        ):
            found = found[0] + one, found[1] + other
        return found

    def rejected(
        self, limit: int = 100, offset: int = 0, *, vehicle: str | None = None, reason: str | None = None
    ) -> tuple[list[Row], int]:
        """The newest rejected fixes of a vehicle code and a reason (all where None), and how many there are in all."""
        columns = "? || ':' || id AS id, received_at, vehicle, reason, value, bound, payload, restored_at"
        chosen = "FROM rejected WHERE vehicle = coalesce(?, vehicle) AND reason = coalesce(?, reason)"
        order = "ORDER BY received_at DESC, rejected.id DESC LIMIT ? OFFSET ?"

        def read(conn: sqlite3.Connection, day: date) -> tuple[list[Row], int]:
            db, only = Database(conn, execute_plugins=False), (vehicle, reason)
            rest = limit - len(found), max(0, offset - total)
            newest = rows(db, f"SELECT {columns} {chosen} {order}", day.isoformat(), *only, *rest)
            return newest, int(value(db, f"SELECT count(*) {chosen}", *only))

        found: list[Row] = []
        total = 0
        for _day, (newest, count) in self._each(read, reversed(self.days())):
            found += newest
            total += count
        return found, total

    def delete_before(self, day: date) -> list[date]:
        """Deletes the files of days before `day`, and returns those days. How far each device's numbering has come is
        carried on: a device that was away for longer must not be asked for fixes that it has long forgotten."""
        old = [found for found in self.days() if found < day]
        if sequences := self._sequences(old):
            db = gps_days.open_to_write(self._folder, max([*self.days(), day]))
            with closing(db.conn), write_tx(db) as tx:
                gps_days.keep_sequences(tx, sequences)
        old = sorted({*old, *(found for found in gps_days.set_aside_days(self._folder) if found < day)})
        for found in old:
            gps_days.delete(self._folder, found)
        return old

    def _sequences(self, days: Iterable[date]) -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = {}
        for _day, kept in self._each(lambda conn, _day: gps_days.sequences(conn), days):
            for key, seq in kept.items():
                found[key] = max(seq, found.get(key, 0))
        return found

    def _each(
        self, read: Callable[[sqlite3.Connection, date], T], days: Iterable[date] | None = None, *, whole: bool = False
    ) -> Iterator[tuple[date, T]]:
        """What `read` finds in each day's file. A damaged one is left out, unless the `whole` is needed."""
        for day in self.days() if days is None else days:
            try:
                with gps_days.reading(self._folder, day) as conn:
                    found = read(conn, day)
            except sqlite3.DatabaseError as error:
                if gps_days.is_gone(self._folder, day, error):
                    continue
                if not gps_days.is_damaged(error):
                    raise
                if whole:
                    raise _damaged(day) from error
                _log.error("gps.day_damaged", day=day.isoformat(), damage=str(error))
                continue
            yield day, found

    def _between(self, start: datetime, end: datetime) -> list[date]:
        return [day for day in self.days() if day_of(start) <= day <= day_of(end)]


def _damaged(day: date) -> Permanent:
    hint = "docs/storage.md, Damaged days, says what can be done"
    return Permanent("fixes of this day are damaged", subject=day.isoformat(), hint=hint)


def _refused_row(refused: Refused) -> tuple[Any, ...]:
    digest = hashlib.blake2b(refused.vehicle.encode() + b"\0" + refused.payload, digest_size=16, person=b"rejected")
    return (
        digest.digest(),
        times.text(refused.received),
        refused.vehicle,
        refused.device,
        refused.rejection.reason.value,
        refused.rejection.value,
        refused.rejection.limit,
        refused.payload[:KEPT_BYTES],
    )
