"""Takes a batch of a depot: docs/protocol.md, "What the centre does", 2 to 8."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, select, update

from appliance import log
from appliance.central import enrol, identity, models, news
from appliance.central.db import Row, Tx, insert_id, insert_new, row, rows
from appliance.central.refusals import Refusal
from appliance.central.tables import batches, depots, entries, numbers, streams
from appliance.domain import chain
from appliance.errors import InputError
from appliance.storage import times
from appliance.wire import MAX_BYTES, MAX_ROWS, Stream, batch
from appliance.wire.answers import Answer, Rejected
from appliance.wire.batch import Envelope

_log = log.get(__name__)

REASON = 1000
"""The longest reason of a rejection."""


@dataclass(slots=True)
class Judged:
    """A row, and what is to be said of it without looking into the database. `number` is that of its invoice or credit
    note."""

    row: batch.Row
    reason: str | None = None
    number: str | None = None
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A body that is a batch. Made outside of any transaction, for that is most of the work."""

    envelope: Envelope
    rows: list[Judged]
    digest: str


@dataclass(frozen=True, slots=True)
class Taken:
    """`answer` is JSON. `batch_id`: what is to be applied; None where nothing new came."""

    answer: bytes
    batch_id: int | None


def opened(body: bytes, depot: str) -> Opened:
    """Raises Refusal: it is no batch, or of another depot."""
    try:
        envelope, found = batch.unpack(body)
    except InputError as error:
        raise Refusal("malformed", str(error)) from error
    if envelope.depot != depot:
        raise Refusal("wrong_depot", f"the batch is of {envelope.depot}, the key of {depot}")
    if any("\x00" in one.snapshot for one in found):
        raise Refusal("malformed", "a snapshot is canonical JSON, without NUL characters")
    return Opened(envelope, [_judged(envelope.stream, one) for one in found], hashlib.sha256(body).hexdigest())


def _judged(stream: Stream, found: batch.Row) -> Judged:
    try:
        table, values = models.of(stream, found.kind, found.uid, found.snapshot)
    except (InputError, RecursionError) as error:
        return Judged(found, reason=_one_line(str(error)))
    return Judged(found, number=models.number(values, table), uid=str(values.get("uid", found.uid)))


def take(tx: Tx, depot_id: int, key: str, given: Opened, now: datetime) -> Taken:
    """Takes it into the transaction, whose commit makes it durable; only then the answer may go out. Raises Refusal,
    after which nothing of it may be committed."""
    depot = enrol.lock(tx, depot_id)
    known = row(
        tx,
        select(batches.c.digest, batches.c.answer).where(
            batches.c.depot_id == depot_id, batches.c.idempotency_key == key
        ),
    )
    if known is not None:
        if known["digest"] != given.digest:
            raise Refusal("key_reused", "the idempotency key was used for another body")
        return Taken(known["answer"].encode(), None)

    envelope = given.envelope
    here = _of(streams, depot_id, envelope)
    stream = row(tx, select(streams.c.last_seq, streams.c.chain).where(*here))
    last, before = (stream["last_seq"], stream["chain"]) if stream else (0, chain.START)
    if envelope.first_seq > last + 1:
        raise Refusal("gap", f"row {last + 1} is missing", expected_seq=last + 1)
    again = _held(tx, depot_id, envelope, [one for one in given.rows if one.row.seq <= last])
    further = [one for one in given.rows if one.row.seq > last]
    for one in further:
        before = chain.link(before, chain.row_hash(one.row.snapshot))
        if one.row.chain != before:
            raise Refusal("chain_broken", f"row {one.row.seq} does not go on with the chain")

    _claim_numbers(tx, depot_id, [*again, *further])
    found, more = news.after(tx, depot_id, envelope.news_after)
    last = max(last, envelope.last_seq)
    answer = msgspec.json.encode(
        Answer(
            instance=identity.instance(tx),
            acked_through=last,
            rejected=[Rejected(seq=one.row.seq, reason=one.reason) for one in [*again, *further] if one.reason],
            news=found,
            more_news=more,
        )
    )
    taken = [one for one in again if one.reason is None]
    batch_id = insert_id(
        tx,
        batches,
        depot_id=depot_id,
        idempotency_key=key,
        digest=given.digest,
        epoch=envelope.epoch,
        stream=envelope.stream,
        first_seq=envelope.first_seq,
        last_seq=envelope.last_seq,
        answer=answer.decode(),
        received_at=times.text(now),
        applied_at=None if further or taken else times.text(now),
    )
    if taken:
        seqs = [one.row.seq for one in taken]
        kept = (*_of(entries, depot_id, envelope), entries.c.seq.in_(seqs))
        tx.execute(update(entries).where(*kept).values(rejected_reason=None))
    if further:
        tx.execute(entries.insert(), [_entry(one, depot_id, envelope, batch_id) for one in further])
        reached = {"last_seq": last, "chain": before}
        if stream:
            tx.execute(update(streams).where(*here).values(reached))
        else:
            keys = {"depot_id": depot_id, "epoch": envelope.epoch, "stream": envelope.stream}
            tx.execute(streams.insert().values(**keys, **reached))
    applied = max(depot["news_applied"], min(envelope.news_after, depot["news_last"]))
    seen = {"seen_at": times.text(now), "news_applied": applied}
    tx.execute(update(depots).where(depots.c.id == depot_id).values(seen))
    for one in [*again, *further]:
        if one.reason:
            _log.warning(
                "centre.row_rejected",
                depot=envelope.depot, epoch=envelope.epoch, stream=envelope.stream, seq=one.row.seq, reason=one.reason,
            )  # fmt: skip
    return Taken(answer, batch_id if further or taken else None)


def positions(connection: Connection, depot_id: int) -> list[Row]:
    """How far each stream of a depot is: `epoch`, `stream`, `last_seq`, `chain`."""
    columns = streams.c["epoch", "stream", "last_seq", "chain"]
    query = select(*columns).where(streams.c.depot_id == depot_id)
    return rows(connection, query.order_by(streams.c.epoch, streams.c.stream))


def pulled_back(connection: Connection, depot_id: int, depot: str, epoch: int, stream: Stream, after: int) -> bytes:
    """A batch with the rows after that one, as they came; empty where there are none."""
    query = select(*entries.c["seq", "kind", "uid", "created_at", "snapshot", "chain"]).where(
        entries.c.depot_id == depot_id, entries.c.epoch == epoch, entries.c.stream == stream, entries.c.seq > after
    )
    found: list[batch.Row] = []
    size = 0
    for one in connection.execute(query.order_by(entries.c.seq).limit(MAX_ROWS)).mappings():
        made = batch.Row(**one)
        size += len(msgspec.json.encode(made)) + 1
        if found and size > MAX_BYTES - 1024:  # the envelope's line
            break
        found.append(made)
    if not found:
        return b""
    last = found[-1].seq
    return batch.pack(Envelope(depot=depot, epoch=epoch, stream=stream, first_seq=after + 1, last_seq=last), found)


def _held(tx: Tx, depot_id: int, envelope: Envelope, given: list[Judged]) -> list[Judged]:
    """Of rows that the centre has already, those that it rejected, judged anew as they were kept. Raises Refusal."""
    if not given:
        return []
    here = (*_of(entries, depot_id, envelope), entries.c.seq.between(given[0].row.seq, given[-1].row.seq))
    held = {one["seq"]: one["chain"] for one in rows(tx, select(entries.c.seq, entries.c.chain).where(*here))}
    for one in given:
        if held[one.row.seq] != one.row.chain:
            raise Refusal("conflict", f"row {one.row.seq} is there already, with another content")
    kept = select(*entries.c["seq", "kind", "uid", "created_at", "snapshot", "chain"])
    rejected = rows(tx, kept.where(*here, entries.c.rejected_reason.is_not(None)).order_by(entries.c.seq))
    return [_judged(envelope.stream, batch.Row(**one)) for one in rejected]


def _of(table: Table, depot_id: int, envelope: Envelope) -> tuple[ColumnElement[bool], ...]:
    """The rows of that depot, epoch and stream."""
    columns = table.c
    return columns.depot_id == depot_id, columns.epoch == envelope.epoch, columns.stream == envelope.stream


def _claim_numbers(tx: Tx, depot_id: int, given: list[Judged]) -> None:
    """Each number is of one thing of one depot; the first that brings it has it, and another is rejected."""
    numbered = {one.number: one for one in reversed(given) if one.number and one.reason is None}
    if not numbered:
        return
    # In order, so that two depots that bring the same numbers at once never wait for each other in a circle.
    insert_new(tx, numbers, [{"number": n, "depot_id": depot_id, "uid": numbered[n].uid} for n in sorted(numbered)])
    query = select(numbers).where(numbers.c.number.in_(numbered))
    owners = {one["number"]: (one["depot_id"], one["uid"]) for one in rows(tx, query)}
    for one in given:
        if one.number and one.reason is None and owners[one.number] != (depot_id, one.uid):
            one.reason = f"the number {one.number} is another's already"


def _entry(one: Judged, depot_id: int, envelope: Envelope, batch_id: int) -> Row:
    return {
        "depot_id": depot_id,
        "epoch": envelope.epoch,
        "stream": envelope.stream,
        "seq": one.row.seq,
        "kind": one.row.kind,
        "uid": one.row.uid,
        "snapshot": one.row.snapshot,
        "chain": one.row.chain,
        "created_at": one.row.created_at,
        "rejected_reason": one.reason,
        "batch_id": batch_id,
    }


def _one_line(said: str) -> str:
    """What an error says, which may quote what a stranger sent, as it can be kept and shown."""
    return "".join(char if char.isprintable() else "\ufffd" for char in said)[:REASON]
