"""What a dispatcher does with a trip: the panel beside the board, and one form an act, in a dialog that posts in place.

A form carries the version of the trip that was looked at. It is answered with itself, what was typed and what is wrong
with it, or with one line that says what was done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from litestar import get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Template
from msgspec import UNSET

from appliance import crews, dispatch, legs, trip_desk
from appliance.crews import Choice, Choices, Clash
from appliance.domain import trip as rules
from appliance.domain.trip import STAMPS, STEPS, TRANSITIONS, CancelledBy, Event, LevelOfService, NoShowRule, State
from appliance.errors import DepotError, InputError, NotFound, Refused
from appliance.storage import board, payers, people, times, trips
from appliance.storage.db import Row, write_tx
from appliance.trip_desk import TripDetails
from web import cards, clock_times, names
from web.api import trips as api
from web.api.trips import NewEvent, Stamps
from web.forms import Form, refused
from web.pages.board import late_from
from web.parts import Given, Parts
from web.typed import version

Fields = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
Typed = Mapping[str, str]

LONGEST_FIELD = 500
STEP_TITLES = {
    Event.accepted: "Accepted",
    Event.en_route: "En route",
    Event.arrived_pickup: "At pickup",
    Event.on_board: "On board",
    Event.arrived_dropoff: "At drop-off",
    Event.completed: "Completed",
}
CANCELLED_BY = {
    CancelledBy.patient: "The patient",
    CancelledBy.facility: "The facility",
    CancelledBy.broker: "The broker",
    CancelledBy.depot: "The depot",
}


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be done with a trip. `event`: it can be done where the state machine lets that happen."""

    name: str
    title: str
    sign: str
    do: Callable[[Parts, Row, Typed], str]
    """Does it and says what was done, in words without a patient's name. Raises DepotError by the field."""
    event: Event | None = None
    states: frozenset[State] = frozenset()
    danger: bool = False

    def fits(self, row: Row) -> bool:
        state = State(row["state"])
        if self.event is Event.assign and state is State.in_progress:
            return False
        if self.event in (Event.no_show, Event.missed) and row["on_board_at"]:
            return False
        if (self.name == "return" and row["outbound_trip_id"]) or (self.name == "change" and row["invoice_id"]):
            return False
        return (state, self.event) in TRANSITIONS if self.event else state in self.states


@get("/trips/{trip_id:int}/panel", sync_to_thread=True, include_in_schema=False)
def trip_panel(parts: Given, trip_id: FromPath[int]) -> Template:
    """A trip beside the board: its times and where they come from, its other legs, and what can be done with it."""
    with parts.db() as db:
        row = _row(parts, trip_id)
        events = board.trip_events(db, trip_id)
        other_legs = trips.legs_of(db, trip_id)
        driver = people.driver(db, row["driver_id"]) if row["driver_id"] else None
    now, zone = parts.now(), parts.settings.zone
    context: dict[str, Any] = {
        "stamps": _stamps(parts, row, events),
        "legs": [
            {
                "id": leg["id"],
                "title": cards.title(leg),
                "is_outbound": leg["is_outbound"],
                "state": cards.STATE_TITLES[State(leg["state"])].lower(),
                "at": cards.clock(times.parse(leg["completed_at"] or leg["pickup_at"]), now, zone),
            }
            for leg in other_legs
        ],
        "phone": driver["phone"] if driver else "",
        "ending": _ending(parts, row, events),
    }
    return _fragment(parts, "trip_panel.html", row, **context)


@get("/trips/{trip_id:int}/acts", sync_to_thread=True, include_in_schema=False)
def trip_bar(parts: Given, trip_id: FromPath[int]) -> Template:
    """The buttons alone: for the page of a trip."""
    return _fragment(parts, "trip_bar.html", _row(parts, trip_id))


@get("/trips/{trip_id:int}/forms/{act:str}", sync_to_thread=True, include_in_schema=False)
def trip_act(parts: Given, trip_id: FromPath[int], act: FromPath[str]) -> Template:
    return _form(parts, trip_id, _act(act))


@post("/trips/{trip_id:int}/acts/{act:str}", sync_to_thread=True, status_code=200, include_in_schema=False)
def act_on_trip(parts: Given, trip_id: FromPath[int], act: FromPath[str], data: Fields) -> Template:
    found, typed = _act(act), {name: text.strip()[:LONGEST_FIELD] for name, text in data.items()}
    try:
        said = found.do(parts, _row(parts, trip_id), typed)
    except NotFound as error:
        if error.subject.startswith("trip "):
            raise
        return _form(parts, trip_id, found, refused(act, EMPTY | typed, error))
    except DepotError as error:
        return _form(parts, trip_id, found, refused(act, EMPTY | typed, _plain(error)))
    return done(f"Trip {cards.title(_row(parts, trip_id))}: {said}.", trip=trip_id, act=act)


def done(said: str, *, trip: int | None = None, act: str = "", undo: str = "") -> Template:
    """The line that says what was done; the page hears of it, closes the dialog and asks for what is new. `undo` is the
    address that takes it back."""
    told = json.dumps({"depot:acted": {"trip": trip, "act": act}})
    return Template("said.html", context={"said": said, "undo": undo}, headers={"HX-Trigger-After-Swap": told})


def payer_names(parts: Parts) -> list[tuple[str, str]]:
    """Who can be chosen to pay: no patients."""
    with parts.db() as db:
        return [(payer["name"], payer["name"]) for payer in payers.listed(db) if payer["kind"] != "patient"]


def levels() -> list[tuple[str, str]]:
    return [(level.value, level.value.capitalize()) for level in LevelOfService]


def _form(parts: Parts, trip_id: int, act: Act, form: Form | None = None) -> Template:
    row = _row(parts, trip_id)
    context: dict[str, Any] = {"act": act, "form": form or Form(), "fits": act.fits(row)}
    with parts.db() as db:
        context["returns"] = [cards.title(leg) for leg in trips.open_returns(db, trip_id)]
        if act.name == "assign":
            found = crews.choices(db, trip_id, parts.now())
            context |= {
                name: _told(parts, of) for name, of in (("vehicles", found.vehicles), ("drivers", found.drivers))
            }
            context["chosen"] = _chosen(row, found, context["form"])
            context["seen"] = ",".join(str(id) for id in sorted(_clash_ids(found)))
        if act.name == "times":
            context["stamps"] = stamps = _stamps(parts, row, board.trip_events(db, trip_id))
            reached = max((number for number, stamp in enumerate(stamps) if stamp["at"]), default=-1)
            context["next_step"] = stamps[min(reached + 1, len(stamps) - 1)]["name"]
    zone = parts.settings.zone
    pickup = times.parse(row["pickup_at"]).astimezone(zone)
    appointment = times.parse_or_none(row["appointment_at"])
    context |= {
        "now": clock_times.shown(parts.now(), zone),
        "by": [(who.value, title) for who, title in CANCELLED_BY.items()],
        "rule": NoShowRule(),
        "levels": levels(),
        "payers": payer_names(parts) if act.name == "change" else [],
        "pickup_day": f"{pickup:%Y-%m-%d}",
        "pickup_time": f"{pickup:%H:%M}",
        "appointment_time": clock_times.shown(appointment, zone) if appointment else "",
    }
    status = 422 if form and form.problems else 200
    return _fragment(parts, "trip_act.html", row, status=status, **context)


def _fragment(parts: Parts, template: str, row: Row, *, status: int = 200, **context: Any) -> Template:
    card = cards.card(row, parts.now(), parts.settings.zone, parts.settings.depot.units, late_from(parts))
    fitting = [act for act in ACTS if act.fits(row)]
    return Template(template, context={"card": card, "trip": row, "acts": fitting, **context}, status_code=status)


def _row(parts: Parts, trip_id: int) -> Row:
    """The trip as the caller may see it. Raises NotFound."""
    with parts.db() as db:
        row = board.trip(db, trip_id)
    if row is None:
        raise api.unknown(trip_id)
    return names.of_trip(parts, row)


def _act(name: str) -> Act:
    for act in ACTS:
        if act.name == name:
            return act
    raise NotFound("no such act", subject=name[:40])


def _plain(error: DepotError) -> DepotError:
    """Without the trip's own number, which stands above the form."""
    return type(error)(error.what, hint=error.hint) if error.subject.startswith("trip ") else error


def _note(typed: Typed, *, needed: bool = False) -> str:
    if needed and not typed.get("note"):
        raise InputError("expected a few words", subject="note")
    return typed.get("note", "")


def _at(parts: Parts, typed: Typed, near: datetime | None = None) -> datetime:
    """The field `at`; now where it is empty or shows the minute that it is."""
    now, zone = parts.now(), parts.settings.zone
    given = typed.get("at", "")
    if not given or given == clock_times.shown(now, zone):
        return now
    return clock_times.nearest(given, near or now, zone, "at")


def _number(typed: Typed, name: str, most: int) -> int:
    given = typed.get(name, "") or "0"
    if not given.isdecimal() or int(given) > most:
        raise InputError(f"expected a number from 0 to {most}", subject=name)
    return int(given)


def _say(parts: Parts, row: Row, typed: Typed, event: Event, **more: Any) -> None:
    """Raises Refused, by the field where the refusal is about one."""
    outcome = api.say(parts, row["id"], NewEvent(event=event, version=version(typed), **more))
    if not outcome.accepted:
        raise Refused(outcome.reason or "it does not fit", subject=outcome.about)


def _return_leg(typed: Typed) -> Any:
    return "cancel" if typed.get("return_leg") == "cancel" else "keep"


def _assign(parts: Parts, row: Row, typed: Typed) -> str:
    vehicle, driver = typed.get("vehicle", ""), typed.get("driver", "")
    if not vehicle:
        raise InputError("choose a vehicle", subject="vehicle")
    with parts.db() as db:
        found = crews.choices(db, row["id"], parts.now())
    seen = set(typed.get("seen", "").split(","))
    clashes = [
        f"{one.code} has {_clash(parts, clash)}"
        for one in (*found.vehicles, *found.drivers)
        if one.code in (vehicle, driver) and not one.refusal
        for clash in one.overlaps
        if str(clash.trip_id) not in seen
    ]
    fits = all(one.refusal is None for one in (*found.vehicles, *found.drivers) if one.code in (vehicle, driver))
    if clashes and fits and _act("assign").fits(row):
        raise Refused(f"It overlaps: {', '.join(clashes)}", hint="assign it all the same, or choose another")
    _say(parts, row, typed, Event.assign, vehicle=vehicle, driver=driver or None, note=_note(typed))
    name = next((one.name for one in found.drivers if one.code == driver), driver)
    return f"given to {vehicle}{f' with {name}' if driver else ', without a driver yet'}"


def _unassign(parts: Parts, row: Row, typed: Typed) -> str:
    _say(parts, row, typed, Event.unassign, note=_note(typed))
    return f"taken off {row['vehicle']}"


def _ready(parts: Parts, row: Row, typed: Typed) -> str:
    at = _at(parts, typed)
    _say(parts, row, typed, Event.ready, at=at, note=_note(typed))
    return f"ready at {clock_times.shown(at, parts.settings.zone)}"


def _times(parts: Parts, row: Row, typed: Typed) -> str:
    now, zone = parts.now(), parts.settings.zone
    stored = {step: times.parse_or_none(row[STAMPS[step]]) for step in STEPS}
    near = times.parse(row["pickup_at"]) if State(row["state"]) in rules.FINISHED else now
    said = {}
    for step in STEPS:
        given, before = typed.get(step.value, ""), stored[step]
        if given and not (before and given == clock_times.shown(before, zone)):
            said[STAMPS[step]] = clock_times.nearest(given, before or near, zone, step.value)
    if not said:
        raise InputError("expected a time in one of the fields that is not there yet")
    api.enter(parts, row["id"], Stamps(**said, note=_note(typed), version=version(typed)))
    titles = [STEP_TITLES[step].lower() for step in STEPS if STAMPS[step] in said]
    return f"{', '.join(titles)} entered, by phone"


def _no_show(parts: Parts, row: Row, typed: Typed) -> str:
    attempts, waited = _number(typed, "contact_attempts", 100), _number(typed, "waited", 1440)
    _say(
        parts, row, typed, Event.no_show, at=_at(parts, typed), contact_attempts=attempts, waited_s=waited * 60.0,
        note=_note(typed), return_leg=_return_leg(typed), source="phone" if typed.get("phone") else "dispatcher",
    )  # fmt: skip
    return f"a no-show{_with_return(typed)}"


def _cancel(parts: Parts, row: Row, typed: Typed) -> str:
    by = typed.get("cancelled_by", "")
    if by not in list(CancelledBy):
        raise InputError("choose who does not want it any more", subject="cancelled_by")
    note = _note(typed, needed=True)
    _say(parts, row, typed, Event.cancel, cancelled_by=CancelledBy(by), note=note, return_leg=_return_leg(typed))
    return f"cancelled{_with_return(typed)}"


def _with_return(typed: Typed) -> str:
    return ", and its return leg cancelled" if _return_leg(typed) == "cancel" else ""


def _missed(parts: Parts, row: Row, typed: Typed) -> str:
    _say(parts, row, typed, Event.missed, note=_note(typed, needed=True))
    return "missed"


def _reopen(parts: Parts, row: Row, typed: Typed) -> str:
    _say(parts, row, typed, Event.reopen, note=_note(typed))
    return "reopened"


def _return(parts: Parts, row: Row, typed: Typed) -> str:
    will_call, pickup = typed.get("kind") == "will_call", times.parse(row["pickup_at"])
    if not typed.get("return_at"):
        raise InputError(clock_times.EXPECTED, subject="return_at")
    at = clock_times.after(typed["return_at"], pickup, parts.settings.zone, "return_at")
    now = parts.now()
    with parts.db() as db, write_tx(db) as tx:
        dispatch.must_be(tx, row["id"], version(typed))
        created = legs.plan_return(tx, row["id"], pickup_at=at, will_call=will_call, now=now, who=parts.who)
    parts.sender.send(created.jobs)
    parts.publisher.publish(*created.events)
    return f"its return leg #{created.id} is planned"


def _change(parts: Parts, row: Row, typed: Typed) -> str:
    zone = parts.settings.zone
    day = clock_times.day(typed.get("pickup_day", ""), "pickup_day")
    pickup = clock_times.on(day, typed.get("pickup_time", ""), zone, "pickup_time")
    appointment = typed.get("appointment_time", "")
    before = times.parse(row["pickup_at"])
    payer = typed.get("payer", "")
    details = TripDetails(
        pickup_at=before if pickup == before.replace(second=0, microsecond=0) else pickup,
        appointment_at=_same_minute(
            clock_times.after(appointment, pickup, zone, "appointment_time") if appointment else None,
            times.parse_or_none(row["appointment_at"]),
        ),
        pickup_address=typed.get("pickup_address", ""),
        dropoff_address=typed.get("dropoff_address", ""),
        level=typed.get("level", ""),
        payer=UNSET if not payer and row["payer_kind"] == "patient" else payer or None,
        patient=(typed["patient"] or None) if "patient" in typed else UNSET,
    )
    with parts.db() as db, write_tx(db) as tx:
        dispatch.must_be(tx, row["id"], version(typed))
        outcome = trip_desk.change(tx, row["id"], details, now=parts.now(), who=parts.who)
    api.tell(parts, None, outcome)
    return "changed"


def _same_minute(given: datetime | None, stored: datetime | None) -> datetime | None:
    """What is stored, where the field shows just that: a field has no seconds."""
    return stored if given and stored and given == stored.replace(second=0, microsecond=0) else given


def _chosen(row: Row, found: Choices, form: Form) -> dict[str, str]:
    """What the form begins with: what was typed, the crew that it has, else the first vehicle that is free and its
    driver."""
    if "vehicle" in form.typed:
        can = {"": False} | {one.code: one.refusal is None for one in (*found.vehicles, *found.drivers)}
        return {name: typed if can.get(typed := form.typed.get(name, "")) else "" for name in ("vehicle", "driver")}
    if row["vehicle"]:
        return {"vehicle": row["vehicle"], "driver": row["driver"] or ""}
    free = [one for one in found.vehicles if not one.refusal and not one.overlaps]
    best = next((one for one in free if one.partner), None)
    return {"vehicle": best.code, "driver": best.partner or ""} if best else {"vehicle": "", "driver": ""}


def _told(parts: Parts, found: list[Choice]) -> list[dict[str, Any]]:
    """The choices as the form shows them: overlaps as words."""
    return [
        {
            "code": one.code,
            "name": one.name,
            "refusal": one.refusal,
            "partner": one.partner,
            "overlaps": ", ".join(_clash(parts, clash) for clash in one.overlaps[:3])
            + (f" and {len(one.overlaps) - 3} more" if len(one.overlaps) > 3 else ""),
        }
        for one in found
    ]


def _clash(parts: Parts, clash: Clash) -> str:
    return f"{clash.title} at {cards.clock(clash.pickup_at, parts.now(), parts.settings.zone)}"


def _clash_ids(found: Choices) -> set[int]:
    return {clash.trip_id for one in (*found.vehicles, *found.drivers) for clash in one.overlaps}


def _stamps(parts: Parts, row: Row, events: list[Row]) -> list[dict[str, Any]]:
    """The steps with their times and who said so; `hint` is the day where it is not today."""
    now, zone = parts.now(), parts.settings.zone
    last = {event["event"]: event for event in events if event["accepted"]}
    found = []
    for step in STEPS:
        at, event = times.parse_or_none(row[STAMPS[step]]), last.get(step.value)
        found.append({
            "name": step.value,
            "title": STEP_TITLES[step],
            "at": cards.clock(at, now, zone) if at else "",
            "typed": clock_times.shown(at, zone) if at else "",
            "source": {"phone": "by phone", "driver": "driver", "dispatcher": "dispatcher"}.get(event["source"], "")
            if at and event else "",
            "who": event["who"] if at and event else "",
        })  # fmt: skip
    return found


def _ending(parts: Parts, row: Row, events: list[Row]) -> str:
    """Why a trip did not come off: who said so, and what was noted."""
    said = {State.cancelled: Event.cancel, State.no_show: Event.no_show, State.missed: Event.missed}
    event = said.get(State(row["state"]))
    last = next((one for one in reversed(events) if one["accepted"] and one["event"] == event), None)
    if last is None:
        return ""
    by = f"By {CANCELLED_BY[CancelledBy(row['cancelled_by'])].lower()}" if row["cancelled_by"] else ""
    return ": ".join(part for part in (by, names.said(parts, last["note"])) if part)


EMPTY = dict.fromkeys(
    ("vehicle", "driver", "at", "waited", "contact_attempts", "cancelled_by", "note", "return_at", "pickup_day",
     "pickup_time", "appointment_time", "pickup_address", "dropoff_address", "level", "payer", "patient", "ref"), ""
)  # fmt: skip
"""The fields that something can be wrong with: a form sends nothing of one where nothing was chosen."""

OPEN = frozenset(State) - rules.FINISHED
ACTS: tuple[Act, ...] = (
    Act("ready", "Ready", "phone", _ready, Event.ready),
    Act("assign", "Assign", "van", _assign, Event.assign),
    Act("times", "Times", "clock", _times, states=frozenset({State.assigned, State.in_progress, State.completed})),
    Act("change", "Change", "edit", _change, states=OPEN | {State.completed, State.no_show}),
    Act("return", "Return leg", "swap", _return, states=OPEN | {State.completed}),
    Act("unassign", "Take off", "undo", _unassign, Event.unassign),
    Act("no_show", "No-show", "flag", _no_show, Event.no_show),
    Act("missed", "Missed", "cross", _missed, Event.missed, danger=True),
    Act("cancel", "Cancel trip", "cross", _cancel, Event.cancel, danger=True),
    Act("reopen", "Reopen", "retry", _reopen, Event.reopen),
)
"""In the order of their buttons."""

HANDLERS: list[Any] = [trip_panel, trip_bar, trip_act, act_on_trip]
