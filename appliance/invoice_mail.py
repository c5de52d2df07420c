"""Mailing an invoice to who pays, once, or putting it on the print list. The steps are those of `post`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance import billing, post
from appliance.config import Settings
from appliance.domain import invoice
from appliance.errors import NotFound
from appliance.storage import invoices, mails, payers
from appliance.storage.db import Tx

KIND = "invoice"


@dataclass(frozen=True, slots=True)
class Letter(post.Letter):
    """An invoice on its way to who pays; `document` is what was frozen at issue."""

    invoice_id: int
    document: dict[str, Any]


def prepare(tx: Tx, invoice_id: int, settings: Settings, now: datetime, job_id: str, copy: int = 0) -> Letter | None:
    """The letter to deliver after the commit; its mail row says `sending` from now on.

    None where nothing is to be mailed: the invoice is void, was sent, or goes on the print list (where it is put).
    The recipient is the payer's address of today. A `copy` (1, 2, ...) goes out although the invoice was sent, each as
    a mail of its own. Raises NotFound for an unknown invoice, Busy while another job sends it.
    """
    found = invoices.get(tx, invoice_id)
    if found is None:
        raise NotFound("no such invoice", subject=f"invoice {invoice_id}")
    if found["state"] == invoice.State.void or (not copy and (found["sent_at"] or found["print_listed_at"])):
        return None
    payer = payers.get(tx, found["payer_id"])
    recipient = billing.recipient(tx, payer) if payer else None
    if recipient is None:
        invoices.mark_print_listed(tx, invoice_id, now)
        if known := mails.find(tx, KIND, found["uid"]):
            mails.mark_failed(tx, known["id"], "goes on the print list", parked=True)
        return None
    document: dict[str, Any] = json.loads(found["document"])
    letter = post.begin(
        tx,
        settings,
        kind=KIND,
        key=mails.copy_key(found["uid"], copy) if copy else found["uid"],
        recipient=recipient,
        subject=f"{'Copy of invoice' if copy else 'Invoice'} {found['number']} from {document['issuer']['name']}",
        text=text(document, copy=bool(copy)),
        job_id=job_id,
        now=now,
    )
    if letter is None:
        return None
    return Letter(
        letter.mail_id, letter.message_id, letter.recipient, letter.subject, letter.text, invoice_id, document
    )


def deliver(letter: Letter, settings: Settings) -> None:
    """Draws the PDF and sends it; never call it inside a transaction. Raises Transient and Permanent (see `mailer`),
    and ConfigError where the fonts are missing."""
    from appliance import invoice_pdf  # here: what draws takes 30 MB, and most processes never draw

    pdf = invoice_pdf.render(letter.document)
    name = f"{letter.document['number']}.pdf"
    post.deliver(letter, settings, [(name, pdf, "application/pdf")])


def delivered(tx: Tx, letter: Letter, now: datetime) -> None:
    """The relay has taken the letter."""
    post.delivered(tx, letter, now)
    invoices.mark_sent(tx, letter.invoice_id, now)


def text(document: dict[str, Any], *, copy: bool = False) -> str:
    """The mail itself: what a biller needs to file it. Who travelled, and from where to where, is in the PDF only."""
    return (
        f"Please find attached {'a copy of ' if copy else ''}invoice {document['number']}"
        f" for the patient transport on {invoice.day(document['trip']['pickup'])}.\n"
        "\n"
        f"Amount due:   {invoice.money(document['total_cents'], document['currency'])}\n"
        f"Payment due:  {invoice.day(document['due_on'])}\n"
        "\n"
        "How to pay is in the invoice. Please quote its number.\n"
        "\n"
        "-- \n"
        f"{document['issuer']['name']}\n"
    )
