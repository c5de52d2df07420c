"""Turns rows of depots into the read models: in any order, as often as one likes, and anew from the beginning."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Engine, Table, delete, select, update

from appliance import clock, log
from appliance.central import models
from appliance.central.db import Row, Tx, each, next_revision, read, rows, upsert_newest, value, write_tx
from appliance.central.tables import batches, entries, payments
from appliance.errors import DepotError
from appliance.storage import times

AT_A_TIME = 50
"""Batches in one transaction: a commit is paid for once, and nobody waits for long."""
CHUNK = 5000
AGAIN_S = 5.0
"""After an error; and how often it looks by itself, for what another process has received."""

_log = log.get(__name__)


def apply_batches(tx: Tx, found: list[Row], now: datetime) -> int:
    """The rows of those batches; returns how many. Batches that were applied already do no harm."""
    done = 0
    newest = _Newest()
    for one in found:
        here = (
            entries.c.depot_id == one["depot_id"],
            entries.c.epoch == one["epoch"],
            entries.c.stream == one["stream"],
            entries.c.seq.between(one["first_seq"], one["last_seq"]),
        )
        done += newest.add(rows(tx, _ENTRIES.where(*here)))
    newest.write(tx)
    ids = [one["id"] for one in found]
    tx.execute(update(batches).where(batches.c.id.in_(ids)).values(applied_at=times.text(now)))
    return done


def apply_one(engine: Engine, batch_id: int, now: datetime) -> bool:
    """False where it was applied before, or somebody else is at it."""
    with write_tx(engine) as tx:
        found = rows(tx, _WAITING.where(batches.c.id == batch_id).with_for_update(skip_locked=True))
        if found:
            apply_batches(tx, found, now)
    return bool(found)


def apply_waiting(engine: Engine, now: datetime) -> int:
    """Some of the batches that wait, the oldest first; returns how many, 0 when none is left for this worker."""
    with read(engine) as connection:  # so that nobody takes SQLite's write lock for nothing
        if value(connection, select(batches.c.id).where(batches.c.applied_at.is_(None)).limit(1)) is None:
            return 0
    with write_tx(engine) as tx:
        query = _WAITING.order_by(batches.c.id).limit(AT_A_TIME).with_for_update(skip_locked=True)
        found = rows(tx, query)
        if found:
            apply_batches(tx, found, now)
    return len(found)


def apply_of_depot(tx: Tx, depot_id: int, now: datetime) -> None:
    """All that waits of one depot: waits for whoever is at some of it."""
    found = rows(tx, _WAITING.where(batches.c.depot_id == depot_id).order_by(batches.c.id).with_for_update())
    if found:
        apply_batches(tx, found, now)


def rebuild(engine: Engine, now: datetime) -> int:
    """Makes the read models anew from the rows, in one transaction; returns how many rows there are. What was recorded
    at the centre stays."""
    done = 0
    with write_tx(engine) as tx:
        waiting = [one["id"] for one in rows(tx, _WAITING)]  # those that come later are applied by themselves
        for table in models.TABLES:
            tx.execute(delete(table) if table is not payments else delete(table).where(payments.c.origin == "depot"))
        ordered = _ENTRIES.order_by(entries.c.depot_id, entries.c.epoch, entries.c.stream, entries.c.seq)
        found = each(tx, ordered, yield_per=CHUNK)
        while part := list(islice(found, CHUNK)):
            newest = _Newest()
            done += newest.add(part)
            newest.write(tx)
        for start in range(0, len(waiting), CHUNK):
            part_of = batches.c.id.in_(waiting[start : start + CHUNK])
            tx.execute(update(batches).where(part_of).values(applied_at=times.text(now)))
    return done


_ENTRIES = select(*entries.c["depot_id", "epoch", "stream", "seq", "kind", "uid", "snapshot"]).where(
    entries.c.rejected_reason.is_(None)
)
_WAITING = select(*batches.c["id", "depot_id", "epoch", "stream", "first_seq", "last_seq"]).where(
    batches.c.applied_at.is_(None)
)


class _Newest:
    """The newest row of each thing, of those that were added."""

    def __init__(self) -> None:
        self._found: dict[Table, dict[tuple[Any, ...], Row]] = {table: {} for table in models.TABLES}

    def add(self, found: Iterable[Row]) -> int:
        added = 0
        for one in found:
            added += 1
            table, values = models.of(one["stream"], one["kind"], one["uid"], one["snapshot"])
            values |= {"depot_id": one["depot_id"], "epoch": one["epoch"], "seq": one["seq"]}
            key = tuple(values[column.name] for column in table.primary_key)
            there = self._found[table].get(key)
            if there is None or (there["epoch"], there["seq"]) < (one["epoch"], one["seq"]):
                self._found[table][key] = values
        return added

    def write(self, tx: Tx) -> None:
        revision = next_revision(tx)
        for table, found in self._found.items():
            upsert_newest(tx, table, [values | {"revision": revision} for values in found.values()])


class Applier:
    """A thread of the web process that applies what was received, where no worker does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="applier")

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something to apply; returns at once."""
        self._woken.set()

    def stop(self) -> None:
        """Ends after the transaction under way; what is left is applied at the next start."""
        self._stopping = True
        self._woken.set()
        self._thread.join()

    def step(self) -> int:
        """Some batches; what goes wrong is logged and tried again later."""
        try:
            return apply_waiting(self._engine, clock.now())
        except DepotError as error:
            _log.warning("centre.apply_failed", error=str(error))
        except Exception:  # the edge of a thread: a batch that cannot be applied must not end it
            _log.exception("centre.apply_failed")
        return 0

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            while not self._stopping and self.step():
                pass
            if not self._stopping:
                self._woken.wait(AGAIN_S)
