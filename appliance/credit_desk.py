"""Credit notes: a person takes back a part of an issued invoice, or all of it. The invoice itself is never changed."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from appliance import clock, invoice_desk, jobs
from appliance.config import Settings
from appliance.domain import invoice
from appliance.errors import InputError, NotFound, Refused, Transient
from appliance.events import Event
from appliance.storage import audit, credit_notes, invoices
from appliance.storage.db import Row, Tx

LONGEST_REASON = 200


def issue(
    tx: Tx, invoice_id: int, amount_cents: int, reason: str, settings: Settings, *, who: str, now: datetime
) -> tuple[int, list[jobs.Ask], list[Event]]:
    """Issues a credit note of `amount_cents`, tax included, against an invoice, and asks for it to be mailed or put on
    the print list. What is owed on the invoice is less by so much, also below zero where it was paid.

    Returns its id. Raises NotFound; InputError without a reason, or for an amount that is not between 1 and what is not
    credited yet; Refused for a void invoice, and while the depot's legal details are missing; and Transient while the
    clock is not trusted.
    """
    reason = " ".join(reason.split())
    if not 1 <= len(reason) <= LONGEST_REASON:
        raise InputError(f"expected a text of 1 to {LONGEST_REASON} characters", subject="reason")
    billed = invoices.get(tx, invoice_id)
    if billed is None:
        raise NotFound("no such invoice", subject=f"invoice {invoice_id}")
    if billed["state"] == invoice.State.void:
        raise Refused("it is void", subject=billed["number"], hint="nothing is owed on it")
    credited = credit_notes.credited_cents(tx, invoice_id)
    rest = billed["total_cents"] - credited
    if rest <= 0:
        raise Refused("all of it is credited already", subject=billed["number"])
    if not 1 <= amount_cents <= rest:
        most = invoice.money(rest, billed["currency"])
        raise InputError(f"expected an amount above 0 and not above {most}", subject="amount")
    if not clock.trusted(settings):
        raise Transient("the clock is not trusted", subject=billed["number"], hint="nothing is dated before")
    depot = settings.depot
    if not (depot.legal_name and depot.address and depot.tax_id):
        raise Refused(
            "the depot's legal details are missing", subject=billed["number"], hint="see the page System, Depot"
        )
    issued = now.astimezone(settings.zone).date()
    tax = invoice.credit_tax(billed["total_cents"], billed["tax_cents"], credited, amount_cents)
    number = credit_notes.next_number(tx, depot.code, issued.year)
    id = credit_notes.add(
        tx,
        billed,
        number=number,
        issued=issued,
        amount_cents=amount_cents,
        tax_cents=tax,
        reason=reason,
        document=_document(billed, settings, number, issued.isoformat(), amount_cents, tax, reason),
        who=who,
        now=now,
    )
    detail = f"{number}: {amount_cents}, {reason}"
    audit.record(tx, who, "invoice.credited", "invoice", billed["uid"], now, detail)
    ask = jobs.enqueue(tx, "billing.tasks.send_credit_note", now=now, credit_note_id=id)
    return id, [ask], [invoice_desk.weigh(tx, invoice_id, now)]


def _document(
    billed: Row, settings: Settings, number: str, issued: str, amount_cents: int, tax_cents: int, reason: str
) -> dict[str, Any]:
    """All that the PDF shows, frozen. The payer is as on the invoice."""
    frozen = json.loads(billed["document"])
    depot = settings.depot
    return {
        "number": number,
        "issued_on": issued,
        "currency": billed["currency"],
        "issuer": {"name": depot.legal_name, "address": depot.address, "tax_id": depot.tax_id},
        "payer": frozen["payer"],
        "invoice": {
            "number": billed["number"],
            "issued_on": billed["issued_on"],
            "total_cents": billed["total_cents"],
        },
        "trip": {"reference": frozen["trip"]["reference"], "patient": None},
        "amount_cents": amount_cents,
        "tax_cents": tax_cents,
        "tax_text": next((line["text"] for line in frozen["lines"] if line["kind"] == "tax"), "Tax"),
        "reason": reason,
    }
