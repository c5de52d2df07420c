"""Reminders: one row a stage and invoice, ever."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, Tx, insert, row


def add(tx: Tx, invoice_id: int, stage: int, now: datetime) -> int:
    return insert(tx, "reminders", invoice_id=invoice_id, stage=stage, created_at=times.text(now))


def get(db: Database, id: int) -> Row | None:
    return row(db, "SELECT * FROM reminders WHERE id = ?", id)


def last_stage(db: Database, invoice_id: int) -> int:
    """The highest stage of the invoice that was reminded of; -1 for none."""
    found = row(db, "SELECT max(stage) AS stage FROM reminders WHERE invoice_id = ?", invoice_id)
    return found["stage"] if found and found["stage"] is not None else -1


def withdraw(tx: Tx, id: int) -> None:
    """Forgets a reminder that was not sent: its stage may be asked for again."""
    tx.conn.execute("DELETE FROM reminders WHERE id = ?", (id,))
