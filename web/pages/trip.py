"""`/trips/{id}`: all about one trip: what happened, where it was driven, what is doubtful, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from litestar import get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Template
from sqlite_utils import Database

from appliance import fix_desk, trails
from appliance.domain import odometer
from appliance.domain.access import Permission
from appliance.domain.invoice import money
from appliance.domain.odometer import Difference, Driven
from appliance.domain.trip import STAMPS, STEPS, Event
from appliance.errors import DepotError, InputError
from appliance.fix_desk import RejectedOfTrip
from appliance.storage import audit, board, trip_told
from appliance.storage.db import Row
from appliance.storage.times import parse, text
from appliance.trails import Outlier, Ride
from web import cards, names
from web.api.trips import unknown
from web.forms import Form, refused
from web.pages import shell
from web.pages.board import late_from
from web.parts import Given, Parts

Fields = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]

LATE_WORD = timedelta(minutes=2)
"""An event that the box learned of later than this after it happened says so."""

STEP_TITLES = {Event.completed: "Completed", **{Event(name.removesuffix("_at")): title for name, title in cards.STEPS}}
REASONS = {
    "unparsable": "cannot be read",
    "no_position": "no position",
    "null_island": "no position yet (0/0)",
    "out_of_range": "no place on Earth",
    "not_finite": "no number",
    "future": "in the future",
    "too_old": "too old",
    "inaccurate": "inaccurate",
    "implied_speed": "too far to get there in time",
    "unknown_vehicle": "of an unknown device",
    "foreign_topic": "sent as another vehicle",
    "too_large": "message too large",
    "rate_limited": "too many at once",
}
MESSAGES = {
    "trip_completed": "Completed",
    "trip_assigned": "Assigned",
    "trip_unbilled": "Not billed",
    "invoice_adjustment": "Adjustment",
}
MAILS = {"assignment": "Mail to the driver", "invoice": "Invoice by mail", "reminder": "Reminder by mail"}


@dataclass(frozen=True, slots=True)
class Doubt:
    """A fix that a rule spoke against, for list and map. `kind`: rejected, restored, outlier or kept."""

    id: str
    kind: str
    at: str
    exact: str
    place: str
    said: str
    note: str
    can: bool
    """Whether a person may decide otherwise by a click."""


@get("/trips/{trip_id:int}", sync_to_thread=True, include_in_schema=False)
def trip_page(parts: Given, trip_id: FromPath[int]) -> Template:
    return _page(parts, trip_id)


@post("/trips/{trip_id:int}/fixes/restore", sync_to_thread=True, status_code=200, include_in_schema=False)
def trip_restore(parts: Given, trip_id: FromPath[int], data: Fields) -> Template:
    """Stores a rejected fix of the trip's vehicle after all."""
    try:
        with parts.db() as db:
            row = board.trip(db, trip_id)
            if row is None:
                raise unknown(trip_id)
            name = data.get("fix", "")
            fix_desk.restore(db, parts.settings, name, parts.who, parts.now(), vehicle=row["vehicle"])
    except DepotError as error:
        return _page(parts, trip_id, form=refused("fixes", {}, error))
    return _page(parts, trip_id, done="The position is stored. The trip is measured again within a minute.")


@post("/trips/{trip_id:int}/fixes/overrule", sync_to_thread=True, status_code=200, include_in_schema=False)
def trip_overrule(parts: Given, trip_id: FromPath[int], data: Fields) -> Template:
    """Keeps an outlier in the trail, or with `undo` leaves it out again."""
    undo = data.get("undo") == "yes"
    try:
        at = _at(data.get("at", ""))
        with parts.db() as db:
            asks = fix_desk.overrule(db, parts.settings, trip_id, at, parts.who, parts.now(), undo=undo)
    except DepotError as error:
        return _page(parts, trip_id, form=refused("fixes", {}, error))
    parts.sender.send(asks or ())
    said = "left out of the trail again" if undo else "kept in the trail"
    return _page(parts, trip_id, done=f"The position is {said}. The trip is measured again.")


def _at(typed: str) -> datetime:
    try:
        at = datetime.fromisoformat(typed)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InputError("expected the time of an outlier, with a zone", subject="at")
    return at


def _page(parts: Parts, trip_id: int, *, done: str = "", form: Form | None = None) -> Template:
    now, zone = parts.now(), parts.settings.zone
    with parts.db() as db:
        row = board.trip(db, trip_id)
        if row is None:
            raise unknown(trip_id)
        row = names.of_trip(parts, row)
        events = board.trip_events(db, trip_id)
        ride = trails.ride(db, parts.store, parts.settings, trip_id, now)
        rejected = fix_desk.of_trip(db, parts.settings, trip_id, now) if ride else []
        invoices = trip_told.invoices(db, trip_id)
        messages, mails, acts = _told(parts, db, row, invoices, rejected)
    live = next((one for one in invoices if one["id"] == row["invoice_id"]), None)
    moment = _moments(now, parts)
    by_phone = {event["event"] for event in events if event["accepted"] and event["source"] == "phone"}
    context: dict[str, Any] = {
        "card": cards.card(row, now, zone, parts.settings.depot.units, late_from(parts)),
        "trip": row,
        "duration": cards.minutes(timedelta(seconds=row["duration_s"])) if row["duration_s"] is not None else "",
        "stamps": [
            {
                "title": STEP_TITLES[step],
                "moment": moment(row[STAMPS[step]]) if row[STAMPS[step]] else None,
                "phone": step in by_phone,
            }
            for step in STEPS
        ],
        "timeline": [_event(names.hide(parts, event, "note"), moment) for event in events],
        "odometer": _odometer(row, events, ride, parts.settings.depot.units),
        "doubts": _doubts(parts, ride.outliers if ride else [], rejected),
        "ride": ride,
        "ride_start": text(ride.start) if ride else "",
        "invoice": live and {**live, "total": money(live["total_cents"], live["currency"]), "due": live["due_on"]},
        "void": [names.hide(parts, one, "void_reason") for one in invoices if one["state"] == "void"],
        "messages": [{**one, "title": MESSAGES.get(one["type"], one["type"]), "moment": moment(one["created_at"])}
                     for one in messages],
        "mails": [{**one, "title": MAILS.get(one["kind"], one["kind"]), "moment": moment(one["created_at"])}
                  for one in mails],
        "acts": [{**one, "title": _action(one["action"]), "moment": moment(one["at"])} for one in acts],
    }  # fmt: skip
    return shell.page(parts, "trip_page.html", here="/", done=done, form=form, **context)


def _told(
    parts: Parts, db: Database, row: Row, invoices: list[Row], rejected: Iterable[RejectedOfTrip]
) -> tuple[list[Row], list[Row], list[Row]]:
    """Messages, mails and the audit log, for who works with the trip."""
    if not (parts.may(Permission.dispatch) or parts.may(Permission.bill)):
        return [], [], []
    subjects = [("trip", row["uid"]), *(("invoice", one["uid"]) for one in invoices)]
    subjects += [("rejected fix", one.id) for one in rejected]
    return (
        trip_told.messages(db, row["id"], [one["id"] for one in invoices]),
        trip_told.mails(db, row["id"], [one["uid"] for one in invoices]),
        audit.of(db, subjects),
    )


def _moments(now: datetime, parts: Parts) -> Any:
    def moment(stored: str) -> cards.Moment:
        return cards.moment(parse(stored), now, parts.settings.zone)

    return moment


def _event(event: Row, moment: Any) -> dict[str, Any]:
    """An event with its words: how the box knows of it, and what was said about it."""
    who = event["who"]
    how = {
        "driver": f"by the driver's device, {who}",
        "phone": f"by phone, entered by {who}",
        "dispatcher": f"by {who}",
        "import": f"from a file, {who}",
        "system": "by the box",
    }.get(event["source"], f"{event['source']}, {who}")
    late = parse(event["received_at"]) - parse(event["at"])
    heard = (
        f"the box learned of it {cards.minutes(late)} later" if late >= LATE_WORD and event["event"] != "ready" else ""
    )
    read = f"odometer {_km(event['odometer_km'] * 1000)} km" if event["odometer_km"] is not None else ""
    return {
        **event,
        "moment": moment(event["at"]),
        "title": cards.event_title(event["event"]),
        "how": how,
        "more": ", ".join(part for part in (heard, read) if part),
    }


def _odometer(row: Row, events: Iterable[Row], ride: Ride | None, units: str) -> dict[str, Any] | None:
    """The odometer's distance beside that of the fixes; None where nobody read one."""
    readings = {
        Event(event["event"]): event["odometer_km"]
        for event in events
        if event["accepted"] and event["odometer_km"] is not None and event["event"] in list(Event)
    }
    driven = odometer.of_buttons(readings) or (odometer.of_fixes(ride.fixes) if ride else None)
    if driven is None:
        return None
    found: Difference | None = None
    if row["distance_m"] is not None:
        found = odometer.difference(row["distance_m"], driven)
    return {"said": _readings(driven, units), "difference": _words(found, units) if found else "",
            "flagged": found is not None and found.flagged}  # fmt: skip


def _readings(driven: Driven, units: str) -> str:
    by = f"by the {driven.by}'s readings, {_km(driven.start_m)} to {_km(driven.end_m)} km"
    return f"{cards.distance(driven.distance_m, units)} {by}"


def _km(metres: float) -> str:
    return f"{metres / 1000:,.1f}".removesuffix(".0")


def _words(found: Difference, units: str) -> str:
    if abs(found.metres) < 50:
        return "the same as by GPS"
    more = "more" if found.metres > 0 else "less"
    return f"{cards.distance(abs(found.metres), units)} ({abs(found.share) * 100:.0f} %) {more} than by GPS"


def _doubts(parts: Parts, outliers: Iterable[Outlier], rejected: Iterable[RejectedOfTrip]) -> list[Doubt]:
    """All fixes that a rule spoke against, in the order of time."""
    zone, may = parts.settings.zone, parts.may(Permission.dispatch)

    def clock(at: datetime) -> str:
        return f"{at.astimezone(zone):%H:%M:%S}"

    found: list[tuple[datetime, Doubt]] = []
    for out in outliers:
        found.append((out.at, Doubt(
            id=text(out.at), kind="kept" if out.overruled_by else "outlier", at=clock(out.at), exact=text(out.at),
            place=cards.place(out.lat, out.lon), said=f"{REASONS[out.reason]}: {out.value}, {out.bound}",
            note=f"kept by {out.overruled_by}" if out.overruled_by else "", can=may,
        )))  # fmt: skip
    for one in rejected:
        at = one.at or one.received_at
        note = f"restored {clock(one.restored_at)}" if one.restored_at else one.why_not
        found.append((at, Doubt(
            id=one.id, kind="restored" if one.restored_at else "rejected", at=clock(at), exact=text(at),
            place=cards.place(one.lat, one.lon),
            said=f"{REASONS[one.reason]}: {one.value}, expected {one.bound}", note=note, can=may and one.restorable,
        )))  # fmt: skip
    return [doubt for _at, doubt in sorted(found, key=lambda pair: pair[0])]


def _action(action: str) -> str:
    """`trip.corrected` in words."""
    return ACTIONS.get(action, action.replace(".", ": ").replace("_", " ").capitalize())


ACTIONS: Mapping[str, str] = {
    "trip.corrected": "A time was corrected",
    "trip.stamped": "A time was entered",
    "fix.restored": "A rejected position was restored",
    "outlier.overruled": "A position was kept in the trail",
    "outlier.overruling_undone": "A position was left out again",
    "release": "Released for billing",
    "invoice.asked_for": "The invoice was asked for",
    "invoice.voided": "The invoice was voided",
    "invoice.asked_to_send": "The invoice was asked to be sent",
    "invoice.payment": "A payment was entered",
}

HANDLERS: list[Any] = [trip_page, trip_restore, trip_overrule]
