"""What the central office must learn: immutable snapshots, hashed and chained, written with the change itself."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

from sqlite_utils import Database

from appliance.domain import chain
from appliance.storage import identity, times
from appliance.storage.db import Tx, insert, row, value

Stream = Literal["invoices", "trips", "trails", "reference"]
_LONGEST_CODE = 64


def append(tx: Tx, stream: Stream, kind: str, uid: str, snapshot: dict[str, Any], now: datetime) -> int:
    """Appends a snapshot to its stream and returns its sequence number (1, 2, 3, ... in each epoch and stream).

    The snapshot is kept as canonical JSON: sorted keys, no spaces, UTF-8. `hash` and `chain` are those of
    `domain/chain.py`.
    """
    epoch = identity.epoch(tx)
    last = row(
        tx, "SELECT seq, chain FROM sync_log WHERE epoch = ? AND stream = ? ORDER BY seq DESC LIMIT 1", epoch, stream
    )
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
