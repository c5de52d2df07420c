"""A new trip: its form in the dialog, the search for its patient, and its way back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import get, post
from litestar.params import QueryParameter
from litestar.response import Template

from appliance import dispatch, legs, patient_desk
from appliance.dispatch import NewTrip
from appliance.domain.access import Permission
from appliance.errors import DepotError, InputError
from appliance.storage.db import write_tx
from web import clock_times
from web.api.trips import tidy_ref
from web.forms import Form, refused
from web.pages.trip_acts import EMPTY, LONGEST_FIELD, Fields, Typed, done, levels, payer_names
from web.parts import Given, Parts

SEARCHED_FROM = 3
"""Letters: each record that a search shows counts as looked at."""
SHOWN = 8

Day = Annotated[str, QueryParameter(name="day", max_length=10)]


@get("/trips/new/form", sync_to_thread=True, include_in_schema=False)
def new_trip_form(parts: Given, on_day: Day = "") -> Template:
    return _form(parts, on_day)


@post("/trips/new", sync_to_thread=True, status_code=200, include_in_schema=False)
def new_trip(parts: Given, data: Fields) -> Template:
    typed = {name: text.strip()[:LONGEST_FIELD] for name, text in data.items()}
    now = parts.now()
    try:
        new, back = _read(parts, typed)
        with parts.db() as db, write_tx(db) as tx:
            made = [dispatch.create_trip(tx, new, now=now, who=parts.who)]
            if back:
                will_call = typed.get("return") == "will_call"
                made.append(
                    legs.plan_return(tx, made[0].id, pickup_at=back, will_call=will_call, now=now, who=parts.who)
                )
    except DepotError as error:
        return _form(parts, typed.get("pickup_day", ""), refused("new", EMPTY | typed, error))
    for each in made:
        parts.sender.send(each.jobs)
        parts.publisher.publish(*each.events)
    said = f"Trip {new.ref or f'#{made[0].id}'} is planned{' with its way back' if back else ''}."
    return done(said, trip=made[0].id, act="new")


@post("/trips/new/patients", sync_to_thread=True, status_code=200, include_in_schema=False)
def find_patients(parts: Given, data: Fields) -> Template:
    """Whom the name in the field may mean. By POST: a name stands in no address."""
    query = data.get("patient", "").strip()[:100]
    if len(query) < SEARCHED_FROM:
        return Template("patients_found.html", context={"query": "", "found": [], "more": 0})
    with parts.db() as db, write_tx(db) as tx:
        found, total = patient_desk.search(tx, query, who=parts.who, now=parts.now())
    context = {"query": query, "found": found[:SHOWN], "more": total - len(found[:SHOWN])}
    return Template("patients_found.html", context=context)


def _form(parts: Parts, day: str, form: Form | None = None) -> Template:
    today = parts.now().astimezone(parts.settings.zone).date().isoformat()
    context = {
        "form": form or Form(),
        "day": day or today,
        "levels": levels(),
        "payers": payer_names(parts),
    }
    return Template("new_trip.html", context=context, status_code=422 if form else 200)


def _read(parts: Parts, typed: Typed) -> tuple[NewTrip, datetime | None]:
    """What the form says, and when the way back is. Raises InputError by the field."""
    zone = parts.settings.zone
    day = clock_times.day(typed.get("pickup_day", ""), "pickup_day")
    pickup = clock_times.on(day, typed.get("pickup_time", ""), zone, "pickup_time")
    appointment = typed.get("appointment_time", "")
    for field, said in (
        ("pickup_address", "expected where the patient boards"),
        ("dropoff_address", "expected where the patient is brought"),
    ):
        if not typed.get(field):
            raise InputError(said, subject=field)
    back = None
    if typed.get("return") in ("time", "will_call"):
        if not typed.get("return_at"):
            raise InputError(clock_times.EXPECTED, subject="return_at")
        back = clock_times.after(typed["return_at"], pickup, zone, "return_at")
    new = NewTrip(
        pickup_at=pickup,
        pickup_address=typed["pickup_address"][:200],
        dropoff_address=typed["dropoff_address"][:200],
        level=typed.get("level", ""),
        ref=tidy_ref(typed.get("ref")),
        payer=typed.get("payer") or None,
        patient=typed.get("patient") or None if parts.may(Permission.patients) else None,
        appointment_at=clock_times.after(appointment, pickup, zone, "appointment_time") if appointment else None,
        will_call=typed.get("will_call") == "yes",
    )
    return new, back


HANDLERS: list[Any] = [new_trip_form, new_trip, find_patients]
