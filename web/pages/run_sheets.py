"""`/run-sheets`: who drives on a day; a driver's sheet; and all sheets of a day at once, a page each, to print."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from litestar import get
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from appliance import run_sheets
from appliance.run_sheets import Sheet, Stop
from appliance.storage.db import write_tx
from web.api.run_sheets import today
from web.pages import shell
from web.parts import Given, Parts

LEGS = {"outbound": "way there", "return": "way back"}


@get("/run-sheets", sync_to_thread=True, include_in_schema=False)
def run_sheets_page(parts: Given, day: FromQuery[date | None] = None) -> Template:
    chosen = day or today(parts)
    with parts.db() as db:
        found = run_sheets.overview(db, chosen, parts.settings.zone)
    drivers = [(one, _clock(parts, one.first_at), _clock(parts, one.last_at)) for one in found.drivers]
    return shell.page(
        parts,
        "run_sheets.html",
        here="/run-sheets",
        day=chosen,
        day_title=title(chosen),
        previous=chosen - timedelta(days=1),
        next=chosen + timedelta(days=1),
        today=today(parts),
        drivers=drivers,
        without=found.without_driver,
        trips=sum(one.trips for one in found.drivers),
    )


@get("/run-sheets/{driver:str}", sync_to_thread=True, include_in_schema=False)
def run_sheet_page(parts: Given, driver: FromPath[str], day: FromQuery[date | None] = None) -> Template:
    chosen, now = day or today(parts), parts.now()
    with parts.db() as db, write_tx(db) as tx:
        sheet = run_sheets.of_driver(tx, chosen, driver, parts.settings.zone, who=parts.who, now=now)
    return _sheets(parts, chosen, [sheet], sheet.name)


@get("/run-sheets/day/{day:date}", sync_to_thread=True, include_in_schema=False)
def run_sheets_of_day(parts: Given, day: FromPath[date]) -> Template:
    with parts.db() as db, write_tx(db) as tx:
        found = run_sheets.of_day(tx, day, parts.settings.zone, who=parts.who, now=parts.now())
    return _sheets(parts, day, found, "All drivers")


def title(day: date) -> str:
    return f"{day:%A} {day.day} {day:%B %Y}"


def _sheets(parts: Parts, day: date, sheets: list[Sheet], name: str) -> Template:
    printed = parts.now().astimezone(parts.settings.zone)
    return shell.page(
        parts,
        "run_sheet.html",
        here="/run-sheets",
        day=day,
        day_title=title(day),
        name=name,
        sheets=[{"sheet": sheet, "stops": [_stop(parts, stop) for stop in sheet.stops]} for sheet in sheets],
        printed=f"{printed.day} {printed:%b %Y %H:%M}",
    )


def _stop(parts: Parts, stop: Stop) -> dict[str, Any]:
    return {
        "stop": stop,
        "pickup": _clock(parts, stop.pickup_at),
        "appointment": _clock(parts, stop.appointment_at) if stop.appointment_at else "",
        "leg": "way there, back on call" if stop.return_on_call else LEGS.get(stop.leg or "", ""),
    }


def _clock(parts: Parts, at: datetime) -> str:
    return f"{at.astimezone(parts.settings.zone):%H:%M}"


HANDLERS: list[Any] = [run_sheets_page, run_sheet_page, run_sheets_of_day]
