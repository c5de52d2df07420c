"""Invoices: numbered, frozen at issue, one live one a trip."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlite_utils import Database

from appliance.domain import invoice
from appliance.domain.fare import Line
from appliance.storage import adjustments, identity, sync_log, times, uids
from appliance.storage.db import Row, Tx, insert, row, rows, value


def next_number(tx: Tx, depot: str, year: int) -> str:
    """Takes the next number of the year. It moves in the invoice's own transaction, so a rolled-back invoice gives
    its number back and a committed one keeps it for ever."""
    series = identity.series(tx)
    return invoice.number(depot, year, series, count_on(tx, year, series))


def count_on(tx: Tx, year: int, series: str) -> int:
    """The next count of a year and series; those of credit notes begin with `CN-`."""
    query = "INSERT INTO invoice_counters VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last"
    return int(value(tx, query, year, series))


def add(
    tx: Tx,
    *,
    number: str,
    trip_id: int,
    payer_id: int,
    lines: Sequence[Line],
    issued: date,
    due: date,
    currency: str,
    distance_m: float | None,
    document: dict[str, Any],
    now: datetime,
    replaces_id: int | None = None,
) -> int:
    """Inserts an invoice with its lines and logs it for the central office. Returns its id."""
    uid = uids.new()
    id = insert(
        tx,
        "invoices",
        uid=uid,
        number=number,
        trip_id=trip_id,
        payer_id=payer_id,
        state=invoice.State.issued.value,
        replaces_id=replaces_id,
        issued_on=issued.isoformat(),
        due_on=due.isoformat(),
        issued_at=times.text(now),
        currency=currency,
        total_cents=sum(line.amount_cents for line in lines),
        tax_cents=sum(line.amount_cents for line in lines if line.kind == "tax"),
        owed_cents=sum(line.amount_cents for line in lines),
        distance_m=distance_m,
        document=json.dumps(document, sort_keys=True, ensure_ascii=False),
    )
    for position, line in enumerate(lines, 1):
        insert(
            tx,
            "invoice_lines",
            invoice_id=id,
            position=position,
            kind=line.kind,
            text=line.text,
            quantity=str(line.quantity),
            unit=line.unit,
            unit_cents=line.unit_cents,
            amount_cents=line.amount_cents,
        )
    _log(tx, id, "issued", now)
    return id


def get(db: Database, id: int) -> Row | None:
    return row(db, "SELECT * FROM invoices WHERE id = ?", id)


def by_number(db: Database, number: str) -> Row | None:
    return row(db, "SELECT * FROM invoices WHERE number = ?", number)


def live_of_trip(db: Database, trip_id: int) -> Row | None:
    return row(db, "SELECT * FROM invoices WHERE trip_id = ? AND state <> 'void'", trip_id)


def last_void_of_trip(db: Database, trip_id: int) -> int | None:
    """The void invoice that a new one of the trip replaces: the one that no other replaces yet."""
    found = value(
        db,
        "SELECT id FROM invoices WHERE trip_id = ? AND state = 'void'"
        " AND id NOT IN (SELECT replaces_id FROM invoices WHERE replaces_id IS NOT NULL)",
        trip_id,
    )
    return None if found is None else int(found)


def void(tx: Tx, id: int, reason: str, now: datetime) -> None:
    """Makes an invoice void for good; its number stays taken. One that it may be replaced by names it."""
    tx.conn.execute(
        "UPDATE invoices SET state = 'void', voided_at = ?, void_reason = ? WHERE id = ?", (times.text(now), reason, id)
    )
    adjustments.lapse(tx, id, now)
    _log(tx, id, "void", now)


def set_state(tx: Tx, id: int, state: invoice.State, kind: str, now: datetime) -> None:
    tx.conn.execute("UPDATE invoices SET state = ? WHERE id = ?", (state.value, id))
    _log(tx, id, kind, now)


def add_payment(
    tx: Tx, id: int, amount_cents: int, paid_on: date, reference: str, who: str, now: datetime, key: str | None = None
) -> None:
    """Appends a payment made at the depot and logs it for the central office. A returned one has an amount below 0."""
    uid = uids.new()
    columns: dict[str, Any] = {
        "amount_cents": amount_cents,
        "paid_on": paid_on.isoformat(),
        "origin": "depot",
        "reference": reference,
        "recorded_at": times.text(now),
    }
    insert(tx, "payments", uid=uid, invoice_id=id, recorded_by=who, key=key, **columns)
    found = get(tx, id)
    assert found is not None
    del columns["origin"]
    snapshot = {
        **columns,
        "uid": uid,
        "invoice_uid": found["uid"],
        "number": found["number"],
        "currency": found["currency"],
    }
    sync_log.append(tx, "invoices", "payment", uid, snapshot, now)


def any_issued(db: Database) -> bool:
    """Whether there is an invoice, a void one too."""
    return bool(value(db, "SELECT EXISTS (SELECT 1 FROM invoices)"))


def payment_of_key(db: Database, key: str) -> Row | None:
    """The payment that was recorded under this key."""
    return row(db, "SELECT * FROM payments WHERE key = ?", key)


def first_issued_on(db: Database, id: int) -> date:
    """When an invoice was issued, or the first of those that it takes the place of."""
    found = value(
        db,
        "WITH RECURSIVE line (id) AS (SELECT ?1 UNION SELECT replaces_id FROM invoices JOIN line USING (id)"
        "  WHERE replaces_id IS NOT NULL)"
        " SELECT min(issued_on) FROM invoices JOIN line USING (id)",
        id,
    )
    return date.fromisoformat(found)


def add_centre_payment(
    tx: Tx, id: int, uid: str, amount_cents: int, paid_on: date, reference: str, now: datetime
) -> None:
    """Appends a payment that the central office took, under its uid: the centre knows it, so it is not logged."""
    insert(
        tx,
        "payments",
        uid=uid,
        invoice_id=id,
        amount_cents=amount_cents,
        paid_on=paid_on.isoformat(),
        origin="centre",
        reference=reference,
        recorded_by="centre",
        recorded_at=times.text(now),
    )


def unpaid(db: Database) -> list[Row]:
    """Issued invoices on which something is owed, the oldest due first: `id`, `number`, `payer_id`, `due_on`,
    `owed_cents`, and `last_stage`, the highest stage reminded."""
    return rows(
        db,
        "SELECT id, number, payer_id, due_on, owed_cents,"
        " (SELECT max(stage) FROM reminders WHERE invoice_id = invoices.id) AS last_stage FROM invoices"
        " INDEXED BY invoices_owed WHERE state = 'issued' AND owed_cents > 0 ORDER BY due_on, id",
    )


def paid_cents(db: Database, id: int) -> int:
    """What was paid on an invoice, less what was returned, in minor units."""
    return int(value(db, "SELECT coalesce(sum(amount_cents), 0) FROM payments WHERE invoice_id = ?", id))


def mark_sent(tx: Tx, id: int, now: datetime) -> None:
    """When it was mailed first. What still waits to be printed needs not be any more."""
    tx.conn.execute(
        "UPDATE invoices SET sent_at = coalesce(sent_at, ?),"
        " print_listed_at = CASE WHEN printed_at IS NOT NULL THEN print_listed_at END WHERE id = ?",
        (times.text(now), id),
    )
    _log(tx, id, "sent", now)


def mark_print_listed(tx: Tx, id: int, now: datetime) -> None:
    """Puts it on the print list, also once more after it was printed."""
    tx.conn.execute(
        "UPDATE invoices SET print_listed_at = ?, printed_at = NULL WHERE id = ?"
        " AND (print_listed_at IS NULL OR printed_at IS NOT NULL)",
        (times.text(now), id),
    )
    _log(tx, id, "print_listed", now)


def mark_printed(tx: Tx, id: int, now: datetime) -> bool:
    """False where it does not wait to be printed (any more)."""
    done = tx.conn.execute(
        "UPDATE invoices SET printed_at = ? WHERE id = ? AND print_listed_at IS NOT NULL AND printed_at IS NULL"
        " AND state <> 'void'",
        (times.text(now), id),
    )
    return bool(done.rowcount)


def _log(tx: Tx, id: int, kind: str, now: datetime) -> None:
    """What the centre learns of an invoice. The text of its lines stays here: people write it."""
    found = row(
        tx,
        "SELECT invoices.uid, number, trips.uid AS trip_uid, payers.uid AS payer_uid, invoices.state, issued_on,"
        " due_on, issued_at, currency, total_cents, tax_cents, sent_at, voided_at, void_reason, invoices.distance_m,"
        " (SELECT number FROM invoices AS old WHERE old.id = invoices.replaces_id) AS replaces FROM invoices"
        " JOIN trips ON trips.id = trip_id JOIN payers ON payers.id = invoices.payer_id WHERE invoices.id = ?",
        id,
    )
    assert found is not None
    lines = rows(
        tx,
        "SELECT kind, quantity, unit, unit_cents, amount_cents FROM invoice_lines WHERE invoice_id = ?"
        " ORDER BY position",
        id,
    )
    found["lines"] = [line | {"quantity": f"{Decimal(line['quantity']):f}"} for line in lines]
    sync_log.append(tx, "invoices", kind, found["uid"], found, now)


def billed_between(db: Database, payer_id: int, level: str, first: date, last: date = date.max) -> str | None:
    """The number of an invoice that is not void to this payer, for a ride of this level from one local day through
    another."""
    found = value(
        db,
        "SELECT number FROM invoices JOIN trips ON trips.id = trip_id"
        " WHERE invoices.payer_id = ? AND level = ? AND invoices.state <> 'void'"
        " AND substr(json_extract(document, '$.trip.pickup'), 1, 10) BETWEEN ? AND ? ORDER BY invoices.id LIMIT 1",
        payer_id,
        level,
        first.isoformat(),
        last.isoformat(),
    )
    return None if found is None else str(found)
