"""What comes down the line: payments and disputes that the central office recorded, each applied once, by the rules of
the invoice desk."""

from __future__ import annotations

from datetime import datetime

from appliance import invoice_desk
from appliance.config import Settings
from appliance.errors import DepotError
from appliance.events import Event
from appliance.storage import invoices, times, uplink
from appliance.storage.db import Row, Tx, savepoint
from appliance.wire.answers import News

WHO = "centre"
UNKNOWN = "no such invoice here"


def take(tx: Tx, news: News, settings: Settings, now: datetime) -> list[Event]:
    """Keeps a piece of news and applies it. What cannot be applied stays with its reason, for a person to see; what is
    known already does nothing."""
    at = times.parse(news.at)
    kept: Row = {
        "kind": news.kind,
        "uid": news.uid,
        "number": news.number,
        "at": news.at,
        "amount_cents": news.amount_cents,
        "paid_on": news.paid_on or at.astimezone(settings.zone).date().isoformat(),
        "reference": news.reference,
    }
    return _apply(tx, kept, now) if uplink.keep_news(tx, kept, now) else []


def try_again(tx: Tx, now: datetime) -> list[Event]:
    """Applies what could not be applied because its invoice was not known, and is now."""
    waiting = [one for one in uplink.kept_news(tx) if one["reason"] == UNKNOWN]
    return [event for one in waiting for event in _apply(tx, one, now)]


def _apply(tx: Tx, kept: Row, now: datetime) -> list[Event]:
    found = invoices.by_number(tx, kept["number"])
    if found is None:
        uplink.note_news(tx, kept["kind"], kept["uid"], UNKNOWN)
        return []
    try:
        with savepoint(tx):
            event = _told(tx, found, kept, now)
    except DepotError as error:
        uplink.note_news(tx, kept["kind"], kept["uid"], error.what)
        return []
    uplink.note_news(tx, kept["kind"], kept["uid"], None)
    return [event] if event else []


def _told(tx: Tx, found: Row, kept: Row, now: datetime) -> Event | None:
    if kept["kind"] == "payment":
        return invoice_desk.paid_at_centre(
            tx, found["id"], kept["uid"], kept["amount_cents"], times.day(kept["paid_on"]), kept["reference"], now
        )
    if (kept["kind"] == "dispute") == (found["state"] == "disputed"):
        return None  # so it is already
    if kept["kind"] == "dispute":
        return invoice_desk.dispute(tx, found["id"], kept["reference"], WHO, now)
    return invoice_desk.settle(tx, found["id"], WHO, now)
