"""`/replay`: a past hour on the map, played again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from litestar import get
from litestar.params import FromQuery, QueryParameter
from litestar.response import Template

from appliance.domain.fix import OLDEST
from appliance.errors import InputError
from appliance.storage import board
from web.forms import refused
from web.pages import shell
from web.parts import Given, Parts

HOUR = timedelta(hours=1)

At = Annotated[str, QueryParameter(max_length=40, description="a local time of the depot, such as 2026-01-26T15:00")]
Start = Annotated[str, QueryParameter(max_length=40, description="the same with a zone; counts before `at`")]


@get("/replay", sync_to_thread=True, include_in_schema=False)
def replay_page(parts: Given, at: At = "", start: Start = "", vehicle: FromQuery[str] = "") -> Template:
    """The last hour, unless another one is asked for."""
    now, form, begin = parts.now(), None, None
    with parts.db() as db:
        vehicles = [(row["code"], row["name"]) for row in board.vehicles(db)]
        if vehicle and vehicle not in dict(vehicles) and (gone := board.vehicle(db, vehicle)):
            vehicles.append((gone["code"], gone["name"]))
    try:
        if vehicle and vehicle not in dict(vehicles):
            raise InputError("no such vehicle", subject="vehicle", hint="choose one of the list")
        begin = _begin(parts, at, start)
    except InputError as error:
        form = refused("replay", {"at": at, "vehicle": vehicle}, error)
    later = begin + HOUR if begin and begin + HOUR < now else None
    return shell.page(
        parts,
        "replay.html",
        here="/replay",
        form=form,
        begin=_iso(begin),
        earlier=_iso(begin - HOUR) if begin else "",
        later=_iso(later),
        at=f"{begin.astimezone(parts.settings.zone):%Y-%m-%dT%H:%M}" if begin else at,
        newest=f"{now.astimezone(parts.settings.zone):%Y-%m-%dT%H:%M}",
        vehicle=vehicle,
        vehicles=[(code, f"{code}, {name}" if name and name != code else code) for code, name in vehicles],
    )


def _begin(parts: Parts, at: str, start: str) -> datetime:
    """When the hour begins, UTC. A local time that comes twice is the first of the two: the button for the next hour
    leads to the other. Raises InputError."""
    now = parts.now()
    if not at and not start:
        return (now - HOUR).replace(second=0, microsecond=0).astimezone(UTC)
    try:
        found = datetime.fromisoformat(start or at)
    except ValueError:
        raise InputError("expected a day and a time, such as 2026-01-26T15:00", subject="at") from None
    begin = found if found.tzinfo else found.replace(tzinfo=parts.settings.zone)
    try:
        begin = begin.astimezone(UTC)
    except OverflowError:
        begin = datetime.min.replace(tzinfo=UTC)
    if begin < OLDEST:
        raise InputError(f"expected a time after {OLDEST:%Y-%m-%d}", subject="at")
    if begin > now:
        raise InputError("that time has not come yet", subject="at")
    return begin


def _iso(at: datetime | None) -> str:
    return at.isoformat().replace("+00:00", "Z") if at else ""


HANDLERS: list[Any] = [replay_page]
