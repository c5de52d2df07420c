"""The read queries about money: lists of invoices that page and search, aging, the print list, export, history.

Every function is one short read and returns plain rows. The lists hold for 100,000 invoices: the ids of a page come out
of an index alone, for a row of `invoices` is long. `payer` may be the name of a patient: `payer_kind` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, row, rows, value

_INVOICE = """
SELECT i.id, i.uid, i.number, i.trip_id, t.ref AS trip_ref, i.payer_id, y.name AS payer, y.kind AS payer_kind, i.state,
  i.issued_on, i.due_on, i.issued_at, i.currency, i.total_cents, i.tax_cents, i.owed_cents, i.distance_m, i.sent_at,
  i.print_listed_at, i.printed_at, i.voided_at, i.void_reason,
  (SELECT old.number FROM invoices old WHERE old.id = i.replaces_id) AS replaces,
  (SELECT coalesce(sum(p.amount_cents), 0) FROM payments p WHERE p.invoice_id = i.id) AS paid_cents,
  (SELECT coalesce(sum(c.amount_cents), 0) FROM credit_notes c WHERE c.invoice_id = i.id) AS credited_cents
FROM invoices i JOIN trips t ON t.id = i.trip_id JOIN payers y ON y.id = i.payer_id
"""

DELIVERY = {
    "mailed": "i.sent_at IS NOT NULL",
    "print": "i.print_listed_at IS NOT NULL AND i.printed_at IS NULL AND i.state <> 'void'",
    "printed": "i.printed_at IS NOT NULL",
    "none": "i.sent_at IS NULL AND i.print_listed_at IS NULL AND i.state <> 'void'",
}
"""How an invoice reached its payer: by mail, not yet but it waits on the print list, on paper, not at all (yet)."""

_BY = {"none": " INDEXED BY invoices_unsent", "print": " INDEXED BY invoices_to_print"}
"""Left to itself SQLite takes a larger index, and reads the row of each invoice in it."""

_FOUND = """(instr(i.number, upper({q})) > 0
  OR i.trip_id IN (SELECT id FROM trips WHERE ref >= {q} AND ref < {q} || char(1114111))
  OR i.payer_id IN (SELECT id FROM payers WHERE kind <> 'patient' AND instr(lower(name), lower({q})) > 0))"""


@dataclass(frozen=True, slots=True)
class Which:
    """Which invoices a list has. `due`: unpaid ones only, due from the one day through the other, the longest overdue
    first. `q` stands in the number, begins the trip's ref, or stands in the name of a broker or a facility."""

    state: str | None = None
    delivery: str | None = None
    payer_id: int | None = None
    due: tuple[date, date] | None = None
    q: str = ""


def invoices(db: Database, which: Which, limit: int, offset: int) -> tuple[list[Row], int]:
    """A page of invoices, newest first, and how many there are in all."""
    source, where, args = f"invoices i{_BY.get(which.delivery or '', '')}", ["1"], list[Any]()

    def mark(given: Any) -> str:
        args.append(given)
        return f"?{len(args)}"

    if which.state is not None:
        where.append(f"i.state = {mark(which.state)}")
    if which.delivery:
        where.append(DELIVERY[which.delivery])
    if which.payer_id is not None:
        where.append(f"i.payer_id = {mark(which.payer_id)}")
    if which.due:
        source = "invoices i INDEXED BY invoices_owed"
        first, last = (mark(day.isoformat()) for day in which.due)
        where.append(f"i.state = 'issued' AND i.owed_cents > 0 AND i.due_on >= {first} AND i.due_on <= {last}")
    if which.q:
        source = source if which.due else "invoices i INDEXED BY invoices_issued"
        where.append(_FOUND.format(q=mark(which.q)))
    condition = " AND ".join(where)
    order = "i.due_on, i.id" if which.due else "i.issued_on DESC, i.id DESC"
    total = int(value(db, f"SELECT count(*) FROM {source} WHERE {condition}", *args))
    ids = f"SELECT i.id FROM {source} WHERE {condition} ORDER BY {order} LIMIT {mark(limit)} OFFSET {mark(offset)}"
    return rows(db, f"{_INVOICE} WHERE i.id IN ({ids}) ORDER BY {order}", *args), total


def counts(db: Database) -> dict[str, int]:
    """How many invoices there are in each state that occurs."""
    return {one["state"]: one["n"] for one in rows(db, "SELECT state, count(*) AS n FROM invoices GROUP BY state")}


def owed(db: Database, first: date, last: date) -> tuple[int, int]:
    """How many invoices that are due from one day through another are unpaid, and what is owed on them."""
    found = row(
        db,
        "SELECT count(*) AS n, coalesce(sum(owed_cents), 0) AS cents FROM invoices INDEXED BY invoices_owed"
        " WHERE state = 'issued' AND owed_cents > 0 AND due_on >= ? AND due_on <= ?",
        first.isoformat(),
        last.isoformat(),
    )
    assert found is not None
    return found["n"], found["cents"]


def owed_by_payer(db: Database) -> dict[int, tuple[int, int]]:
    """Of each payer that owes something: on how many invoices, and how much."""
    found = rows(
        db,
        "SELECT payer_id, count(*) AS n, sum(owed_cents) AS cents FROM invoices INDEXED BY invoices_owed"
        " WHERE state = 'issued' AND owed_cents > 0 GROUP BY payer_id",
    )
    return {one["payer_id"]: (one["n"], one["cents"]) for one in found}


def invoice(db: Database, invoice_id: int) -> Row | None:
    return row(db, f"{_INVOICE} WHERE i.id = ?", invoice_id)


def invoice_lines(db: Database, invoice_id: int) -> list[Row]:
    return rows(db, "SELECT * FROM invoice_lines WHERE invoice_id = ? ORDER BY position", invoice_id)


def invoice_document(db: Database, invoice_id: int) -> tuple[str, str] | None:
    """The number of an invoice and its document (JSON text, frozen at issue), or None."""
    found = row(db, "SELECT number, document FROM invoices WHERE id = ?", invoice_id)
    return (found["number"], found["document"]) if found else None


def replaced_by(db: Database, invoice_id: int) -> Row | None:
    """`id` and `number` of the invoice that replaces a void one."""
    return row(db, "SELECT id, number FROM invoices WHERE replaces_id = ?", invoice_id)


def payments(db: Database, invoice_id: int) -> list[Row]:
    return rows(db, "SELECT * FROM payments WHERE invoice_id = ? ORDER BY paid_on, id", invoice_id)


def history(db: Database, uid: str, invoice_id: int) -> list[Row]:
    """What people decided about an invoice, and the reminders of it: `at`, `who`, `action`, `detail`, the newest first.
    A reminder has its stage as the detail."""
    return rows(
        db,
        "SELECT at, who, action, detail FROM audit_log WHERE subject = 'invoice' AND subject_uid = ?1"
        " UNION ALL SELECT created_at, '', 'reminder', stage FROM reminders WHERE invoice_id = ?2"
        " ORDER BY at DESC",
        uid,
        invoice_id,
    )


def to_print(db: Database, limit: int) -> tuple[list[Row], int]:
    """The print list, the oldest first: `kind` (`invoice`, `credit`), `id`, `number`, `issued_on`, `payer`,
    `payer_kind`, `address`, `cents`, `currency`, `document`; and how many wait in all."""
    waiting = "SELECT count(*) FROM {} WHERE print_listed_at IS NOT NULL AND printed_at IS NULL"
    total = value(db, waiting.format("invoices") + " AND state <> 'void'") + value(db, waiting.format("credit_notes"))
    found = rows(
        db,
        "SELECT 'invoice' AS kind, i.id, i.number, i.id AS invoice_id, i.issued_on, i.issued_at, y.name AS payer,"
        "  y.kind AS payer_kind, y.delivery, i.total_cents AS cents, i.currency, i.document FROM invoices i"
        f" JOIN payers y ON y.id = i.payer_id WHERE {DELIVERY['print']}"
        " UNION ALL SELECT 'credit', c.id, c.number, c.invoice_id, c.issued_on, c.issued_at, y.name, y.kind,"
        "  y.delivery, -c.amount_cents, c.currency, c.document FROM credit_notes c"
        "  JOIN invoices i ON i.id = c.invoice_id JOIN payers y ON y.id = i.payer_id"
        "  WHERE c.print_listed_at IS NOT NULL AND c.printed_at IS NULL"
        " ORDER BY issued_at, number LIMIT ?",
        limit,
    )
    return found, int(total)


_BOOKED = """
SELECT i.id AS invoice_id, i.issued_on, i.number, i.due_on, y.name AS payer, y.kind AS payer_kind, t.ref AS trip_ref,
  i.trip_id, i.state, i.currency, i.tax_cents, i.total_cents, i.owed_cents, i.voided_at, i.void_reason,
  (SELECT number FROM invoices old WHERE old.id = i.replaces_id) AS replaces
FROM invoices i JOIN trips t ON t.id = i.trip_id JOIN payers y ON y.id = i.payer_id
"""


def booked_invoices(db: Database, first: date, last: date) -> list[Row]:
    """The invoices issued from one day through another, void ones too, in the order of their issue, with what was paid
    and credited on each by now."""
    return rows(
        db,
        "SELECT b.*,"
        " (SELECT coalesce(sum(amount_cents), 0) FROM payments p WHERE p.invoice_id = b.invoice_id) AS paid_cents,"
        " (SELECT coalesce(sum(amount_cents), 0) FROM credit_notes c WHERE c.invoice_id = b.invoice_id)"
        "  AS credited_cents"
        f" FROM ({_BOOKED} WHERE i.issued_on >= ? AND i.issued_on <= ?) b ORDER BY issued_on, invoice_id",
        first.isoformat(),
        last.isoformat(),
    )


def booked_voids(db: Database, since: datetime, until: datetime) -> list[Row]:
    """The invoices that were made void in [since, until), in that order."""
    return rows(
        db,
        f"{_BOOKED} WHERE i.state = 'void' AND i.voided_at >= ? AND i.voided_at < ? ORDER BY i.voided_at, i.id",
        times.text(since),
        times.text(until),
    )


def booked_credits(db: Database, first: date, last: date) -> list[Row]:
    """The credit notes issued from one day through another, in the order of their issue."""
    return rows(
        db,
        "SELECT c.issued_on, c.number, i.number AS invoice, y.name AS payer, y.kind AS payer_kind, t.ref AS trip_ref,"
        "  i.trip_id, c.currency, c.tax_cents, c.amount_cents, c.reason FROM credit_notes c"
        " JOIN invoices i ON i.id = c.invoice_id JOIN trips t ON t.id = i.trip_id JOIN payers y ON y.id = i.payer_id"
        " WHERE c.issued_on >= ? AND c.issued_on <= ? ORDER BY c.issued_on, c.id",
        first.isoformat(),
        last.isoformat(),
    )
