"""`/api/v1/vehicles`: where they are and were, and `/api/v1/alerts`: outages of vehicles at work."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any

from litestar import Response, get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter, RequestBody
from msgspec import Meta, Struct, field
from sqlite_utils import Database

from appliance import alerts, clock, trails, typed, vehicle_desk
from appliance import fleet as fleet_desk
from appliance.device_setup import Credentials
from appliance.domain.presence import state_of
from appliance.domain.trip import LevelOfService
from appliance.events import Event
from appliance.storage import alerts as alert_rows
from appliance.storage import board, devices
from appliance.storage import vehicles as vehicle_rows
from appliance.storage.db import Row, write_tx
from appliance.vehicle_desk import VehicleDetails
from web.api import trail
from web.api.answers import Alert, Page, RunningTrip, Vehicle, levels, make
from web.api.trips import Limit, Offset
from web.parts import Given, Parts
from web.problems import Problem

LOSES = "One of its trips needs a level of service that it would lose, or it was changed since it was read"
DEFAULT_TRAIL = timedelta(hours=1)


class NewVehicle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vehicle to add; the code is its name where none is given. With `certificate` its device logs in with one."""

    code: Annotated[str, Meta(min_length=1, max_length=32)]
    name: Annotated[str, Meta(max_length=100)] = ""
    plate: Annotated[str, Meta(max_length=100)] = ""
    levels: Annotated[list[LevelOfService], Meta(min_length=1)] = field(
        default_factory=lambda: [LevelOfService.ambulatory]
    )
    certificate: bool = False


class VehicleChange(VehicleDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a vehicle. With `version`, its own when it was read, it counts only if nobody else was
    faster."""

    version: int | None = None


class VehicleRecord(Struct, frozen=True, kw_only=True):
    """All that is known of a vehicle, in service or not."""

    code: str
    name: str
    plate: str
    levels: list[str]
    documents_expire_on: date | None
    disabled_at: datetime | None
    version: int


OnlyOpen = Annotated[bool, QueryParameter(name="open", description="false: the closed ones too")]
When = Annotated[datetime | None, QueryParameter(description="RFC 3339 with a zone, such as 2026-01-26T15:57:02Z")]


def fleet(db: Database, parts: Parts) -> list[Vehicle]:
    """The vehicles in service with their newest position and state."""
    now, limits, trusted = parts.now(), parts.settings.limits, clock.trusted(parts.settings)
    found = board.vehicles(db)
    until = now + timedelta(seconds=limits.future_s) if trusted else None
    newest = parts.positions.newest({row["id"]: row["code"] for row in found}, devices.sources(db), until)
    vehicles = []
    for row in found:
        position = newest.get(row["code"])
        vehicles.append(
            make(
                Vehicle,
                row,
                levels=levels(row["levels"]),
                state=state_of(position.signs if position else None, now, limits, trusted),
                position=position,
                trip=RunningTrip(
                    id=row["trip_id"], ref=row["trip_ref"], state=row["trip_state"], on_board=bool(row["on_board_at"])
                )
                if row["trip_id"]
                else None,
            )
        )
    return vehicles


@get("/vehicles", sync_to_thread=True, summary="Vehicles in service with state, newest position and running trip")
def list_vehicles(parts: Given) -> Page[Vehicle]:
    with parts.db() as db:
        vehicles = fleet(db, parts)
    return Page(vehicles, len(vehicles))


@get(
    "/vehicles/{code:str}/trail",
    sync_to_thread=True,
    summary="Where a vehicle drove, as GeoJSON, GPX or CSV",
    responses=trail.RESPONSES,
)
def vehicle_trail(
    parts: Given,
    code: FromPath[str],
    start: When = None,
    end: When = None,
    with_format: trail.As = "geojson",
    with_points: trail.WithPoints = True,
    tolerance_m: trail.ToleranceM = None,
) -> Response[Any]:
    """The last hour by default. Times that the position source did not report are simply not there."""
    end = end or parts.now()
    typed.of_this_age("end", end)
    start = start or end - DEFAULT_TRAIL
    with parts.db() as db:
        track = trails.of_vehicle(db, parts.store, parts.settings, code, start, end, tolerance_m=tolerance_m)
    return trail.answer(track, with_format, points=with_points)


@get("/records/vehicles", sync_to_thread=True, summary="All vehicles with all that is known of them")
def list_vehicle_records(parts: Given) -> Page[VehicleRecord]:
    with parts.db() as db:
        found = [_record(row) for row in vehicle_rows.every(db)]
    return Page(found, len(found))


@post(
    "/vehicles",
    sync_to_thread=True,
    summary="Add a vehicle with its first device",
    responses={409: ResponseSpec(Problem, description="There is no listener for certificates")},
)
def add_vehicle(parts: Given, data: RequestBody[NewVehicle]) -> Credentials:
    """The answer is what the device is set up with; its password, or key, is told now and never again. `local_host` and
    `local_port` are for a program on the box itself. With a `warning` the broker knows it only from its next start on.
    """
    with parts.db() as db:
        return fleet_desk.add_vehicle(
            db, parts.settings, data.code, name=data.name, plate=data.plate, levels=data.levels,
            certificate=data.certificate, now=parts.now(), who=parts.who,
        )  # fmt: skip


@patch(
    "/vehicles/{code:str}",
    sync_to_thread=True,
    summary="Change a vehicle; what is left out stays as it is",
    responses={409: ResponseSpec(Problem, description=LOSES)},
)
def change_vehicle(parts: Given, code: FromPath[str], data: RequestBody[VehicleChange]) -> VehicleRecord:
    with parts.db() as db:
        with write_tx(db) as tx:
            event = vehicle_desk.change(tx, code, data, version=data.version, now=parts.now(), who=parts.who)
        return _said(parts, db, code, event)


@post(
    "/vehicles/{code:str}/disable",
    sync_to_thread=True,
    status_code=200,
    summary="Take a vehicle out of service; its devices are shut out",
    responses={409: ResponseSpec(Problem, description="Trips are assigned or under way; the detail names them")},
)
def disable_vehicle(parts: Given, code: FromPath[str]) -> VehicleRecord:
    with parts.db() as db:
        event = vehicle_desk.disable(db, parts.settings, code, now=parts.now(), who=parts.who)
        return _said(parts, db, code, event)


@post("/vehicles/{code:str}/enable", sync_to_thread=True, status_code=200, summary="Take it into service again")
def enable_vehicle(parts: Given, code: FromPath[str]) -> VehicleRecord:
    with parts.db() as db:
        event = vehicle_desk.enable(db, parts.settings, code, now=parts.now(), who=parts.who)
        return _said(parts, db, code, event)


def _said(parts: Parts, db: Database, code: str, event: Event) -> VehicleRecord:
    parts.publisher.publish(event)
    found = vehicle_rows.by_code(db, code)
    assert found is not None
    return _record(found)


def _record(row: Row) -> VehicleRecord:
    return make(VehicleRecord, row, levels=levels(row["levels"]))


def shown_alerts(db: Database, parts: Parts) -> list[Alert]:
    """The outages that need somebody now, the oldest first."""
    return [_alert(row, parts) for row in alert_rows.shown(db)]


@get("/alerts", sync_to_thread=True, summary="Outages of vehicles at work, newest first")
def list_alerts(parts: Given, only_open: OnlyOpen = True, limit: Limit = 100, offset: Offset = 0) -> Page[Alert]:
    """By default those that need somebody now: open, with the vehicle on a trip or a shift."""
    with parts.db() as db:
        found, total = alert_rows.page(db, only_open, limit, offset)
    return Page([_alert(row, parts) for row in found], total)


def _alert(row: Row, parts: Parts) -> Alert:
    return make(Alert, row, text=alerts.told(row, parts.settings, parts.now()))


HANDLERS: list[Any] = [
    list_vehicles, vehicle_trail, list_vehicle_records, add_vehicle, change_vehicle, disable_vehicle, enable_vehicle,
    list_alerts,
]  # fmt: skip
