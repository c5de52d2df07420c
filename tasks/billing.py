"""The billing tasks. Wire names are those that producers already use; import them from here."""

from __future__ import annotations

from typing import Any

from appliance import billing, clock, credit_mail, invoice_desk, invoice_mail, log, post, reminders
from tasks.box import box
from tasks.celery import app
from tasks.durable import Durable, current_job, finishing
from tasks.sending import send

_log = log.get(__name__)


@app.task(base=Durable, name="billing.tasks.generate_invoice", ignore_result=False)
def generate_invoice(trip_id: int) -> dict[str, Any]:
    """The trip's live invoice: `{"invoice_id", "number", "total_cents", "currency"}`, the same the second time;
    `{"blocked": reason}` while data is missing."""
    with finishing() as step:
        answer, step.asks, step.events = billing.generate(step.tx, trip_id, box().settings, step.now)
        step.result = answer
    if step.events:
        _log.info("invoice.issued", trip=trip_id, number=answer["number"], total_cents=answer["total_cents"])
    return answer


@app.task(base=Durable, name="billing.tasks.send_invoice_email")
def send_invoice_email(invoice_id: int, copy: int = 0) -> str:
    """Mails the PDF to who pays, once; a payer without mail (or a patient without consent) goes on the print list.

    The mail's own row goes `sending -> sent` around the send: a crash in between sends it once more, with the same
    Message-ID. A `copy` (1, 2, ...) goes out although the invoice did, because a person asked for it.
    """
    settings = box().settings
    letter = send(
        lambda tx: invoice_mail.prepare(tx, invoice_id, settings, clock.now(), current_job(), copy),
        lambda prepared: invoice_mail.deliver(prepared, settings),
    )
    with finishing() as step:
        if letter:
            invoice_mail.delivered(step.tx, letter, step.now)
        step.result = said = "sent" if letter else "nothing to send"
    if letter:
        _log.info("invoice.mailed", invoice=invoice_id)
    return said


@app.task(base=Durable, name="billing.tasks.send_credit_note")
def send_credit_note(credit_note_id: int) -> str:
    """Mails the PDF of a credit note to who was invoiced, once, or puts it on the print list."""
    settings = box().settings
    letter = send(
        lambda tx: credit_mail.prepare(tx, credit_note_id, settings, clock.now(), current_job()),
        lambda prepared: credit_mail.deliver(prepared, settings),
    )
    with finishing() as step:
        if letter:
            credit_mail.delivered(step.tx, letter, step.now)
        step.result = said = "sent" if letter else "nothing to send"
    if letter:
        _log.info("credit_note.mailed", credit_note=credit_note_id)
    return said


@app.task(base=Durable, name="billing.tasks.bill_unblocked_trips")
def bill_unblocked_trips() -> int:
    """Asks for the invoices of trips whose missing data has come meanwhile (a rate, the depot's address). Returns how
    many."""
    with finishing() as step:
        step.asks = invoice_desk.ask_for_unblocked(step.tx, box().settings, step.now)
        step.result = asked = len(step.asks)
    return asked


@app.task(base=Durable, name="billing.tasks.process_overdue_invoices")
def process_overdue_invoices() -> int:
    """Asks for the reminders that have come due (due, 30, 60, 90 days), one a stage and invoice ever. Returns how
    many."""
    with finishing() as step:
        step.asks = reminders.ask_for_due(step.tx, box().settings, step.now)
        step.result = asked = len(step.asks)
    return asked


@app.task(base=Durable, name="billing.tasks.send_reminder")
def send_reminder(reminder_id: int) -> str:
    """Mails one reminder, once: what a crash caught in the sending is parked for a person."""
    settings = box().settings
    letter = send(
        lambda tx: reminders.begin(tx, reminder_id, settings, clock.now(), current_job()),
        lambda begun: post.deliver(begun, settings),
    )
    with finishing() as step:
        if letter:
            post.delivered(step.tx, letter, step.now)
        step.result = said = "sent" if letter else "nothing to remind of"
    return said
