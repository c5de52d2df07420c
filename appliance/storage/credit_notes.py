"""Credit notes: numbered, frozen at issue, each against one invoice."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from sqlite_utils import Database

from appliance.domain import invoice
from appliance.storage import identity, invoices, sync_log, times, uids
from appliance.storage.db import Row, Tx, insert, row, rows, value


def next_number(tx: Tx, depot: str, year: int) -> str:
    """Takes the next number of the year, as `invoices.next_number` does."""
    series = identity.series(tx)
    return invoice.credit_number(depot, year, series, invoices.count_on(tx, year, f"CN-{series}"))


def add(
    tx: Tx,
    billed: Row,
    *,
    number: str,
    issued: date,
    amount_cents: int,
    tax_cents: int,
    reason: str,
    document: dict[str, Any],
    who: str,
    now: datetime,
) -> int:
    """Inserts a credit note against the invoice `billed` and logs it for the central office. Returns its id. What is
    owed on the invoice is less from now on."""
    uid = uids.new()
    columns: dict[str, Any] = {
        "number": number,
        "issued_on": issued.isoformat(),
        "issued_at": times.text(now),
        "currency": billed["currency"],
        "amount_cents": amount_cents,
        "tax_cents": tax_cents,
        "reason": reason,
    }
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    id = insert(tx, "credit_notes", uid=uid, invoice_id=billed["id"], issued_by=who, document=text, **columns)
    snapshot = {**columns, "uid": uid, "invoice_uid": billed["uid"], "invoice": billed["number"]}
    sync_log.append(tx, "invoices", "credit", uid, snapshot, now)
    return id


def get(db: Database, id: int) -> Row | None:
    """A credit note, with the number of its invoice as `invoice`, and who that is for as `payer_id`."""
    return row(
        db,
        "SELECT credit_notes.*, invoices.number AS invoice, payer_id FROM credit_notes"
        " JOIN invoices ON invoices.id = invoice_id WHERE credit_notes.id = ?",
        id,
    )


def of_invoice(db: Database, invoice_id: int) -> list[Row]:
    """The credit notes against an invoice, in the order of their issue."""
    return rows(db, "SELECT * FROM credit_notes WHERE invoice_id = ? ORDER BY id", invoice_id)


def credited_cents(db: Database, invoice_id: int) -> int:
    """What was credited on an invoice in all, in minor units."""
    return int(value(db, "SELECT coalesce(sum(amount_cents), 0) FROM credit_notes WHERE invoice_id = ?", invoice_id))


def mark_sent(tx: Tx, id: int, now: datetime) -> None:
    tx.conn.execute("UPDATE credit_notes SET sent_at = ? WHERE id = ? AND sent_at IS NULL", (times.text(now), id))


def mark_print_listed(tx: Tx, id: int, now: datetime) -> None:
    tx.conn.execute(
        "UPDATE credit_notes SET print_listed_at = ? WHERE id = ? AND print_listed_at IS NULL", (times.text(now), id)
    )


def mark_printed(tx: Tx, id: int, now: datetime) -> bool:
    """False where it does not wait to be printed (any more)."""
    done = tx.conn.execute(
        "UPDATE credit_notes SET printed_at = ? WHERE id = ? AND print_listed_at IS NOT NULL AND printed_at IS NULL",
        (times.text(now), id),
    )
    return bool(done.rowcount)
