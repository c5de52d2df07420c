"""Mailing a credit note to who was invoiced, once, or putting it on the print list. The steps are those of `post`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance import billing, post
from appliance.config import Settings
from appliance.domain import invoice
from appliance.errors import NotFound
from appliance.storage import credit_notes, mails, payers
from appliance.storage.db import Tx

KIND = "credit"


@dataclass(frozen=True, slots=True)
class Letter(post.Letter):
    """A credit note on its way; `document` is what was frozen at issue."""

    credit_note_id: int
    document: dict[str, Any]


def prepare(tx: Tx, credit_note_id: int, settings: Settings, now: datetime, job_id: str) -> Letter | None:
    """The letter to deliver after the commit, as `invoice_mail.prepare` does; None where nothing is to be mailed.
    Raises NotFound, and Busy while another job sends it."""
    found = credit_notes.get(tx, credit_note_id)
    if found is None:
        raise NotFound("no such credit note", subject=f"credit note {credit_note_id}")
    if found["sent_at"] or found["print_listed_at"]:
        return None
    payer = payers.get(tx, found["payer_id"])
    recipient = billing.recipient(tx, payer) if payer else None
    if recipient is None:
        credit_notes.mark_print_listed(tx, credit_note_id, now)
        if known := mails.find(tx, KIND, found["uid"]):
            mails.mark_failed(tx, known["id"], "goes on the print list", parked=True)
        return None
    document: dict[str, Any] = json.loads(found["document"])
    letter = post.begin(
        tx,
        settings,
        kind=KIND,
        key=found["uid"],
        recipient=recipient,
        subject=f"Credit note {found['number']} from {document['issuer']['name']}",
        text=text(document),
        job_id=job_id,
        now=now,
    )
    if letter is None:
        return None
    return Letter(
        letter.mail_id, letter.message_id, letter.recipient, letter.subject, letter.text, credit_note_id, document
    )


def deliver(letter: Letter, settings: Settings) -> None:
    """Draws the PDF and sends it; never call it inside a transaction. Raises as `invoice_mail.deliver` does."""
    from appliance import credit_pdf  # here: what draws takes 30 MB, and most processes never draw

    pdf = credit_pdf.render(letter.document)
    post.deliver(letter, settings, [(f"{letter.document['number']}.pdf", pdf, "application/pdf")])


def delivered(tx: Tx, letter: Letter, now: datetime) -> None:
    """The relay has taken the letter."""
    post.delivered(tx, letter, now)
    credit_notes.mark_sent(tx, letter.credit_note_id, now)


def text(document: dict[str, Any]) -> str:
    """The mail itself. Why it was credited, and who travelled, stands in documents only."""
    billed = document["invoice"]
    return (
        f"Please find attached credit note {document['number']}"
        f" for our invoice {billed['number']} of {invoice.day(billed['issued_on'])}.\n"
        "\n"
        f"Credited:  {invoice.money(document['amount_cents'], document['currency'])}\n"
        "\n"
        "-- \n"
        f"{document['issuer']['name']}\n"
    )
