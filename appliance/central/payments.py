"""What people and programs of the centre record of invoices: payments and disputes. The depots hear of it by news."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy import Connection, or_, select, update
from ulid import ULID

from appliance.central import audit, enrol, news
from appliance.central.db import Row, Tx, next_revision, row, rows
from appliance.central.tables import depots, disputes, invoices, payments
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import times

MOST_CENTS = 10**12
MOST_ROWS = 50_000
COLUMNS = ("number", "amount", "currency", "paid_on", "reference")
"""Of a CSV file with payments. `amount` is in units of the currency (`42.00`), `reference` may be left out."""

Flag = Literal["", "double", "unknown", "currency"]


@dataclass(frozen=True, slots=True)
class NewPayment:
    """`amount_cents` below 0 is money given back."""

    number: str
    amount_cents: int
    currency: str
    paid_on: date
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """`flag`: why it was kept and not counted, and no depot hears of it: `double`, `unknown` (no such invoice here),
    `currency`; empty where it counts. `why` says it in words."""

    uid: str
    flag: Flag
    why: str = ""


def record(tx: Tx, given: NewPayment, *, who: str, now: datetime, uid: str = "") -> Recorded:
    """A payment that came in at the centre. One that looks like a double entry is flagged: a person decides. With `uid`
    the same request twice is one payment. Raises InputError, and NotFound where no depot has such a number."""
    _check(given)
    if uid and (known := row(tx, select(payments).where(payments.c.uid == uid, payments.c.origin == "centre"))):
        return Recorded(uid, known["flag"], _WHY[known["flag"]])
    depot = _depot_of(tx, given.number)
    enrol.lock(tx, depot["id"])  # two at once would not see each other
    invoice = row(tx, select(invoices).where(invoices.c.depot_id == depot["id"], invoices.c.number == given.number))
    flag = _flag(tx, given, invoice)
    made = uid or str(ULID())
    tx.execute(
        payments.insert().values(
            depot_id=depot["id"], uid=made, origin="centre", invoice_uid=invoice["uid"] if invoice else None,
            number=given.number, amount_cents=given.amount_cents, currency=given.currency,
            paid_on=given.paid_on.isoformat(), reference=given.reference, recorded_at=times.text(now), recorded_by=who,
            flag=flag, epoch=0, seq=0, revision=next_revision(tx),
        )
    )  # fmt: skip
    audit.record(tx, who, "payment.recorded", "payment", made, now, f"{given.number} {flag}".strip())
    if not flag:
        _tell(tx, depot["id"], made, now)
    return Recorded(made, flag, _WHY[flag])


def accept(tx: Tx, uid: str, *, who: str, now: datetime) -> None:
    """A flagged payment counts after all, and its depot hears of it. Raises NotFound, Refused."""
    found = _flagged(tx, uid)
    if found["flag"] == "unknown":
        here = (invoices.c.depot_id == found["depot_id"], invoices.c.number == found["number"])
        invoice = row(tx, select(invoices.c.uid).where(*here))
        if invoice is None:
            raise Refused("the invoice is still unknown here", subject=f"payment {uid}")
        tx.execute(update(payments).where(payments.c.uid == uid).values(invoice_uid=invoice["uid"]))
    enrol.lock(tx, found["depot_id"])
    _decide(tx, uid, who, now, flag="")
    audit.record(tx, who, "payment.accepted", "payment", uid, now, found["number"])
    _tell(tx, found["depot_id"], uid, now)


def dismiss(tx: Tx, uid: str, *, who: str, now: datetime) -> None:
    """A flagged payment was a double entry, or a mistake: it stays in the books and does not count. Raises NotFound,
    Refused."""
    found = _flagged(tx, uid)
    _decide(tx, uid, who, now, dismissed_at=times.text(now))
    audit.record(tx, who, "payment.dismissed", "payment", uid, now, found["number"])


def flagged(connection: Connection) -> list[Row]:
    """What waits for a person, the oldest first, each with its `depot`."""
    query = select(payments, depots.c.code.label("depot")).join(depots)
    query = query.where(payments.c.flag != "", payments.c.dismissed_at.is_(None))
    return rows(connection, query.order_by(payments.c.recorded_at, payments.c.uid))


def dispute(tx: Tx, number: str, reason: str, *, who: str, now: datetime) -> str:
    """The payer disputes the invoice: its depot hears of it. Returns the dispute's uid. Raises InputError, NotFound,
    and Refused where it is disputed already."""
    tidy = _line(reason, "reason", 300)
    depot = enrol.lock(tx, _depot_of(tx, number)["id"])
    if not row(tx, select(invoices.c.uid).where(invoices.c.depot_id == depot["id"], invoices.c.number == number)):
        raise NotFound("no such invoice", subject=number)
    if _open(tx, number):
        raise Refused("it is disputed already", subject=number)
    made = str(ULID())
    tx.execute(
        disputes.insert().values(
            uid=made, depot_id=depot["id"], number=number, reason=tidy, opened_at=times.text(now), opened_by=who
        )
    )
    audit.record(tx, who, "dispute.opened", "dispute", made, now, number)
    news.add(tx, depot, "dispute", number, made, now, reference=tidy)
    return made


def resolve(tx: Tx, number: str, *, who: str, now: datetime) -> str:
    """The invoice is disputed no more. Returns the dispute's uid. Raises NotFound where it was not."""
    found = _open(tx, number)
    if found is None:
        raise NotFound("it is not disputed", subject=number[:80])
    depot = enrol.lock(tx, found["depot_id"])
    ended = {"resolved_at": times.text(now), "resolved_by": who}
    tx.execute(update(disputes).where(disputes.c.uid == found["uid"]).values(ended))
    audit.record(tx, who, "dispute.resolved", "dispute", found["uid"], now, number)
    news.add(tx, depot, "dispute_resolved", number, found["uid"], now)
    return str(found["uid"])


def parse_csv(content: bytes) -> list[NewPayment]:
    """The payments of a file: UTF-8, a heading, `,` or `;` between. Raises InputError with the line that is wrong."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("expected UTF-8", subject="file") from error
    heading = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in heading else ",", strict=True)
    try:
        missing = [name for name in COLUMNS[:-1] if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(
                f"expected the columns {', '.join(COLUMNS)}", subject="heading", hint="reference may be left out"
            )
        found = []
        for one in reader:
            found.append(_parsed(one, reader.line_num))
            if len(found) > MOST_ROWS:
                raise InputError(f"expected at most {MOST_ROWS} payments", subject="file")
    except csv.Error as error:
        raise InputError(f"cannot be read: {error}", subject=f"line {reader.line_num}") from error
    return found


def _parsed(one: dict[str, str | None], line: int) -> NewPayment:
    given = {name: (one.get(name) or "").strip() for name in COLUMNS}
    try:
        made = NewPayment(
            number=given["number"],
            amount_cents=_cents(given["amount"]),
            currency=given["currency"],
            paid_on=date.fromisoformat(given["paid_on"]),
            reference=given["reference"],
        )
    except ValueError as error:
        expected = "expected an amount like 42.00 and a day like 2026-01-31"
        raise InputError(expected, subject=f"line {line}") from error
    try:
        _check(made)
    except InputError as error:
        raise InputError(str(error), subject=f"line {line}") from error
    return made


def _cents(text: str) -> int:
    """`42`, `42.5`, `-42.00`: two decimals at most. Raises ValueError."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, _, part = digits.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 10 and len(part) <= 2):
        raise ValueError(text)
    if part and not (part.isascii() and part.isdigit()):
        raise ValueError(text)
    return sign * (int(whole) * 100 + int(part.ljust(2, "0") or "0"))


def _check(given: NewPayment) -> None:
    if not given.amount_cents or abs(given.amount_cents) > MOST_CENTS:
        raise InputError("expected an amount that is not 0", subject="amount")
    if not (len(given.currency) == 3 and given.currency.isascii() and given.currency.isupper()):
        raise InputError("expected a currency like GBP", subject="currency")
    _line(given.reference, "reference", 200)


def _line(given: str, field: str, most: int) -> str:
    if len(given) > most or not given.isprintable():
        raise InputError(f"expected at most {most} characters that can be printed", subject=field)
    return given


def _depot_of(connection: Connection, number: str) -> Row:
    """By the invoice, else by the first part of the number. Raises NotFound."""
    found = rows(connection, select(invoices.c.depot_id).where(invoices.c.number == number).limit(1))
    which = depots.c.id == found[0]["depot_id"] if found else depots.c.code == number.partition("-")[0][:8]
    depot = row(connection, select(depots).where(which))
    if depot is None:
        raise NotFound("no depot has such a number", subject=number[:80])
    return depot


_WHY: dict[str, str] = {
    "": "",
    "double": "the same amount was recorded for this invoice on that day or with that reference",
    "unknown": "no such invoice has come from the depot yet",
    "currency": "the invoice is in another currency",
}


def _flag(tx: Tx, given: NewPayment, invoice: Row | None) -> Flag:
    same = [payments.c.paid_on == given.paid_on.isoformat()]
    if given.reference:
        same.append(payments.c.reference == given.reference)
    alike = (payments.c.number == given.number, payments.c.amount_cents == given.amount_cents, or_(*same))
    if row(tx, select(payments.c.uid).where(*alike, payments.c.dismissed_at.is_(None)).limit(1)):
        return "double"
    if invoice is None:
        return "unknown"
    return "currency" if invoice["currency"] != given.currency else ""


def _flagged(tx: Tx, uid: str) -> Row:
    query = select(payments).where(payments.c.uid == uid, payments.c.origin == "centre").with_for_update()
    found = row(tx, query)
    if found is None:
        raise NotFound("no such payment of the centre", subject=uid[:80])
    if not found["flag"] or found["dismissed_at"]:
        raise Refused("it is not flagged (any more)", subject=f"payment {uid}")
    return found


def _decide(tx: Tx, uid: str, who: str, now: datetime, **values: str) -> None:
    decided = {"decided_by": who, "decided_at": times.text(now), "revision": next_revision(tx), **values}
    tx.execute(update(payments).where(payments.c.uid == uid, payments.c.origin == "centre").values(decided))


def _open(connection: Connection, number: str) -> Row | None:
    return row(connection, select(disputes).where(disputes.c.number == number, disputes.c.resolved_at.is_(None)))


def _tell(tx: Tx, depot_id: int, uid: str, now: datetime) -> None:
    depot = enrol.lock(tx, depot_id)
    found = row(tx, select(payments).where(payments.c.depot_id == depot_id, payments.c.uid == uid))
    assert found is not None
    news.add(
        tx, depot, "payment", found["number"], uid, now,
        amount_cents=found["amount_cents"], paid_on=found["paid_on"], reference=found["reference"],
    )  # fmt: skip
