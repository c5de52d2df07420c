"""Reminders of overdue invoices: one mail a stage and invoice, ever; and the aging list."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance import billing, clock, jobs, post
from appliance.config import Settings
from appliance.domain import invoice
from appliance.domain.invoice import Bucket
from appliance.errors import NotFound, Transient
from appliance.post import Letter
from appliance.storage import identity, invoices, ledger, notifications, payers, reminders, times
from appliance.storage.db import Row, Tx

KIND = "reminder"
CLOCKS_APART = timedelta(minutes=5)
"""News from further ahead than this was dated by a wrong clock."""
PAYMENTS_NEWS = "payments_news_at"
"""The identity key under which the downlink from the centre keeps when it last brought news about payments."""


def ask_for_due(tx: Tx, settings: Settings, now: datetime) -> list[jobs.Ask]:
    """Writes the reminders that have come due, and asks for each to be mailed. Safe to repeat at any time.

    An invoice that reached several stages while the box was off gets the highest one only; one that is paid, void or
    disputed gets none; one whose payer takes no mail is put before the billers instead. Raises Transient while the
    clock is not trusted, or while the news about payments from the centre is older than `billing.payments_age_h`: a
    reminder must not cross with a payment that the centre knows of.
    """
    if not clock.trusted(settings):
        raise Transient("the clock is not trusted", subject="reminders", hint="they wait for the time service")
    _check_payments_news(tx, settings, now)
    today = now.astimezone(settings.zone).date()
    asks = []
    for found in invoices.unpaid(tx):
        stage = invoice.stage_due(times.day(found["due_on"]), today)
        if stage is None or (found["last_stage"] is not None and stage <= found["last_stage"]):
            continue
        reminder_id = reminders.add(tx, found["id"], stage, now)
        payer = payers.get(tx, found["payer_id"])
        if payer and billing.recipient(tx, payer):
            asks.append(jobs.enqueue(tx, "billing.tasks.send_reminder", now=now, reminder_id=reminder_id))
        else:
            said = f"Invoice {found['number']} is {stage or 1} days or more overdue, and its payer takes no mail."
            notifications.tell_role(tx, "biller", "reminder_by_post", said, f"reminder:{reminder_id}", now)
    return asks


def begin(tx: Tx, reminder_id: int, settings: Settings, now: datetime, job_id: str) -> Letter | None:
    """The letter; None where there is nothing to remind of any more, nobody who takes mail, or a later stage was
    reached while this one waited. One that is disputed now is withdrawn: its stage is reminded of after the dispute.

    Raises MaybeSent after a crash in the middle of the sending, and Transient as `ask_for_due` does.
    """
    found = reminders.get(tx, reminder_id)
    if found is None:
        raise NotFound("no such reminder", subject=f"reminder {reminder_id}")
    _check_payments_news(tx, settings, now)
    current = invoices.get(tx, found["invoice_id"])
    if current and current["state"] == invoice.State.disputed:
        reminders.withdraw(tx, reminder_id)
        return None
    payer = payers.get(tx, current["payer_id"]) if current else None
    if current is None or payer is None or current["state"] != invoice.State.issued:
        return None
    owed = current["owed_cents"]
    recipient = billing.recipient(tx, payer)
    if owed <= 0 or recipient is None or reminders.last_stage(tx, current["id"]) > found["stage"]:
        return None
    return post.begin(
        tx,
        settings,
        kind=KIND,
        key=f"{current['uid']}.{found['stage']}",
        recipient=recipient,
        subject=f"Reminder: invoice {current['number']} from {settings.depot.legal_name}",
        text=text(current, owed, settings),
        job_id=job_id,
        now=now,
        repeat=False,
    )


def text(current: Row, owed_cents: int, settings: Settings) -> str:
    """Plain and short; who travelled stands in the invoice only."""
    return (
        f"Our invoice {current['number']} of {current['issued_on']} was due on {current['due_on']}.\n"
        "\n"
        f"Still to pay:  {invoice.money(owed_cents, current['currency'])}\n"
        "\n"
        "If you have paid in the last days, please disregard this message.\n"
        "\n"
        "-- \n"
        f"{settings.depot.legal_name}\n"
    )


def aging(db: Database, settings: Settings, now: datetime) -> dict[Bucket, tuple[int, int]]:
    """Per bucket: how many unpaid invoices, and what is still owed on them, in minor units."""
    today = now.astimezone(settings.zone).date()
    return {bucket: ledger.owed(db, *invoice.due_between(bucket, today)) for bucket in Bucket}


def _check_payments_news(tx: Tx, settings: Settings, now: datetime) -> None:
    if not settings.upstream.url:
        return  # nobody else takes payments
    news = times.parse_or_none(identity.get(tx, PAYMENTS_NEWS, ""))
    if news is None or not -CLOCKS_APART <= now - news <= timedelta(hours=settings.billing.payments_age_h):
        raise Transient("the news about payments is too old", subject="reminders", hint="see the sync with the centre")
