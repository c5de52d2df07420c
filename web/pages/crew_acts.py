"""Who is at work: a crew in a dialog, and a driver who cannot drive today."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from appliance import crews, handover
from appliance.crews import Crew
from appliance.errors import DepotError, NotFound
from appliance.storage import board, handovers, people, vehicles
from appliance.storage.db import write_tx
from web import cards, names
from web.api.handovers import tell
from web.api.trips import local_day
from web.forms import Form, refused
from web.pages.board import late_from
from web.pages.trip_acts import Fields, done
from web.parts import Given, Parts

Code = Annotated[str, QueryParameter(max_length=32)]


@get("/crews", sync_to_thread=True, include_in_schema=False)
def crew_panel(parts: Given, vehicle: Code = "", driver: Code = "") -> Template:
    return _panel(parts, vehicle, driver)


@post("/crews/{driver:str}/unavailable", sync_to_thread=True, status_code=200, include_in_schema=False)
def crew_unavailable(parts: Given, driver: FromPath[str], data: Fields) -> Template:
    to = data.get("to", "")
    try:
        with parts.db() as db, write_tx(db) as tx:
            given = handover.unavailable(tx, driver, to or None, now=parts.now(), who=parts.who)
    except DepotError as error:
        return _panel(parts, data.get("vehicle", ""), driver, refused("unavailable", {"to": to}, error))
    tell(parts, given)
    where = (
        f"{_count(len(given.trips))} {'go' if len(given.trips) != 1 else 'goes'} to {_name(parts, to) or 'Unassigned'}"
    )
    said = f"{_name(parts, driver)} is unavailable; {where if given.trips else 'there were no trips to give on'}."
    if given.left:
        said += f" Still under way with its van: {', '.join(_titles(parts, given.left))}. Give it to another driver."
    return done(said, act="unavailable", undo=f"/handovers/{given.id}/undo")


@post("/crews/{driver:str}/available", sync_to_thread=True, status_code=200, include_in_schema=False)
def crew_available(parts: Given, driver: FromPath[str]) -> Template:
    try:
        with parts.db() as db, write_tx(db) as tx:
            handover.available(tx, driver, now=parts.now(), who=parts.who)
    except DepotError as error:
        return _panel(parts, "", driver, refused("available", {}, error))
    return done(f"{_name(parts, driver)} is available again; their former trips stay where they are.", act="available")


@post("/handovers/{handover_id:int}/undo", sync_to_thread=True, status_code=200, include_in_schema=False)
def crew_undo(parts: Given, handover_id: FromPath[int]) -> Template:
    try:
        with parts.db() as db, write_tx(db) as tx:
            given = handover.undo(tx, handover_id, now=parts.now(), who=parts.who)
    except DepotError as error:
        return done(f"Not undone: {error.what}.", act="undo")
    tell(parts, given)
    left = _titles(parts, given.left)
    said = f"Undone: {_count(len(given.trips))} given back, and the driver is available."
    return done(f"{said} Changed since and left: {', '.join(left)}." if left else said, act="undo")


def _panel(parts: Parts, vehicle: str, driver: str, form: Form | None = None) -> Template:
    now, zone = parts.now(), parts.settings.zone
    since, until = local_day(parts, now.astimezone(zone).date())
    with parts.db() as db:
        found = crews.crews(db, since, until, now)
        crew = next((one for one in found if (one.vehicle or "") == vehicle and (one.driver or "") == driver), None)
        crew = crew or _gone(found, vehicle, driver)
        rows = [
            names.of_trip(parts, row)
            for row in board.cards(db, since, until)
            if row["state"] in ("assigned", "in_progress")
            and (row["driver"] == crew.driver if crew.driver else row["vehicle"] == crew.vehicle)
        ]
        last = None
        if crew.driver and crew.unavailable:
            gone = people.driver_by_code(db, crew.driver)
            last = handovers.last_of(db, gone["id"]) if gone else None
        to = [(one["code"], f"{one['code']} {one['name']}") for one in people.drivers(db)
              if not one["disabled_at"] and not one["unavailable_at"] and one["code"] != crew.driver]  # fmt: skip
        van = vehicles.by_code(db, crew.vehicle) if crew.vehicle else None
    units = parts.settings.depot.units
    context = {
        "crew": crew,
        "van": van,
        "shift": f"{cards.clock(crew.starts_at, now, zone)} to {cards.clock(crew.ends_at, now, zone)}"
        if crew.starts_at and crew.ends_at
        else "",
        "trips": [cards.card(row, now, zone, units, late_from(parts)) for row in rows],
        "to": to,
        "last": {"id": last["id"], "count": len(last["trips"])} if last else None,
        "form": form or Form(),
    }
    return Template("crew.html", context=context, status_code=422 if form else 200)


def _gone(found: list[Crew], vehicle: str, driver: str) -> Crew:
    """Where the two do not belong together any more: whoever of them is still there."""
    for one in found:
        if (driver and one.driver == driver) or (not driver and one.vehicle == vehicle):
            return one
    raise NotFound("no such crew", subject=driver or vehicle)


def _name(parts: Parts, driver: str) -> str:
    with parts.db() as db:
        found = people.driver_by_code(db, driver)
    return found["name"] if found else driver


def _titles(parts: Parts, trips: list[int]) -> list[str]:
    with parts.db() as db:
        return [cards.title(row) for id in trips if (row := board.trip(db, id))]


def _count(trips: int) -> str:
    return f"{trips} trip{'' if trips == 1 else 's'}"


HANDLERS: list[Any] = [crew_panel, crew_unavailable, crew_available, crew_undo]
