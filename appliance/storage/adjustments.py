"""Adjustments: a later measure gives an invoiced trip another price, and a person accepts or dismisses it."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.domain.invoice import AdjustmentState
from appliance.storage import sync_log, times, uids
from appliance.storage.db import Row, Tx, row, rows, value

_LISTED = """
SELECT a.id, a.invoice_id, i.number, i.trip_id, a.state, a.old_distance_m, a.new_distance_m,
  i.total_cents AS old_total_cents, a.new_total_cents, i.currency, a.raised_at, a.decided_by, a.decided_at
FROM adjustments a JOIN invoices i ON i.id = a.invoice_id
"""


def page(db: Database, state: str | None, limit: int, offset: int) -> tuple[list[Row], int]:
    """The newest adjustments of a state (all where None), and how many there are in all."""
    total = value(db, "SELECT count(*) FROM adjustments WHERE state = coalesce(?, state)", state)
    chosen = "WHERE a.state = coalesce(?, a.state) ORDER BY a.id DESC LIMIT ? OFFSET ?"
    return rows(db, f"{_LISTED} {chosen}", state, limit, offset), int(total)


def get(db: Database, id: int) -> Row | None:
    return row(db, f"{_LISTED} WHERE a.id = ?", id)


def open_for(tx: Tx, invoice_id: int, old_m: float, new_m: float, new_total_cents: int, now: datetime) -> None:
    """Keeps one open adjustment an invoice: a newer measure replaces the figures of the older one."""
    changed = value(
        tx,
        "INSERT INTO adjustments (uid, invoice_id, old_distance_m, new_distance_m, new_total_cents, raised_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (invoice_id) WHERE state = 'open' DO UPDATE"
        " SET new_distance_m = excluded.new_distance_m, new_total_cents = excluded.new_total_cents"
        " WHERE (new_distance_m, new_total_cents) <> (excluded.new_distance_m, excluded.new_total_cents) RETURNING id",
        uids.new(),
        invoice_id,
        old_m,
        new_m,
        new_total_cents,
        times.text(now),
    )
    if changed:
        _log(tx, changed, now)


def lapse(tx: Tx, invoice_id: int, now: datetime) -> None:
    """Ends the open adjustment of an invoice, if there is one: there is nothing to adjust any more."""
    lapsed = value(
        tx,
        "UPDATE adjustments SET state = 'lapsed', decided_at = ? WHERE invoice_id = ? AND state = 'open' RETURNING id",
        times.text(now),
        invoice_id,
    )
    if lapsed:
        _log(tx, lapsed, now)


def was_dismissed(db: Database, invoice_id: int, total_cents: int) -> bool:
    """Whether a person has dismissed this price for the invoice."""
    query = "SELECT 1 FROM adjustments WHERE invoice_id = ? AND new_total_cents = ? AND state = 'dismissed'"
    return value(db, query, invoice_id, total_cents) is not None


def decide(tx: Tx, id: int, state: AdjustmentState, who: str, now: datetime) -> bool:
    """False where it is not open any more."""
    done = tx.conn.execute(
        "UPDATE adjustments SET state = ?, decided_by = ?, decided_at = ? WHERE id = ? AND state = 'open'",
        (state.value, who, times.text(now), id),
    )
    if done.rowcount:
        _log(tx, id, now)
    return bool(done.rowcount)


def _log(tx: Tx, id: int, now: datetime) -> None:
    found = row(
        tx,
        "SELECT a.uid, i.uid AS invoice_uid, i.number, a.state, old_distance_m, new_distance_m, new_total_cents,"
        " raised_at, decided_at FROM adjustments a JOIN invoices i ON i.id = invoice_id WHERE a.id = ?",
        id,
    )
    assert found is not None
    sync_log.append(tx, "invoices", "adjustment", found["uid"], found, now)
