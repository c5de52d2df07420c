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
