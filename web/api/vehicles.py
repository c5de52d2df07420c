"""`/api/v1/vehicles`: where they are and were, and `/api/v1/alerts`: outages of vehicles at work."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import FromPath, QueryParameter
from sqlite_utils import Database

from appliance import alerts, clock, trails
from appliance.domain.presence import state_of
from appliance.storage import alerts as alert_rows
from appliance.storage import board, devices
from appliance.storage.db import Row
from web.api import trail
from web.api.answers import Alert, Page, RunningTrip, Vehicle, levels, make
from web.api.trips import Limit, Offset
from web.parts import Given, Parts

DEFAULT_TRAIL = timedelta(hours=1)

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
    start = start or end - DEFAULT_TRAIL
    with parts.db() as db:
        track = trails.of_vehicle(db, parts.store, parts.settings, code, start, end, tolerance_m=tolerance_m)
    return trail.answer(track, with_format, points=with_points)


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


HANDLERS = [list_vehicles, vehicle_trail, list_alerts]
