"""The billing tasks. Wire names are those that producers already use; import them from here."""

from __future__ import annotations

from typing import Any

from appliance import billing, clock, invoice_mail, log, post
from appliance.storage.db import write_tx
from tasks.box import box
from tasks.celery import app
from tasks.durable import Durable, current_job, finishing

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
def send_invoice_email(invoice_id: int) -> str:
    """Mails the PDF to who pays, once; a payer without mail (or a patient without consent) goes on the print list.

    The mail's own row goes `sending -> sent` around the send: a crash in between sends it once more, with the same
    Message-ID.
    """
    parts = box()
    with write_tx(parts.db) as tx:
        letter = invoice_mail.prepare(tx, invoice_id, parts.settings, clock.now(), current_job())
    if letter is None:
        return "nothing to send"
    try:
        invoice_mail.deliver(letter, parts.settings)
    except Exception as error:
        with write_tx(parts.db) as tx:
            post.failed(tx, letter, error)
        raise
    with finishing() as step:
        invoice_mail.delivered(step.tx, letter, step.now)
        step.result = "sent"
    _log.info("invoice.mailed", invoice=invoice_id)
    return "sent"
