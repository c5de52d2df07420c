"""`/api/v1/run-sheets`: what each driver does on a day. A sheet names patients: each counts as viewed."""

from __future__ import annotations

from datetime import date
from typing import Any

from litestar import get
from litestar.params import FromPath, FromQuery

from appliance import run_sheets
from appliance.run_sheets import Overview, Sheet
from appliance.storage.db import write_tx
from web.parts import Given, Parts


@get("/run-sheets", sync_to_thread=True, summary="Who drives on a day, without patients")
def list_run_sheets(parts: Given, day: FromQuery[date | None] = None) -> Overview:
    """`day` is of the depot's own calendar, today where it is left out."""
    with parts.db() as db:
        return run_sheets.overview(db, day or today(parts), parts.settings.zone)


@get("/run-sheets/{driver:str}", sync_to_thread=True, summary="A driver's trips of a day, with names and addresses")
def get_run_sheet(parts: Given, driver: FromPath[str], day: FromQuery[date | None] = None) -> Sheet:
    """Each patient on it is in the audit log as viewed."""
    zone, now = parts.settings.zone, parts.now()
    with parts.db() as db, write_tx(db) as tx:
        return run_sheets.of_driver(tx, day or today(parts), driver, zone, who=parts.who, now=now)


def today(parts: Parts) -> date:
    return parts.now().astimezone(parts.settings.zone).date()


HANDLERS: list[Any] = [list_run_sheets, get_run_sheet]
