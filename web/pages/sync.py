"""`/sync`: the line to the central office: up to when everything is there, what waits, what is parked, the receipts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
from litestar import get, post
from litestar.response import Template

from appliance import uplink_desk
from appliance.domain.invoice import money
from appliance.errors import DepotError, InputError
from appliance.storage import sync_log, times
from appliance.storage import uplink as rows_of
from appliance.storage.db import write_tx
from appliance.wire.answers import Receipt
from web.api import sync as api
from web.forms import Form, refused
from web.pages import sections
from web.parts import Given, Parts
from web.typed import Fields

SHOWN, NIGHTS = 100, 14
STREAMS = {
    "invoices": "Invoices and payments",
    "trips": "Trips",
    "trails": "Trails",
    "reference": "Reference data",
}


@get("/sync", sync_to_thread=True, include_in_schema=False)
def sync_page(parts: Given) -> Template:
    return _page(parts)


@post("/sync/enrol", sync_to_thread=True, status_code=200, include_in_schema=False)
def sync_enrol(parts: Given, data: Fields) -> Template:
    code = data.get("code", "")

    def enrol() -> str:
        if not code.strip():
            raise InputError("enter the code", subject="code")
        return f"{api.enrol(parts, code)} knows this box now."

    return _done(parts, "enrol", enrol)


@post("/sync/now", sync_to_thread=True, status_code=200, include_in_schema=False)
def sync_page_now(parts: Given) -> Template:
    def send() -> str:
        api.ask_now(parts)
        return "All that waits is sent now. Look again in a minute."

    return _done(parts, "now", send)


@post("/sync/retry", sync_to_thread=True, status_code=200, include_in_schema=False)
def sync_retry(parts: Given, data: Fields) -> Template:
    def retry() -> str:
        count = api.retry(parts, [data["row"]] if data.get("row") else [])
        return f"{'1 row waits' if count == 1 else f'{count} rows wait'} to be sent again."

    return _done(parts, "retry", retry)


@post("/sync/resend", sync_to_thread=True, status_code=200, include_in_schema=False)
def sync_resend(parts: Given, data: Fields) -> Template:
    def resend() -> str:
        first, last = (_day(data, name) for name in ("first", "last"))
        count = api.resend(parts, first, last, [])
        return f"{'1 row waits' if count == 1 else f'{count} rows wait'} to be sent again."

    return _done(parts, "resend", resend, data)


@post("/sync/key", sync_to_thread=True, status_code=200, include_in_schema=False)
def sync_key(parts: Given) -> Template:
    return _done(parts, "key", lambda: f"The box has a new key: {api.rotate(parts)}.")


@post("/sync/bill-anyway", sync_to_thread=True, status_code=200, include_in_schema=False)
def sync_bill_anyway(parts: Given) -> Template:
    def free() -> str:
        with parts.db() as db, write_tx(db) as tx:
            uplink_desk.bill_anyway(tx, who=parts.who, now=parts.now())
        return "Trips from before the restore are billed within 15 minutes."

    return _done(parts, "bill-anyway", free)


def _done(parts: Parts, form: str, act: Callable[[], str], typed: dict[str, str] | None = None) -> Template:
    """The page after an act, with the line that says what was done, or with its form refused."""
    try:
        return _page(parts, done=act())
    except DepotError as error:
        return _page(parts, form=refused(form, typed or {"code": ""}, error))


def _day(data: dict[str, str], name: str) -> date:
    try:
        return date.fromisoformat(data.get(name, ""))
    except ValueError as error:
        raise InputError("expected a day", subject=name) from error


def _page(parts: Parts, *, done: str = "", form: Form | None = None) -> Template:
    settings = parts.settings
    with parts.db() as db:
        found = uplink_desk.status(db, settings, parts.now())
        receipts, parked, news = rows_of.receipts(db, NIGHTS), sync_log.parked(db, SHOWN), rows_of.kept_news(db)

    def at(stored: str | None) -> str:
        return f"{times.parse(stored).astimezone(settings.zone):%d %b %Y, %H:%M}" if stored else ""

    said, *more = uplink_desk.told(found, settings)
    return sections.page(
        parts,
        "system_sync.html",
        here="/sync",
        done=done,
        form=form,
        sync=found,
        said=said,
        more=more,
        good=uplink_desk.is_well(found),
        at=at,
        streams=STREAMS,
        parked=[one | {"row": f"{one['stream']}/{one['epoch']}/{one['seq']}"} for one in parked],
        receipts=[
            one | {"differences": [each.what for each in msgspec.json.decode(one["receipt"], type=Receipt).differences]}
            for one in receipts
        ],
        news=news,
        money=lambda cents: money(cents, settings.depot.currency),
    )


HANDLERS: list[Any] = [
    sync_page, sync_enrol, sync_page_now, sync_retry, sync_resend, sync_key, sync_bill_anyway
]  # fmt: skip
