"""The nightly comparison of a depot's books with the centre's, and the signed receipt of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import ColumnElement, Connection, case, func, select

from appliance import log
from appliance.central import apply, enrol, identity, news, receive
from appliance.central.db import Row, Tx, insert_id, row, rows
from appliance.central.tables import credit_notes, entries, invoices, payments, receipts, trips
from appliance.storage import times
from appliance.wire import signing
from appliance.wire.answers import Books, Difference, Position, Receipt, Receipted, Reconcile, Sums

MOST_SEQS = 1000

_log = log.get(__name__)


def reconcile(tx: Tx, depot_id: int, given: Reconcile, key: Ed25519PrivateKey, now: datetime) -> Receipted:
    """Compares, and keeps the receipt. All that was received of the depot is applied before."""
    enrol.lock(tx, depot_id)
    apply.apply_of_depot(tx, depot_id, now)
    ours = books(tx, depot_id)
    differences = list(_differences(tx, depot_id, given.books, ours))
    receipt = Receipt(
        instance=identity.instance(tx),
        depot=given.depot,
        night=given.night,
        at=given.at,
        received_at=times.text(now),
        whole=not differences,
        positions=ours.positions,
        sums=ours.sums,
        differences=differences,
    )
    text = msgspec.json.encode(receipt).decode()
    signature = signing.signature(key, text)
    insert_id(
        tx,
        receipts,
        depot_id=depot_id,
        night=given.night,
        at=given.at,
        received_at=receipt.received_at,
        whole=receipt.whole,
        text=text,
        signature=signature,
    )
    found, more = news.after(tx, depot_id, given.news_after)
    said = [one.what for one in differences]
    tell = _log.info if receipt.whole else _log.warning
    tell("centre.receipt", depot=given.depot, night=given.night, differences=said)
    return Receipted(receipt=text, signature=signature, news=found, more_news=more)


def books(connection: Connection, depot_id: int) -> Books:
    """What the centre has of a depot, applied so far."""
    return Books(
        positions=[Position(**one) for one in receive.positions(connection, depot_id)],
        sums=[Sums(**one) for one in _sums(connection, depot_id)],
        trips=_trips(connection, depot_id),
    )


def _sums(connection: Connection, depot_id: int) -> list[Row]:
    void = invoices.c.state == "void"

    def total(what: ColumnElement[int]) -> ColumnElement[int]:
        return func.coalesce(func.sum(what), 0)

    issued = rows(
        connection,
        select(
            invoices.c.currency,
            total(case((void, 0), else_=1)).label("invoices"),
            total(case((void, 0), else_=invoices.c.total_cents)).label("total_cents"),
            total(case((void, 1), else_=0)).label("void"),
            total(case((void, invoices.c.total_cents), else_=0)).label("void_cents"),
        )
        .where(invoices.c.depot_id == depot_id)
        .group_by(invoices.c.currency),
    )
    paid = rows(
        connection,
        select(payments.c.currency, total(payments.c.amount_cents).label("paid_cents"))
        .where(payments.c.depot_id == depot_id, payments.c.origin == "depot")
        .group_by(payments.c.currency),
    )
    credited = rows(
        connection,
        select(credit_notes.c.currency, total(credit_notes.c.amount_cents).label("credited_cents"))
        .where(credit_notes.c.depot_id == depot_id)
        .group_by(credit_notes.c.currency),
    )
    found: dict[str, Row] = {}
    for one in [*issued, *paid, *credited]:
        currency = str(one.pop("currency"))
        sums = found.setdefault(currency, {"currency": currency, **dict.fromkeys(_AMOUNTS, 0)})
        sums |= {name: int(amount) for name, amount in one.items()}
        found[currency] = sums
    return [found[currency] for currency in sorted(found)]


_AMOUNTS = ("invoices", "total_cents", "void", "void_cents", "paid_cents", "credited_cents")


def _trips(connection: Connection, depot_id: int) -> dict[str, int]:
    query = select(trips.c.state, func.count().label("n")).where(trips.c.depot_id == depot_id).group_by(trips.c.state)
    return {one["state"]: one["n"] for one in rows(connection, query)}


def _differences(connection: Connection, depot_id: int, theirs: Books, ours: Books) -> Iterator[Difference]:
    yield from _of_positions(connection, depot_id, theirs.positions, ours.positions)
    yield from _rejected(connection, depot_id)
    here = {one.currency: one for one in ours.sums}
    there = {one.currency: one for one in theirs.sums}
    for currency in sorted(here.keys() | there.keys()):
        a, b = there.get(currency), here.get(currency)
        for name in _AMOUNTS:
            box, centre = getattr(a, name, 0), getattr(b, name, 0)
            if box != centre:
                yield Difference(what=f"{currency} {name}: {box} at the depot, {centre} at the centre")
    for state in sorted(theirs.trips.keys() | ours.trips.keys()):
        box, centre = theirs.trips.get(state, 0), ours.trips.get(state, 0)
        if box != centre:
            yield Difference(what=f"trips {state[:64]}: {box} at the depot, {centre} at the centre")


def _of_positions(
    connection: Connection, depot_id: int, theirs: list[Position], ours: list[Position]
) -> Iterator[Difference]:
    here = {(one.epoch, one.stream): one for one in ours}
    there = {(one.epoch, one.stream): one for one in theirs}
    for epoch, stream in sorted(here.keys() | there.keys()):
        a, b = there.get((epoch, stream)), here.get((epoch, stream))
        box, centre = a.last_seq if a else 0, b.last_seq if b else 0
        low, high = sorted((box, centre))
        if box != centre:
            where = "centre" if centre < box else "depot"
            seqs = list(range(low + 1, min(high, low + MOST_SEQS) + 1))
            yield Difference(what=f"rows are missing at the {where}", epoch=epoch, stream=stream, seqs=seqs)
        if a and box and box <= centre and _chain(connection, depot_id, epoch, stream, box) != a.chain:
            yield Difference(what="the chain is another one", epoch=epoch, stream=stream, seqs=[box])


def _chain(connection: Connection, depot_id: int, epoch: int, stream: str, seq: int) -> str | None:
    key = {"depot_id": depot_id, "epoch": epoch, "stream": stream, "seq": seq}
    found = row(connection, select(entries.c.chain).where(*(entries.c[name] == value for name, value in key.items())))
    return found["chain"] if found else None


def _rejected(connection: Connection, depot_id: int) -> Iterator[Difference]:
    columns = entries.c["epoch", "stream", "seq"]
    query = select(*columns).where(entries.c.depot_id == depot_id, entries.c.rejected_reason.is_not(None))
    found: dict[tuple[int, str], list[int]] = {}
    for one in rows(connection, query.order_by(*columns)):
        found.setdefault((one["epoch"], one["stream"]), []).append(one["seq"])
    for (epoch, stream), seqs in found.items():
        yield Difference(what="rows were rejected", epoch=epoch, stream=stream, seqs=seqs[:MOST_SEQS])  # type: ignore[arg-type]
