"""Mailing an invoice, once: three steps around its row in `mails`, so that a crash inside the sending is seen.

`prepare` and then `delivered` or `failed` each run in a transaction of their own; `deliver` runs between them, outside
any. A crash in between leaves the row `sending`: the next `prepare` sends again, with the same Message-ID.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance import billing, clock, invoice_pdf, mailer
from appliance.config import Settings
from appliance.domain import invoice
from appliance.errors import NotFound
from appliance.storage import invoices, mails, payers
from appliance.storage.db import Tx

KIND = "invoice"


@dataclass(frozen=True, slots=True)
class Letter:
    """An invoice on its way to who pays; `document` is what was frozen at issue."""

    mail_id: int
    invoice_id: int
    message_id: str
    recipient: str
    subject: str
    document: dict[str, Any]


def prepare(tx: Tx, invoice_id: int, settings: Settings, now: datetime) -> Letter | None:
    """The letter to deliver after the commit; its mail row says `sending` from now on.

    None where nothing is to be mailed: the invoice is void, was sent, or goes on the print list (where it is put).
    The recipient is the payer's address of today. Raises NotFound for an unknown invoice.
    """
    found = invoices.get(tx, invoice_id)
    if found is None:
        raise NotFound("no such invoice", subject=f"invoice {invoice_id}")
    if found["state"] == invoice.State.void or found["sent_at"] or found["print_listed_at"]:
        return None
    known = mails.of_invoice(tx, invoice_id)
    if known and known["state"] == "sent":
        return None
    payer = payers.get(tx, found["payer_id"])
    recipient = billing.recipient(tx, payer) if payer else None
    if recipient is None:
        invoices.mark_print_listed(tx, invoice_id, now)
        if known:
            mails.mark_failed(tx, known["id"], "goes on the print list", parked=True)
        return None
    document: dict[str, Any] = json.loads(found["document"])
    if known is None:
        message_id = mailer.message_id(KIND, found["uid"], settings)
        subject = f"Invoice {found['number']} from {document['issuer']['name']}"
        mail_id = mails.add(
            tx, message_id=message_id, kind=KIND, recipient=recipient, subject=subject, invoice_id=invoice_id, now=now
        )
    else:
        mail_id, message_id, subject = known["id"], known["message_id"], known["subject"]
        mails.readdress(tx, mail_id, recipient)
    mails.mark_sending(tx, mail_id, now)
    return Letter(mail_id, invoice_id, message_id, recipient, subject, document)


def deliver(letter: Letter, settings: Settings) -> None:
    """Draws the PDF and sends it; never call it inside a transaction. Raises Transient and Permanent (see `mailer`),
    and ConfigError where the fonts are missing."""
    pdf = invoice_pdf.render(letter.document)
    mail = mailer.message(
        settings=settings,
        message_id=letter.message_id,
        recipient=letter.recipient,
        subject=letter.subject,
        text=text(letter.document),
        attachments=[(f"{letter.document['number']}.pdf", pdf, "application/pdf")],
        date=clock.now(),
    )
    mailer.send(settings, mail)


def delivered(tx: Tx, letter: Letter, now: datetime) -> None:
    """The relay has taken the letter."""
    mails.mark_sent(tx, letter.mail_id, now)
    invoices.mark_sent(tx, letter.invoice_id, now)


def failed(tx: Tx, letter: Letter, error: str, parked: bool) -> None:
    """The letter could not be handed over: it is tried again later, or `parked` until a person decides."""
    mails.mark_failed(tx, letter.mail_id, error, parked=parked)


def text(document: dict[str, Any]) -> str:
    """The mail itself: what a biller needs to file it. Who travelled, and from where to where, is in the PDF only."""
    return (
        f"Please find attached invoice {document['number']}"
        f" for the patient transport on {invoice_pdf.day(document['trip']['pickup'])}.\n"
        "\n"
        f"Amount due:   {invoice.money(document['total_cents'], document['currency'])}\n"
        f"Payment due:  {invoice_pdf.day(document['due_on'])}\n"
        "\n"
        "How to pay is in the invoice. Please quote its number.\n"
        "\n"
        "-- \n"
        f"{document['issuer']['name']}\n"
    )
