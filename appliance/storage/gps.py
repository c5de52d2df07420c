"""The fixes: one SQLite file for each UTC day, keyed (vehicle, device, fix time).

A fix sent twice is one row, in whatever order it came; a late fix lands in its own day; retention deletes files.
`Store` reads, from any process, and holds no file open between calls; `gps_writer.Writer` belongs to the bridge alone.
A damaged day is left out (and said) when all days are read: it takes no other along.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database

from appliance import log
from appliance.domain.fix import Fix
from appliance.errors import Permanent
from appliance.storage import gps_checks, gps_days, times
from appliance.storage.db import Row, rows, value, write_tx
from appliance.storage.devices import Source
from appliance.storage.gps_rows import (
    COLUMNS,
    DAY_MS,
    T_BITS,
    T_MASK,
    day_of,
    from_row,
    key_of,
    midnight,
    ms_of_day,
)

T = TypeVar("T")

_log = log.get(__name__)


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

    def sampled(self, sources: Mapping[int, Sequence[Source]], step_s: int) -> dict[int, list[Fix]]:
        """The first fix of each `step_s` seconds of each vehicle, by vehicle id and in fix-time order, by what was its
        position source when. Every day file is opened once for all vehicles; what is damaged is left out."""
        id_of = "SELECT id FROM sources WHERE vehicle = ? AND device = ?"
        # Of the columns beside a min(), SQLite gives those of its row (lang_select.html, "Bare columns").
        query = (
            f"SELECT {COLUMNS} FROM (SELECT *, min(key) FROM fixes WHERE key BETWEEN ? AND ?"
            " GROUP BY (key & ?) / ?) ORDER BY key"
        )
        found: dict[int, list[Fix]] = {}

        def read(conn: sqlite3.Connection, day: date) -> None:
            begin, after = midnight(day), midnight(day + timedelta(days=1))
            for vehicle, used in sources.items():
                for source in used:
                    number = conn.execute(id_of, (vehicle, source.device)).fetchone()
                    if number is None or source.end < begin or source.start >= after:
                        continue
                    span = [key_of(number[0], ms_of_day(day, at)) for at in (source.start, source.end)]
                    rows = conn.execute(query, (*span, T_MASK, step_s * 1000))
                    found.setdefault(vehicle, []).extend(from_row(row, begin) for row in rows)

        every = [source for used in sources.values() for source in used]
        if every:
            first, last = min(source.start for source in every), max(source.end for source in every)
            for _ in self._each(read, self._between(first, last)):
                pass
        return found

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
        """How far each (device, epoch) is on disk, for the last `gps_days.EPOCHS` of each device; the one that was used
        last comes last."""
        return {(device, epoch): seq for device, epoch, seq, _used_at in self._sequences(self.days())}

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

    def rejected_between(self, vehicle: str, start: datetime, end: datetime, limit: int) -> list[Row]:
        """The rejected fixes of a vehicle code that were received in [start, end], in the order in which they came."""
        query = (
            "SELECT ? || ':' || id AS id, received_at, device, reason, value, bound, payload, restored_at FROM rejected"
            " WHERE vehicle = ? AND received_at BETWEEN ? AND ? ORDER BY received_at, rejected.id LIMIT ?"
        )
        span = times.text(start), times.text(end)

        def read(conn: sqlite3.Connection, day: date) -> list[Row]:
            return rows(Database(conn, execute_plugins=False), query, day.isoformat(), vehicle, *span, limit)

        found = self._each(read, self._between(start, end))
        return [row for _day, of_day in found for row in of_day][:limit]

    def delete_before(self, day: date) -> list[date]:
        """Deletes the files of days before `day`, and returns those days. How far each device's numbering has come is
        carried on for the epochs that `sequences` gives: a device that was away for longer must not be asked for fixes
        that it has long forgotten."""
        old = [found for found in self.days() if found < day]
        if of_old := {one[:2] for one in self._sequences(old)}:
            kept = [one for one in self._sequences(self.days()) if one[:2] in of_old]
            db = gps_days.open_to_write(self._folder, max([*self.days(), day]))
            with closing(db.conn), write_tx(db) as tx:
                gps_days.keep_sequences(tx, kept)
        old = sorted({*old, *(found for found in gps_days.set_aside_days(self._folder) if found < day)})
        for found in old:
            gps_days.delete(self._folder, found)
        return old

    def _sequences(self, days: Iterable[date]) -> list[gps_days.Numbering]:
        found: dict[tuple[int, int], gps_days.Numbering] = {}
        for _day, kept in self._each(lambda conn, _day: gps_days.sequences(conn), days):
            for device, epoch, seq, used_at in kept:
                known = found.get((device, epoch), (device, epoch, 0, 0))
                found[device, epoch] = (device, epoch, max(seq, known[2]), max(used_at, known[3]))
        newest_first = sorted(found.values(), key=lambda one: one[3], reverse=True)
        of_device = Counter[int]()
        chosen = []
        for one in newest_first:
            of_device[one[0]] += 1
            if of_device[one[0]] <= gps_days.EPOCHS:
                chosen.append(one)
        return chosen[::-1]

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
