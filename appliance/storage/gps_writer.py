"""Storing fixes: batches from the bridge into the day files, durably. The one writer; `gps.Store` reads.

A damaged day is set aside when it is written to, and the day goes on in a new file.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from appliance import disk
from appliance.domain.fix import Fix, Reason, Rejection
from appliance.errors import DiskFull
from appliance.storage import gps_days, times
from appliance.storage.db import Tx, write_tx
from appliance.storage.gps_days import DayFile
from appliance.storage.gps_rows import (
    UPSERT,
    day_of,
    ms_of,
    to_row,
)

_OPEN_DAYS = 8
KEPT_BYTES = 8192
"""Of a rejected payload: more than a fix with all that a server forwards beside it, so that it can be restored."""
UNREADABLE_KEPT_BYTES = 2048
UNREADABLE = (Reason.unparsable, Reason.too_large)
"""What cannot be restored is kept to be looked at: garbage does not fill the disk."""


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
            stored += self._write(today, partial(self._store_today, now=now, arrivals=days.get(today, []), batch=batch))
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

    def _store_today(self, tx: Tx, file: DayFile, now: datetime, arrivals: list[Arrival], batch: Batch) -> int:
        stored = self._store(tx, file, day_of(now), arrivals)
        tx.conn.executemany(
            "INSERT OR IGNORE INTO rejected (digest, received_at, vehicle, device, reason, value, bound,"
            " payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            map(_refused_row, batch.refused),
        )
        used_at = int(now.timestamp() * 1000)
        gps_days.keep_sequences(tx, ((*key, seq, used_at) for key, seq in batch.sequences.items()))
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


def _refused_row(refused: Refused) -> tuple[Any, ...]:
    kept_bytes = UNREADABLE_KEPT_BYTES if refused.rejection.reason in UNREADABLE else KEPT_BYTES
    digest = hashlib.blake2b(refused.vehicle.encode() + b"\0" + refused.payload, digest_size=16, person=b"rejected")
    return (
        digest.digest(),
        times.text(refused.received),
        refused.vehicle,
        refused.device,
        refused.rejection.reason.value,
        refused.rejection.value,
        refused.rejection.limit,
        refused.payload[:kept_bytes],
    )
