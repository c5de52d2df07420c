"""`/api/v1/drivers`, `/api/v1/shifts`, and `/api/v1/expiring`: papers that end."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from litestar import get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter, RequestBody
from msgspec import Meta, Struct

from appliance import driver_desk, shift_desk
from appliance.driver_desk import DriverDetails
from appliance.errors import NotFound
from appliance.storage import board, people, shifts
from appliance.storage.db import write_tx
from appliance.storage.expiring import expiring
from web.api.answers import Driver, Page, make
from web.parts import Given, Parts
from web.problems import Problem

WithPast = Annotated[bool, QueryParameter(name="past", description="those that are over, too")]
Within = Annotated[int, QueryParameter(ge=0, le=3660, description="days from today on")]


class NewDriver(DriverDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A driver to add. `code` is short: trips and shifts name it."""

    code: Annotated[str, Meta(min_length=1, max_length=32)]


class DriverChange(DriverDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a driver. With `version`, its own when it was read, it counts only if nobody else was
    faster."""

    version: int | None = None


class DriverRecord(Struct, frozen=True, kw_only=True):
    """All that is known of a driver, in service or not."""

    code: str
    name: str
    phone: str
    email: str
    user: str | None
    licence_no: str
    licence_expires_on: date | None
    documents_expire_on: date | None
    disabled_at: datetime | None
    version: int


class NewShift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A driver (the code) has a vehicle (the code), from now on where no start is given."""

    vehicle: str
    driver: str
    starts_at: Annotated[datetime, Meta(tz=True)] | None = None
    ends_at: Annotated[datetime, Meta(tz=True)]


class Shift(Struct, frozen=True, kw_only=True):
    """One that was taken back before it began ends as it starts."""

    id: int
    vehicle: str
    driver: str
    starts_at: datetime
    ends_at: datetime


class Expiring(Struct, frozen=True, kw_only=True):
    """A paper that ends: `days` from today on it is still valid, below zero once it has ended."""

    subject: Literal["driver", "vehicle"]
    code: str
    name: str
    what: Literal["licence", "documents"]
    expires_on: date
    days: int


@get("/drivers", sync_to_thread=True, summary="Drivers in service and what they drive now")
def list_drivers(parts: Given) -> Page[Driver]:
    with parts.db() as db:
        found = board.drivers(db)
    return Page([make(Driver, row) for row in found], len(found))


@get("/records/drivers", sync_to_thread=True, summary="All drivers with all that is known of them")
def list_driver_records(parts: Given) -> Page[DriverRecord]:
    with parts.db() as db:
        found = people.drivers(db)
    return Page([make(DriverRecord, row) for row in found], len(found))


@get("/drivers/{code:str}", sync_to_thread=True, summary="One driver")
def get_driver(parts: Given, code: FromPath[str]) -> DriverRecord:
    return _read(parts, code)


@post("/drivers", sync_to_thread=True, summary="Add a driver")
def add_driver(parts: Given, data: RequestBody[NewDriver]) -> DriverRecord:
    with parts.db() as db, write_tx(db) as tx:
        driver_desk.add(tx, data.code, data, who=parts.who, now=parts.now())
    return _read(parts, data.code)


@patch(
    "/drivers/{code:str}",
    sync_to_thread=True,
    summary="Change a driver; what is left out stays as it is",
    responses={409: ResponseSpec(Problem, description="It was changed since it was read")},
)
def change_driver(parts: Given, code: FromPath[str], data: RequestBody[DriverChange]) -> DriverRecord:
    with parts.db() as db, write_tx(db) as tx:
        driver_desk.change(tx, code, data, version=data.version, who=parts.who, now=parts.now())
    return _read(parts, code)


@post(
    "/drivers/{code:str}/disable",
    sync_to_thread=True,
    status_code=200,
    summary="The driver drives no more; shifts end",
    responses={409: ResponseSpec(Problem, description="Trips are assigned or under way; the detail names them")},
)
def disable_driver(parts: Given, code: FromPath[str]) -> DriverRecord:
    with parts.db() as db, write_tx(db) as tx:
        driver_desk.disable(tx, code, who=parts.who, now=parts.now())
    return _read(parts, code)


@post("/drivers/{code:str}/enable", sync_to_thread=True, status_code=200, summary="The driver drives again")
def enable_driver(parts: Given, code: FromPath[str]) -> DriverRecord:
    with parts.db() as db, write_tx(db) as tx:
        driver_desk.enable(tx, code, who=parts.who, now=parts.now())
    return _read(parts, code)


@get("/shifts", sync_to_thread=True, summary="Shifts that are not over, by their start")
def list_shifts(parts: Given, with_past: WithPast = False) -> Page[Shift]:
    with parts.db() as db:
        found = shifts.listed(db, None if with_past else parts.now())
    return Page([make(Shift, row) for row in found], len(found))


@post("/shifts", sync_to_thread=True, summary="A driver has a vehicle for a time")
def add_shift(parts: Given, data: RequestBody[NewShift]) -> Shift:
    with parts.db() as db:
        with write_tx(db) as tx:
            id = shift_desk.add(
                tx, data.vehicle, data.driver, data.starts_at, data.ends_at, who=parts.who, now=parts.now()
            )
        return next(make(Shift, row) for row in shifts.listed(db, None) if row["id"] == id)


@post("/shifts/{shift_id:int}/end", sync_to_thread=True, status_code=204, summary="End a shift now, or take it back")
def end_shift(parts: Given, shift_id: FromPath[int]) -> None:
    with parts.db() as db, write_tx(db) as tx:
        shift_desk.end(tx, shift_id, who=parts.who, now=parts.now())


@get("/expiring", sync_to_thread=True, summary="Licences and documents that end soon, or have ended")
def list_expiring(parts: Given, within_days: Within = 30) -> Page[Expiring]:
    """Of drivers and vehicles in service, the first to end first. The day is the depot's own."""
    today = parts.now().astimezone(parts.settings.zone).date()
    with parts.db() as db:
        found = expiring(db, today, within_days)
    return Page([make(Expiring, row) for row in found], len(found))


def _read(parts: Parts, code: str) -> DriverRecord:
    with parts.db() as db:
        found = [row for row in people.drivers(db) if row["code"] == code]
    if not found:
        raise NotFound("no such driver", subject=code)
    return make(DriverRecord, found[0])


HANDLERS: list[Any] = [
    list_drivers, list_driver_records, get_driver, add_driver, change_driver, disable_driver, enable_driver,
    list_expiring, list_shifts, add_shift, end_shift,
]  # fmt: skip
