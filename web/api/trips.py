"""`/api/v1/trips`: reading, and the two ways to write (a new trip, an event of one)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from litestar import Response, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter, RawBody, RequestBody
from msgspec import Meta, Struct, structs

from appliance import corrections, crews, dispatch, invoice_desk, legs, manifest, trails, typed
from appliance.crews import Choices
from appliance.dispatch import Outcome
from appliance.domain.trip import STAMPS, STEPS, CancelledBy, Event, LevelOfService, State
from appliance.errors import NotFound, Refused
from appliance.storage import board
from appliance.storage.db import write_tx
from web import names
from web.api import trail
from web.api.answers import Page, Trip, TripEvent, TripWithEvents, UnbilledTrip, make
from web.parts import Given, Parts
from web.problems import Problem

When = Annotated[datetime, Meta(tz=True)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
ByState = Annotated[State | None, QueryParameter(name="state")]  # `state` as a name is Litestar's own
Limit = Annotated[int, QueryParameter(ge=1, le=500)]
Offset = Annotated[int, QueryParameter(ge=0, le=10_000_000)]

ENDINGS = (Event.cancel, Event.no_show)
"""After these a return leg may not be wanted any more."""


class NewTrip(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trip to plan. `vehicle` and `driver` are codes, `payer` a name; times carry a zone."""

    pickup_at: When
    pickup_address: Text
    dropoff_address: Text
    level: LevelOfService = LevelOfService.ambulatory
    ref: Text | None = None
    payer: Text | None = None
    patient: Text | None = None
    appointment_at: When | None = None
    pickup_lat: Latitude | None = None
    pickup_lon: Longitude | None = None
    dropoff_lat: Latitude | None = None
    dropoff_lon: Longitude | None = None
    driver: Text | None = None
    vehicle: Text | None = None
    will_call: bool = False
    outbound_trip_id: Annotated[int, Meta(ge=1, lt=2**53)] | None = None


class NewEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happened to a trip. `at` is when it really happened, now by default; of `ready` when the patient
    is ready. With `version`, the trip's own when it was read, the event counts only if nobody changed the trip since.
    `return_leg` says what becomes of the return leg after a cancel or no-show. `source` is `phone` where the driver
    said so."""

    event: Event
    at: When | None = None
    contact_attempts: Annotated[int, Meta(ge=0, le=100)] = 0
    waited_s: Annotated[float, Meta(ge=0, le=86400)] = 0.0
    vehicle: Text | None = None
    driver: Text | None = None
    source: Literal["dispatcher", "phone"] = "dispatcher"
    cancelled_by: CancelledBy | None = None
    note: Annotated[str, Meta(max_length=500)] = ""
    return_leg: Literal["keep", "cancel"] = "keep"
    version: int | None = None


class Stamps(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The real times of a trip's steps, as the driver told them by phone. What is left out stays as it is."""

    accepted_at: When | None = None
    en_route_at: When | None = None
    arrived_pickup_at: When | None = None
    on_board_at: When | None = None
    arrived_dropoff_at: When | None = None
    completed_at: When | None = None
    note: Annotated[str, Meta(max_length=500)] = ""
    version: int | None = None


class ImportReport(Struct, frozen=True, kw_only=True):
    """What a manifest did. Rows that are bad were left out; the others stand."""

    added: int
    unchanged: int
    bad: list[BadRow]


class BadRow(Struct, frozen=True, kw_only=True):
    line: int
    column: str
    value: str
    expected: str


@get("/trips", sync_to_thread=True, summary="Trips, newest pickup first")
def list_trips(
    parts: Given, with_state: ByState = None, day: FromQuery[date | None] = None, limit: Limit = 100, offset: Offset = 0
) -> Page[Trip]:
    """`day` is a day of the depot's own calendar."""
    since, until = local_day(parts, day) if day else (None, None)
    with parts.db() as db:
        found, total = board.trips(db, with_state, since, until, limit, offset)
    return Page([make(Trip, names.of_trip(parts, row)) for row in found], total)


@get("/trips/{trip_id:int}", sync_to_thread=True, summary="One trip with its events")
def get_trip(parts: Given, trip_id: FromPath[int]) -> TripWithEvents:
    return read(parts, trip_id)


@get(
    "/trips/{trip_id:int}/trail",
    sync_to_thread=True,
    summary="Where the trip was driven, as GeoJSON, GPX or CSV",
    responses=trail.RESPONSES,
)
def trip_trail(
    parts: Given,
    trip_id: FromPath[int],
    with_format: trail.As = "geojson",
    with_points: trail.WithPoints = True,
    tolerance_m: trail.ToleranceM = None,
) -> Response[Any]:
    """The ride that is billed, up to now while it runs; empty before the trip starts and where it never did."""
    with parts.db() as db:
        track = trails.of_trip(db, parts.store, parts.settings, trip_id, parts.now(), tolerance_m=tolerance_m)
    return trail.answer(track, with_format, points=with_points)


@post(
    "/trips",
    sync_to_thread=True,
    summary="Plan a trip",
    responses={409: ResponseSpec(Problem, description="A rule of the depot forbids it")},
)
def create_trip(parts: Given, data: RequestBody[NewTrip]) -> TripWithEvents:
    now = parts.now()
    new = dispatch.NewTrip(**structs.asdict(data) | {"ref": tidy_ref(data.ref)})
    with parts.db() as db, write_tx(db) as tx:
        created = dispatch.create_trip(tx, new, now=now, who=parts.who)
    parts.sender.send(created.jobs)
    parts.publisher.publish(*created.events)
    return read(parts, created.id)


@post(
    "/trips/{trip_id:int}/events",
    sync_to_thread=True,
    status_code=200,
    summary="Say what happened to a trip",
    responses={409: ResponseSpec(Problem, description="It does not fit the state of the trip; the detail says why")},
)
def add_event(parts: Given, trip_id: FromPath[int], data: RequestBody[NewEvent]) -> TripWithEvents:
    outcome = say(parts, trip_id, data)
    if not outcome.accepted:
        raise Refused(outcome.reason or "the event does not fit", subject=f"trip {trip_id}")
    return read(parts, trip_id)


@put(
    "/trips/{trip_id:int}/stamps",
    sync_to_thread=True,
    summary="Enter or correct the times of a trip, as they were told by phone",
    responses={409: ResponseSpec(Problem, description="A time cannot be; the detail names it and says why")},
)
def set_stamps(parts: Given, trip_id: FromPath[int], data: RequestBody[Stamps]) -> TripWithEvents:
    """A trip under way goes on to what its steps say. A completed one is measured again soon."""
    enter(parts, trip_id, data)
    return read(parts, trip_id)


@get("/trips/{trip_id:int}/choices", sync_to_thread=True, summary="Vehicles and drivers for a trip: fit and overlaps")
def list_choices(parts: Given, trip_id: FromPath[int]) -> Choices:
    """An overlap is a warning: the trips can be given all the same."""
    with parts.db() as db:
        return crews.choices(db, trip_id, parts.now())


@post("/trips/{trip_id:int}/release", sync_to_thread=True, status_code=200, summary="Release a trip for billing")
def release_trip(parts: Given, trip_id: FromPath[int]) -> TripWithEvents:
    """Where `billing.release` is `review`, its invoice is issued now. Once is enough; again changes nothing."""
    with parts.db() as db, write_tx(db) as tx:
        ask = invoice_desk.release(tx, trip_id, parts.who, parts.now())
    parts.sender.send([ask] if ask else [])
    return read(parts, trip_id)


@get("/trips/unbilled", sync_to_thread=True, summary="Finished trips without an invoice, and why, oldest first")
def list_unbilled(parts: Given, limit: Limit = 100, offset: Offset = 0) -> Page[UnbilledTrip]:
    with parts.db() as db:
        found = invoice_desk.unbilled(db, parts.settings)
    return Page([make(UnbilledTrip, row) for row in found[offset : offset + limit]], len(found))


@post(
    "/trips/{trip_id:int}/invoice",
    sync_to_thread=True,
    status_code=202,
    summary="Ask for a trip's invoice again",
    responses={409: ResponseSpec(Problem, description="It has one")},
)
def ask_for_invoice(parts: Given, trip_id: FromPath[int]) -> TripWithEvents:
    """For a trip whose missing data has come, or whose invoice is void. It is issued soon, or the trip says why not."""
    with parts.db() as db, write_tx(db) as tx:
        ask = invoice_desk.ask_again(tx, trip_id, parts.who, parts.now())
    parts.sender.send([ask])
    return read(parts, trip_id)


@post("/trips/import", sync_to_thread=True, status_code=200, summary="Import a day manifest (a body of CSV text)")
def import_trips(parts: Given, body: RawBody) -> ImportReport:
    """The same rows a second time change nothing. The columns are described in docs/operations.md, Manifest."""
    with parts.db() as db:
        report = manifest.import_csv(db, body, zone=parts.settings.zone, now=parts.now(), who=parts.who)
    parts.sender.send(report.jobs)
    parts.publisher.publish(*report.events)
    bad = [BadRow(line=row.line, column=row.column, value=row.value, expected=row.expected) for row in report.bad]
    return ImportReport(added=report.added, unchanged=report.unchanged, bad=bad)


def tidy_ref(given: str | None) -> str | None:
    """A trip number that somebody gives; a manifest's own stay as the file has them. Raises InputError."""
    return typed.name(given, "ref") if given else None


def read(parts: Parts, trip_id: int) -> TripWithEvents:
    """The trip as it stands now. Raises NotFound."""
    with parts.db() as db:
        row = board.trip(db, trip_id)
        if row is None:
            raise unknown(trip_id)
        events = [make(TripEvent, names.hide(parts, found, "note")) for found in board.trip_events(db, trip_id)]
    return make(TripWithEvents, names.of_trip(parts, row), events=events)


def say(parts: Parts, trip_id: int, data: NewEvent) -> Outcome:
    """What a person says of a trip, with what follows from it; the outcome says whether it fits. Raises NotFound, and
    Refused where the trip was changed since, or its return leg cannot be cancelled."""
    now = parts.now()
    with parts.db() as db:
        if not board.trip_exists(db, trip_id):
            raise unknown(trip_id)
        with write_tx(db) as tx:
            dispatch.must_be(tx, trip_id, data.version)
            outcome = dispatch.apply(
                tx,
                trip_id,
                data.event,
                at=data.at or now,
                now=now,
                source=data.source,
                who=parts.who,
                settle_s=parts.settings.billing.settle_s,
                contact_attempts=data.contact_attempts,
                waited_s=data.waited_s,
                vehicle=data.vehicle,
                driver=data.driver,
                cancelled_by=data.cancelled_by,
                note=data.note,
            )
            returns: list[Outcome] = []
            if outcome.accepted and data.return_leg == "cancel" and data.event in ENDINGS:
                returns = legs.cancel_returns(tx, trip_id, by=data.cancelled_by, now=now, who=parts.who, note=data.note)
    tell(parts, trip_id, outcome)
    for other in returns:
        tell(parts, None, other)
    return outcome


def enter(parts: Parts, trip_id: int, data: Stamps) -> Outcome:
    """The times that a person enters or corrects, with what follows. Raises NotFound, and Refused by the step."""
    said = {step: at for step in STEPS if (at := getattr(data, STAMPS[step])) is not None}
    with parts.db() as db, write_tx(db) as tx:
        dispatch.must_be(tx, trip_id, data.version)
        outcome = corrections.correct(
            tx,
            trip_id,
            said,
            now=parts.now(),
            who=parts.who,
            settle_s=parts.settings.billing.settle_s,
            note=data.note,
        )
    tell(parts, trip_id, outcome)
    return outcome


def tell(parts: Parts, trip_id: int | None, outcome: Outcome) -> None:
    """What follows from an event, after the commit; with a `trip_id` also for those who follow that trip."""
    parts.sender.send(outcome.jobs)
    parts.publisher.publish(*outcome.events)
    if trip_id is not None and outcome.accepted and outcome.state:
        parts.sender.broadcast_status(trip_id, outcome.state)


def unknown(trip_id: int) -> NotFound:
    return NotFound("no such trip", subject=f"trip {trip_id}")


def local_day(parts: Parts, day: date) -> tuple[datetime, datetime]:
    """Begin and end of a day in the depot's zone; 23 or 25 hours apart when the clocks change. Raises InputError."""
    typed.of_this_age("day", day)
    zone = parts.settings.zone
    begin, end = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
    return begin, end


HANDLERS: list[Any] = [
    list_trips,
    get_trip,
    trip_trail,
    create_trip,
    add_event,
    set_stamps,
    list_choices,
    release_trip,
    list_unbilled,
    ask_for_invoice,
    import_trips,
]
