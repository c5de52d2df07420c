"""After a restore: the box fetches from the central office what it wrote after the backup, and takes its money back.

Rows of earlier epochs that the box lacks come page by page, each checked against the chain before it is kept as it was;
what it says is taken back in the same transaction, so that an end at any moment loses and doubles nothing. Names and
addresses were never at the centre. A thing that was changed since the restore stays as it is now.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlite_utils import Database

from appliance import clock, log
from appliance.config import Settings
from appliance.domain import chain
from appliance.errors import InputError, Refused
from appliance.storage import audit, identity, sync_log, taken_back
from appliance.storage import uplink as rows_of
from appliance.storage.db import Row, Tx, savepoint, write_tx
from appliance.uplink_http import Centre, Unanswered
from appliance.wire import Stream, batch, snapshots
from appliance.wire.answers import Position

ORDER: tuple[Stream, ...] = ("reference", "trips", "trails", "invoices")
"""An invoice names a trip, and a trip a vehicle."""

_log = log.get(__name__)


def is_needed(db: Database, settings: Settings) -> bool:
    """Whether the box was restored, and has not fetched yet what it lacks. One that works alone has nobody to ask."""
    return bool(settings.upstream.url) and rows_of.lacks(db)


def run(db: Database, settings: Settings, centre: Centre, key: Ed25519PrivateKey) -> int:
    """Takes back all that the centre has of earlier epochs, and returns how many rows. Goes on where an earlier run
    ended. Raises Unanswered, Declined, and Refused where what the centre has is not what this box wrote."""
    epoch = identity.epoch(db)
    found = centre.positions(key).positions
    for one in found:
        if one.epoch >= epoch and sync_log.chain_at(db, one.epoch, one.stream, one.last_seq) != one.chain:
            raise Refused(
                f"the central office has rows of epoch {one.epoch} that this box did not write",
                subject=one.stream,
                hint="a backup was restored twice: see docs/protocol.md, After a restore",
            )
    count = 0
    for stream in ORDER:
        for one in sorted((one for one in found if one.stream == stream), key=lambda one: one.epoch):
            if one.epoch < epoch:
                count += _fetch(db, settings, centre, key, one)
    now = clock.now()
    with write_tx(db) as tx:
        rows_of.put(tx, recovered_epoch=epoch)
        audit.record(tx, "box", "box.recovered", "box", "", now, f"{count} rows")
    _log.info("uplink.recovered", rows=count)
    return count


def _fetch(db: Database, settings: Settings, centre: Centre, key: Ed25519PrivateKey, there: Position) -> int:
    last = sync_log.last_of(db, there.epoch, there.stream)
    after, before = (last["seq"], last["chain"]) if last else (0, chain.START)
    count = 0
    while after < there.last_seq:
        rows = _page(centre.rows(key, there.epoch, there.stream, after), settings, there, after)
        now = clock.now()
        with write_tx(db) as tx:
            changed = taken_back.changed_since(tx, there.stream)
            for one in rows:
                before = chain.link(before, chain.row_hash(one.snapshot))
                if before != one.chain:
                    raise _broken(there, one.seq)
                found = {name: getattr(one, name) for name in one.__struct_fields__}
                sync_log.put_back(tx, there.epoch, there.stream, found, now)
                if one.uid not in changed:
                    _take(tx, settings, there.stream, found, now)
        count, after = count + len(rows), rows[-1].seq
    if sync_log.chain_at(db, there.epoch, there.stream, there.last_seq) != there.chain:
        raise _broken(there, there.last_seq)
    with write_tx(db) as tx:
        sync_log.acknowledge(tx, there.epoch, there.stream, 1, there.last_seq, clock.now())
        rows_of.put(tx, flight=None)
    return count


def _page(body: bytes | None, settings: Settings, there: Position, after: int) -> list[batch.Row]:
    """The rows of an answer, which are those that were asked for."""
    if body is None:
        raise Unanswered("it lacks rows that it said it has", subject=f"rows of {there.stream}")
    try:
        envelope, rows = batch.unpack(body)
    except InputError as error:
        raise Unanswered(str(error), subject=f"rows of {there.stream}") from error
    asked = (settings.depot.code, there.epoch, there.stream, after + 1)
    if (envelope.depot, envelope.epoch, envelope.stream, envelope.first_seq) != asked:
        raise Unanswered("it sends other rows than it was asked for", subject=f"rows of {there.stream}")
    return rows


def _broken(there: Position, seq: int) -> Refused:
    return Refused(
        f"row {seq} of epoch {there.epoch} is not what this box wrote: its chain does not hold",
        subject=there.stream,
        hint="somebody must look at both ends; see docs/protocol.md, After a restore",
    )


def _take(tx: Tx, settings: Settings, stream: Stream, found: Row, now: datetime) -> None:
    """Makes the thing what the row says. What contradicts what is here (a trip that was billed again meanwhile) is
    left, and told."""
    try:
        said = snapshots.parse(stream, found["kind"], found["snapshot"])
    except InputError:  # the centre rejected it, too
        return
    columns = msgspec.structs.asdict(said)
    try:
        with savepoint(tx):
            taken_back.take(tx, stream, found, columns, _issuer(settings), now)
    except sqlite3.IntegrityError:
        _log.error("uplink.not_taken_back", stream=stream, seq=found["seq"], uid=found["uid"])
        audit.record(tx, "box", "box.not_taken_back", stream, found["uid"], now, f"{found['kind']} {found['seq']}")


def _issuer(settings: Settings) -> Row:
    depot = settings.depot
    return {
        "name": depot.legal_name,
        "address": depot.address,
        "tax_id": depot.tax_id,
        "bank_details": depot.bank_details,
    }
