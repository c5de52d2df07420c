"""What leaves the box by mail: a row of its own around the sending, so that a crash in between is seen."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, Tx, insert, row


def of_invoice(db: Database, invoice_id: int) -> Row | None:
    """The mail that carries the invoice itself."""
    return row(db, "SELECT * FROM mails WHERE invoice_id = ? AND kind = 'invoice'", invoice_id)


def add(tx: Tx, *, message_id: str, kind: str, recipient: str, subject: str, invoice_id: int, now: datetime) -> int:
    return insert(
        tx,
        "mails",
        message_id=message_id,
        kind=kind,
        recipient=recipient,
        subject=subject,
        invoice_id=invoice_id,
        state="pending",
        created_at=times.text(now),
    )


def readdress(tx: Tx, id: int, recipient: str) -> None:
    """Sends what has not been sent yet to another address: somebody corrected it at the payer."""
    tx.conn.execute("UPDATE mails SET recipient = ? WHERE id = ? AND state <> 'sent'", (recipient, id))


def mark_sending(tx: Tx, id: int, now: datetime) -> None:
    tx.conn.execute(
        "UPDATE mails SET state = 'sending', attempts = attempts + 1, sending_at = ? WHERE id = ?",
        (times.text(now), id),
    )


def mark_failed(tx: Tx, id: int, error: str, *, parked: bool) -> None:
    tx.conn.execute(
        "UPDATE mails SET state = ?, last_error = ? WHERE id = ?", ("parked" if parked else "pending", error, id)
    )


def mark_sent(tx: Tx, id: int, now: datetime) -> None:
    tx.conn.execute("UPDATE mails SET state = 'sent', sent_at = ? WHERE id = ?", (times.text(now), id))
