"""`/invoices/{id}`: one invoice, what was paid and credited on it, what happened to it, and what a biller does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Template

from appliance import credit_desk, invoice_desk, versions
from appliance.domain.invoice import money, plural
from appliance.errors import DepotError, InputError
from appliance.events import Event
from appliance.jobs import Ask
from appliance.storage import credit_notes, invoices, ledger, times, uids
from appliance.storage.db import Row, Tx, write_tx
from web import cards, names
from web.api.invoices import unknown
from web.forms import Form, refused
from web.pages import shell
from web.pages.invoices import Fields, cents, day, plain, short_day, shown, trimmed
from web.parts import Given, Parts

HISTORY = {
    "invoice.payment": "Payment recorded",
    "invoice.disputed": "Disputed",
    "invoice.settled": "Dispute resolved",
    "invoice.voided": "Made void",
    "invoice.credited": "Credit note",
    "invoice.asked_to_send": "Asked to be sent",
    "invoice.asked_to_send_again": "Asked to be sent again",
    "invoice.printed": "Printed",
    "adjustment.accepted": "Adjustment accepted",
    "adjustment.dismissed": "Adjustment dismissed",
    "reminder": "Reminder",
}
"""Words for what stands in the audit log."""

Done = tuple[list[Ask], list[Event], str]


@get("/invoices/{invoice_id:int}", sync_to_thread=True, include_in_schema=False)
def invoice_page(parts: Given, invoice_id: FromPath[int]) -> Template:
    return _page(parts, invoice_id)


@post("/invoices/{invoice_id:int}/payments", sync_to_thread=True, status_code=200, include_in_schema=False)
def invoice_pay(parts: Given, invoice_id: FromPath[int], data: Fields) -> Template:
    typed, now = trimmed(data), parts.now()

    def act(tx: Tx, found: Row) -> Done:
        amount = cents(typed, "amount", found["currency"])
        today = now.astimezone(parts.settings.zone).date()
        event = invoice_desk.pay(
            tx, invoice_id, amount, day(typed, "paid_on") or today, typed.get("reference", ""), parts.who, now,
            today=today, overpaid="overpaid" in typed, key=typed.get("key", ""),
        )  # fmt: skip
        said = money(abs(amount), found["currency"])
        return [], [event], f"{said} {'recorded as paid' if amount > 0 else 'recorded as paid back'}."

    return _act(parts, invoice_id, "pay", typed, act)


@post("/invoices/{invoice_id:int}/dispute", sync_to_thread=True, status_code=200, include_in_schema=False)
def invoice_dispute(parts: Given, invoice_id: FromPath[int], data: Fields) -> Template:
    typed = trimmed(data)

    def act(tx: Tx, _found: Row) -> Done:
        event = invoice_desk.dispute(tx, invoice_id, typed.get("reason", ""), parts.who, parts.now())
        return [], [event], "It is disputed: nobody is reminded until that is resolved."

    return _act(parts, invoice_id, "dispute", typed, act)


@post("/invoices/{invoice_id:int}/settle", sync_to_thread=True, status_code=200, include_in_schema=False)
def invoice_settle(parts: Given, invoice_id: FromPath[int], data: Fields) -> Template:
    def act(tx: Tx, _found: Row) -> Done:
        event = invoice_desk.settle(tx, invoice_id, parts.who, parts.now())
        return [], [event], "The dispute is resolved; what is owed is reminded of again."

    return _act(parts, invoice_id, "settle", trimmed(data), act)


@post("/invoices/{invoice_id:int}/credit", sync_to_thread=True, status_code=200, include_in_schema=False)
def invoice_credit(parts: Given, invoice_id: FromPath[int], data: Fields) -> Template:
    typed = trimmed(data)

    def act(tx: Tx, found: Row) -> Done:
        amount = cents(typed, "amount", found["currency"])
        id, asks, events = credit_desk.issue(
            tx, invoice_id, amount, typed.get("reason", ""), parts.settings, who=parts.who, now=parts.now()
        )
        note = credit_notes.get(tx, id)
        return asks, events, f"Credit note {note['number'] if note else id} is issued, and goes out."

    return _act(parts, invoice_id, "credit", typed, act)


@post("/invoices/{invoice_id:int}/void", sync_to_thread=True, status_code=200, include_in_schema=False)
def invoice_void(parts: Given, invoice_id: FromPath[int], data: Fields) -> Template:
    typed = trimmed(data)
    replace = typed.get("replace") == "yes"

    def act(tx: Tx, _found: Row) -> Done:
        asks, events = invoice_desk.void(
            tx, invoice_id, typed.get("reason", ""), replace=replace, who=parts.who, now=parts.now()
        )
        return asks, events, "It is void." + (" The invoice that replaces it follows in seconds." if replace else "")

    return _act(parts, invoice_id, "void", typed, act)


@post("/invoices/{invoice_id:int}/send", sync_to_thread=True, status_code=200, include_in_schema=False)
def invoice_send(parts: Given, invoice_id: FromPath[int]) -> Template:
    def act(tx: Tx, _found: Row) -> Done:
        ask = invoice_desk.send(tx, invoice_id, parts.who, parts.now())
        return [ask], [], "It goes out: by mail, or by the print list."

    return _act(parts, invoice_id, "send", {}, act)


def _act(parts: Parts, invoice_id: int, form: str, typed: dict[str, str], act: Callable[[Tx, Row], Done]) -> Template:
    """Does it, and shows the page with what was done or with the refusal."""
    try:
        with parts.db() as db, write_tx(db) as tx:
            found = ledger.invoice(tx, invoice_id)
            if found is None:
                raise unknown(invoice_id)
            if "key" not in typed or invoices.payment_of_key(tx, typed["key"]) is None:
                _must_be_as_seen(parts, tx, found, typed.get("seen"))
            asks, events, done = act(tx, found)
    except DepotError as error:
        return _page(parts, invoice_id, form=refused(form, typed, error))
    parts.sender.send(asks)
    parts.publisher.publish(*events)
    return _page(parts, invoice_id, done=done)


def _seen(row: Row) -> str:
    """What a form was opened with: the state of the invoice, and what is owed."""
    return f"{row['state']} {row['owed_cents']}"


def _must_be_as_seen(parts: Parts, tx: Tx, found: Row, seen: str | None) -> None:
    """Raises Outdated, with what happened last, where somebody else was faster. Buttons without a form say nothing."""
    if seen not in (None, _seen(found)):
        last = ledger.history(tx, found["uid"], found["id"])[0]
        said = ": ".join(part for part in (_title(last), _said(parts, last, found["currency"])) if part)
        by = f", by {last['who']}" if last["who"] else ""
        raise versions.outdated(found["number"], f"it was changed meanwhile: {said}{by}")


def _page(parts: Parts, invoice_id: int, *, done: str = "", form: Form | None = None) -> Template:
    now, zone = parts.now(), parts.settings.zone
    today = now.astimezone(zone).date()
    with parts.db() as db:
        row, stored = ledger.invoice(db, invoice_id), ledger.invoice_document(db, invoice_id)
        if row is None or stored is None:
            raise unknown(invoice_id)
        lines = ledger.invoice_lines(db, invoice_id)
        payments = ledger.payments(db, invoice_id)
        credits_ = credit_notes.of_invoice(db, invoice_id)
        history = ledger.history(db, row["uid"], invoice_id)
        replaced_by = ledger.replaced_by(db, invoice_id)
    row = names.hide(parts, row, "void_reason")
    payments = [names.hide(parts, one, "reference") for one in payments]
    credits_ = [names.hide(parts, one, "reason") for one in credits_]
    document, currency = names.of_document(parts, json.loads(stored[1]), row["payer_kind"]), row["currency"]
    rest = row["total_cents"] - row["credited_cents"]

    def moment(at: str) -> cards.Moment:
        return cards.moment(times.parse(at), now, zone)

    return shell.page(
        parts,
        "invoices_one.html",
        here="/invoices",
        done=done,
        form=form,
        invoice=shown(parts, row, today),
        document=document,
        distance=plural(document["trip"]["distance"] or "not measured"),
        lines=[
            {
                **line,
                "price": "" if line["kind"] == "tax" else money(line["unit_cents"], currency),
                "amount": money(line["amount_cents"], currency),
                "count": plural(f"{line['quantity']} {line['unit']}".strip()),
            }
            for line in lines
        ],
        payments=[
            {**one, "amount": money(one["amount_cents"], currency), "on": short_day(one["paid_on"])} for one in payments
        ],
        credit_notes=[
            {**one, "amount": money(one["amount_cents"], currency), "issued": short_day(one["issued_on"])}
            for one in credits_
        ],
        sums=_sums(row),
        history=[
            {
                **one,
                "moment": moment(one["at"]),
                "title": _title(one),
                "said": _said(parts, one, currency),
            }
            for one in history
        ],
        gone=[
            (title, moment(row[column]))
            for title, column in (
                ("Mailed", "sent_at"), ("On the print list", "print_listed_at"), ("Printed", "printed_at"),
                ("Void", "voided_at"),
            )
            if row[column]
        ],
        replaced_by=replaced_by,
        issued_at=moment(row["issued_at"]),
        today=today.isoformat(),
        owed_plain=plain(max(row["owed_cents"], 0), currency),
        rest=money(rest, currency),
        rest_cents=rest,
        rest_plain=plain(rest, currency),
        seen=_seen(row),
        key=uids.new(),
        is_more_than_owed=_is_more_than_owed(form, row),
        why_not_void=_why_not_void(row),
        went_out=bool(row["sent_at"] or row["print_listed_at"]),
    )  # fmt: skip


def _why_not_void(row: Row) -> str:
    """Why an invoice cannot be made void, and what to do instead; empty where it can."""
    if row["credited_cents"]:
        return "A credit note stands against it: credit the rest of it instead."
    if row["paid_cents"]:
        return "Something was paid on it: take that back first, as a payment below zero, or credit it."
    return ""


def _sums(row: Row) -> list[tuple[str, str]]:
    """What is still owed, and how that comes."""
    currency = row["currency"]
    found = [("Total", row["total_cents"])]
    found += [("Paid", -row["paid_cents"])] if row["paid_cents"] else []
    found += [("Credited", -row["credited_cents"])] if row["credited_cents"] else []
    if row["state"] != "void":
        back = row["owed_cents"] < 0
        found.append(("To pay back" if back else "Still owed", abs(row["owed_cents"])))
    return [(title, money(amount, currency)) for title, amount in found]


def _title(one: Row) -> str:
    """What an entry of the history is."""
    action = str(one["action"])
    return HISTORY.get(action, action.partition(".")[2].replace("_", " ").capitalize())


def _is_more_than_owed(form: Form | None, row: Row) -> bool:
    """Whether the refused form is one with a payment above what is owed, which is asked about."""
    if form is None or not form.is_open("pay"):
        return False
    try:
        return cents(dict(form.typed), "amount", row["currency"]) > int(row["owed_cents"])
    except InputError:
        return False


def _said(parts: Parts, one: Row, currency: str) -> str:
    """The detail of an entry of the audit log in words."""
    detail = str(one["detail"])
    if one["action"] == "invoice.payment" and detail.removeprefix("-").isdecimal():
        return money(int(detail), currency)
    if one["action"] == "reminder":
        return f"after {detail} days" if int(detail) else "after the due date"
    if one["action"].startswith("adjustment."):
        return " to ".join(money(int(each), currency) for each in detail.split(" -> ") if each.isdecimal())
    if one["action"] == "invoice.credited":
        number, _, rest = detail.partition(": ")
        amount, _, reason = rest.partition(", ")
        if amount.isdecimal():
            return f"{number}, {money(int(amount), currency)}: {names.said(parts, reason)}"
    return names.said(parts, detail) or ""


HANDLERS: list[Any] = [
    invoice_page, invoice_pay, invoice_dispute, invoice_settle, invoice_credit, invoice_void, invoice_send,
]  # fmt: skip
