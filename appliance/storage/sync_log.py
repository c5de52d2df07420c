"""What the central office must learn: immutable snapshots, hashed and chained, written with the change itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlite_utils import Database

from appliance.domain import chain
from appliance.storage import identity, times
from appliance.storage.db import Row, Tx, insert, row, rows, value

Stream = Literal["invoices", "trips", "trails", "reference"]
STREAMS: tuple[Stream, ...] = ("invoices", "trips", "trails", "reference")
_LONGEST_CODE = 64


def append(tx: Tx, stream: Stream, kind: str, uid: str, snapshot: dict[str, Any], now: datetime) -> int:
    """Appends a snapshot to its stream and returns its sequence number (1, 2, 3, ... in each epoch and stream).

    The snapshot is kept as canonical JSON: sorted keys, no spaces, UTF-8. `hash` and `chain` are those of
    `domain/chain.py`.
    """
    epoch = identity.epoch(tx)
    last = last_of(tx, epoch, stream)
    seq, before = (last["seq"] + 1, last["chain"]) if last else (1, chain.START)
    text = json.dumps(snapshot, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    hash = chain.row_hash(text)
    insert(
        tx,
        "sync_log",
        epoch=epoch,
        stream=stream,
        seq=seq,
        kind=kind,
        uid=uid,
        snapshot=text,
        hash=hash,
        chain=chain.link(before, hash),
        created_at=times.text(now),
    )
    return seq


def code(text: str | None) -> str | None:
    """A number or a code that people gave, as far as the protocol takes it: its first 64 characters."""
    return None if text is None else text[:_LONGEST_CODE]


def waiting(db: Database) -> int:
    """How many snapshots the central office has not acknowledged."""
    return int(value(db, "SELECT count(*) FROM sync_log WHERE acknowledged_at IS NULL"))


def backlog(db: Database) -> dict[str, int]:
    """How many rows of each stream wait."""
    query = "SELECT stream, count(*) AS n FROM sync_log WHERE acknowledged_at IS NULL GROUP BY stream"
    return {found["stream"]: found["n"] for found in rows(db, query)}


def oldest_waiting(db: Database, stream: str) -> Row | None:
    """Of a stream: `epoch`, `seq`, `again`, `created_at` of the row that is to be sent next."""
    return row(
        db,
        "SELECT epoch, seq, again, created_at FROM sync_log WHERE stream = ? AND acknowledged_at IS NULL"
        " ORDER BY epoch, seq LIMIT 1",
        stream,
    )


def run_of(db: Database, epoch: int, stream: str, first: int, last: int) -> list[Row]:
    """The rows from one sequence number through another, with `waiting`."""
    return rows(
        db,
        "SELECT seq, kind, uid, created_at, snapshot, chain, again, acknowledged_at IS NULL AS waiting FROM sync_log"
        " WHERE epoch = ? AND stream = ? AND seq BETWEEN ? AND ? ORDER BY seq",
        epoch,
        stream,
        first,
        last,
    )


def acknowledge(tx: Tx, epoch: int, stream: str, first: int, last: int, now: datetime) -> int:
    """Marks rows that wait, and returns how many."""
    done = tx.conn.execute(
        "UPDATE sync_log SET acknowledged_at = ? WHERE epoch = ? AND stream = ? AND seq BETWEEN ? AND ?"
        " AND acknowledged_at IS NULL",
        (times.text(now), epoch, stream, first, last),
    )
    return done.rowcount


def park(tx: Tx, epoch: int, stream: str, seq: int, reason: str) -> bool:
    """Keeps why the centre does not take a row. False where it waits to be sent again."""
    done = tx.conn.execute(
        "UPDATE sync_log SET rejected_reason = ? WHERE epoch = ? AND stream = ? AND seq = ?"
        " AND acknowledged_at IS NOT NULL",
        (reason, epoch, stream, seq),
    )
    return bool(done.rowcount)


def unmark_from(tx: Tx, epoch: int, stream: str, first: int) -> int:
    """The centre does not have these rows any more: they wait again. Returns how many."""
    done = tx.conn.execute(
        "UPDATE sync_log SET acknowledged_at = NULL, rejected_reason = NULL"
        " WHERE epoch = ? AND stream = ? AND seq >= ? AND acknowledged_at IS NOT NULL",
        (epoch, stream, first),
    )
    return done.rowcount


def unmark(tx: Tx, epoch: int, stream: str, seqs: Sequence[int]) -> int:
    """The same for single rows; parked ones stay parked."""
    done = tx.conn.executemany(
        "UPDATE sync_log SET acknowledged_at = NULL"
        " WHERE epoch = ? AND stream = ? AND seq = ? AND acknowledged_at IS NOT NULL AND rejected_reason IS NULL",
        [(epoch, stream, seq) for seq in seqs],
    )
    return done.rowcount


def send_again(tx: Tx, epoch: int, stream: str, first: int, last: int, *, parked: bool = False) -> int:
    """A person has rows sent again, or only those of them that are parked. Returns how many."""
    done = tx.conn.execute(
        "UPDATE sync_log SET acknowledged_at = NULL, rejected_reason = NULL, again = again + 1"
        " WHERE epoch = ? AND stream = ? AND seq BETWEEN ? AND ? AND acknowledged_at IS NOT NULL"
        + (" AND rejected_reason IS NOT NULL" if parked else ""),
        (epoch, stream, first, last),
    )
    return done.rowcount


def created_between(db: Database, stream: str, start: datetime, end: datetime) -> list[Row]:
    """Of each epoch the `first` and the `last` row of a stream that were written in [start, end)."""
    return rows(
        db,
        "SELECT epoch, min(seq) AS first, max(seq) AS last FROM sync_log"
        " WHERE stream = ? AND created_at >= ? AND created_at < ? GROUP BY epoch",
        stream,
        times.text(start),
        times.text(end),
    )


def parked(db: Database, limit: int = -1, offset: int = 0) -> list[Row]:
    """The rows that the centre does not take, oldest first: `stream`, `epoch`, `seq`, `kind`, `uid`, `created_at`,
    `number` (of an invoice) or `ref` (of a trip) where it has one, `reason`."""
    return rows(
        db,
        "SELECT stream, epoch, seq, kind, uid, created_at, json_extract(snapshot, '$.number') AS number,"
        " json_extract(snapshot, '$.ref') AS ref, rejected_reason AS reason FROM sync_log"
        " WHERE rejected_reason IS NOT NULL ORDER BY stream, epoch, seq LIMIT ? OFFSET ?",
        limit,
        offset,
    )


def count_parked(db: Database) -> int:
    return int(value(db, "SELECT count(*) FROM sync_log WHERE rejected_reason IS NOT NULL"))


def positions(db: Database) -> list[Row]:
    """How far each stream of each epoch is: `epoch`, `stream`, `last_seq`, `chain`; none of one that has no row."""
    found = []
    for epoch in range(1, identity.epoch(db) + 1):
        for stream in STREAMS:
            last = last_of(db, epoch, stream)
            if last:
                found.append({"epoch": epoch, "stream": stream, "last_seq": last["seq"], "chain": last["chain"]})
    return found


def last_of(db: Database, epoch: int, stream: str) -> Row | None:
    """`seq` and `chain` of the last row."""
    query = "SELECT seq, chain FROM sync_log WHERE epoch = ? AND stream = ? ORDER BY seq DESC LIMIT 1"
    return row(db, query, epoch, stream)


def chain_at(db: Database, epoch: int, stream: str, seq: int) -> str | None:
    """The chain up to a row; empty for 0, None where there is no such row."""
    if seq == 0:
        return chain.START
    found = value(db, "SELECT chain FROM sync_log WHERE epoch = ? AND stream = ? AND seq = ?", epoch, stream, seq)
    return None if found is None else str(found)


def last_marked(db: Database, epoch: int, stream: str) -> int:
    """The last row that was acknowledged; 0 for none."""
    query = (
        "SELECT seq FROM sync_log WHERE epoch = ? AND stream = ? AND acknowledged_at IS NOT NULL"
        " ORDER BY seq DESC LIMIT 1"
    )
    return int(value(db, query, epoch, stream) or 0)


def put_back(tx: Tx, epoch: int, stream: str, found: Row, now: datetime) -> None:
    """Inserts a row of an earlier epoch as the centre has it, acknowledged: `seq`, `kind`, `uid`, `snapshot`, `chain`,
    `created_at`."""
    insert(
        tx,
        "sync_log",
        epoch=epoch,
        stream=stream,
        hash=chain.row_hash(found["snapshot"]),
        acknowledged_at=times.text(now),
        **found,
    )
