"""Trips as people and drivers move them: creating one, and applying an event with all that follows from it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from appliance import jobs, typed, versions
from appliance.domain import trip
from appliance.domain.trip import CancelledBy, Event, LevelOfService, State
from appliance.errors import InputError, NotFound
from appliance.events import Event as LiveEvent
from appliance.storage import invoices, payers, people, times, trips, vehicles
from appliance.storage.db import Row, Tx

FUTURE = timedelta(minutes=5)
"""How far a clock may run ahead of the box's own; an event beyond it is refused."""
READY_AHEAD = timedelta(days=1)
"""How far ahead a patient may say when they will be ready, and how far back that may be entered."""

Source = Literal["driver", "dispatcher", "phone", "import", "system"]


class NewTrip(msgspec.Struct, frozen=True, kw_only=True):
    """A trip to be made. `driver` and `vehicle` are codes, `payer` and `patient` names; times are aware. A return leg
    names its outbound trip."""

    pickup_at: datetime
    pickup_address: str
    dropoff_address: str
    level: str = LevelOfService.ambulatory.value
    ref: str | None = None
    payer: str | None = None
    patient: str | None = None
    appointment_at: datetime | None = None
    pickup_lat: float | None = None
    pickup_lon: float | None = None
    dropoff_lat: float | None = None
    dropoff_lon: float | None = None
    driver: str | None = None
    vehicle: str | None = None
    will_call: bool = False
    outbound_trip_id: int | None = None
    notes: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What became of an event: jobs to send and live events to publish, after the commit. `about` names what a refusal
    is about, where it is one thing that was said: `at`, `vehicle`, `driver`, `contact_attempts`, `waited`."""

    accepted: bool
    reason: str | None
    state: str | None
    jobs: list[jobs.Ask] = []
    events: list[LiveEvent] = []
    about: str = ""


class Created(msgspec.Struct, frozen=True):
    """A trip that was made: jobs to send and live events to publish, after the commit."""

    id: int
    jobs: list[jobs.Ask]
    events: list[LiveEvent]


def create_trip(tx: Tx, new: NewTrip, *, now: datetime, who: str) -> Created:
    """Makes a trip; with a vehicle it is assigned at once.

    An unknown patient is added. Raises InputError or NotFound, naming the field.
    """
    for name, at in (("pickup_at", new.pickup_at), ("appointment_at", new.appointment_at)):
        typed.near(name, at, now)
    if new.driver and not new.vehicle:
        raise InputError("a driver is given together with a vehicle", subject=f"driver {new.driver!r}")
    if new.outbound_trip_id is not None and trips.get(tx, new.outbound_trip_id) is None:
        raise NotFound("no such trip", subject=f"outbound_trip_id {new.outbound_trip_id}")
    pickup_address, dropoff_address = (
        address(name, given)
        for name, given in (("pickup_address", new.pickup_address), ("dropoff_address", new.dropoff_address))
    )
    level, payer_id = known_level(new.level), known_payer(tx, new.payer)
    patient_id = patient_of(tx, new.patient, now)
    if payer_id is None and patient_id is not None and (payer := payers.of_patient(tx, patient_id)):
        payer_id = payer["id"]
    if new.ref and trips.of_payer(tx, payer_id, new.ref):
        raise InputError("there is already a trip with this number", subject=f"ref {new.ref!r}")
    state = State.will_call if new.will_call else State.scheduled
    id = trips.add(
        tx,
        now,
        state=state.value,
        level=level,
        ref=new.ref,
        payer_id=payer_id,
        patient_id=patient_id,
        pickup_at=times.text(new.pickup_at),
        appointment_at=times.text(new.appointment_at) if new.appointment_at else None,
        pickup_address=pickup_address,
        dropoff_address=dropoff_address,
        pickup_lat=new.pickup_lat,
        pickup_lon=new.pickup_lon,
        dropoff_lat=new.dropoff_lat,
        dropoff_lon=new.dropoff_lon,
        outbound_trip_id=new.outbound_trip_id,
        notes=new.notes,
    )
    if not new.vehicle:
        return Created(id, [], [LiveEvent("trip", str(id), {"id": id, "state": state.value})])
    outcome = apply(
        tx, id, Event.assign, at=now, now=now, source="dispatcher", who=who, vehicle=new.vehicle, driver=new.driver
    )
    if not outcome.accepted:
        raise InputError(outcome.reason or "refused", subject=f"vehicle {new.vehicle!r}")
    return Created(id, outcome.jobs, outcome.events)


def address(name: str, given: str) -> str:
    """An address as it was given. Raises InputError where it is none."""
    if not given.strip() or "\0" in given:
        raise InputError("expected a text", subject=name)
    return given


def known_level(given: str) -> str:
    """A level of service by its word. Raises InputError."""
    if given not in list(LevelOfService):
        raise InputError(f"expected one of {', '.join(LevelOfService)}", subject=f"level {given!r}")
    return given


def known_payer(tx: Tx, name: str | None) -> int | None:
    """The id of a payer by its name. Raises NotFound."""
    payer = payers.by_name(tx, name) if name else None
    if name and payer is None:
        raise NotFound("no such payer", subject=f"payer {name!r}")
    return payer["id"] if payer else None


def patient_of(tx: Tx, name: str | None, now: datetime) -> int | None:
    """The id of a patient by name, however it is written; one who is not known is added. Raises InputError for what is
    no name."""
    if not name:
        return None
    if exactly := people.patient_by_name(tx, name):
        return int(exactly["id"])
    tidy = typed.name(name, "patient")
    known = people.patient_by_name(tx, tidy) or people.patient_written_otherwise(tx, tidy)
    return known["id"] if known else people.add_patient(tx, tidy, now)


def must_be(tx: Tx, trip_id: int, version: int | None) -> None:
    """Raises Outdated where the trip is not as somebody saw it who decides now. `None`: they did not say."""
    found = trips.get(tx, trip_id)
    if found is not None:
        state = trip.STATE_WORDS[State(found["state"])]
        versions.must_be(
            found, version, f"trip {trip_id}", lambda: f"the trip was changed meanwhile; it is {state} now"
        )


def apply(
    tx: Tx,
    trip_id: int,
    event: Event,
    *,
    at: datetime,
    now: datetime,
    source: Source,
    who: str,
    settle_s: float = 0.0,
    event_id: str | None = None,
    contact_attempts: int = 0,
    waited_s: float = 0.0,
    vehicle: str | None = None,
    driver: str | None = None,
    odometer_km: float | None = None,
    cancelled_by: CancelledBy | None = None,
    note: str = "",
    check_time: bool = True,
) -> Outcome:
    """Applies one event to a trip and writes its event row; a refused event is written too, with its reason.

    The same `event_id` again changes nothing and has the same answer; another event under it is refused. `at` is when
    it happened (of a will-call: when the patient is ready, which may come), `now` when the box learned of it. With
    `completed` the trip's closing is asked for, due after `settle_s`. Refusals do not raise; an `at` of another age
    does (InputError), unless who asks has checked it.
    """
    if check_time:
        typed.near("at", at, now)
    if event_id is not None and (known := trips.event(tx, event_id)):
        if known["event"] != event or known["trip_id"] not in (trip_id, None):
            return Outcome(False, "another event was sent under this event_id", None)
        return Outcome(bool(known["accepted"]), known["reason"], known["to_state"])
    found = trips.get(tx, trip_id)
    state = State(found["state"]) if found else None
    columns: dict[str, Any] = {}
    reason: str | None = None
    about = ""
    after = state
    if found is None or state is None:
        reason = "there is no such trip"
    else:
        try:
            if check_time and at > now + (READY_AHEAD if event is Event.ready else FUTURE):
                raise trip.Refusal("the time is in the future", "at")
            if check_time and event is Event.ready and at < now - READY_AHEAD:
                raise trip.Refusal("the time is more than a day ago", "at")
            if early := trip.too_early(event, at, times.parse(found["pickup_at"])):
                raise trip.Refusal(early, "at")
            after_boarding = event in (Event.arrived_dropoff, Event.completed)
            if after_boarding and found["on_board_at"] and at < times.parse(found["on_board_at"]):
                raise trip.Refusal("the time is before the patient was on board", "at")
            left_at = times.parse_or_none(found["arrived_dropoff_at"])
            if event is Event.on_board and left_at and at > left_at:
                raise trip.Refusal("the time is after the arrival at the drop-off", "at")
            after = trip.advance(state, event)
            columns = dict.fromkeys(trip.cleared(state, event))
            columns |= _columns(tx, found, event, at, contact_attempts, waited_s, vehicle, driver)
            stamp = trip.STAMPS.get(event, "")
            if source == "driver" and stamp and found[stamp]:
                columns[stamp] = min(found[stamp], times.text(at))  # the first press counts; a dispatcher corrects
            if event is Event.cancel:
                columns["cancelled_by"] = cancelled_by
            if event is Event.no_show:
                waited_min = int((_waited_s(found, at, waited_s) or 0) // 60)
                note = f"called {contact_attempts} times, waited {waited_min} min" + (f"; {note}" if note else "")
        except trip.Refusal as refusal:
            reason, about, after = refusal.reason, refusal.about, state
    trips.add_event(
        tx,
        now,
        trip_id=found["id"] if found else None,
        event_id=event_id,
        event=event.value,
        at=times.text(at),
        from_state=state,
        to_state=after,
        accepted=int(reason is None),
        reason=reason,
        source=source,
        who=who,
        odometer_km=odometer_km,
        note=note,
    )
    if reason is not None or found is None or after is None:
        return Outcome(False, reason, state, about=about)
    trips.change(tx, trip_id, now, state=after.value, **columns)
    asks = []
    if event is Event.completed:
        # A driver's clock may run ahead: the settling time begins when the box has reached the stamped time, too.
        ahead_s = max(0.0, (at - now).total_seconds())
        asks.append(ask_to_close(tx, trip_id, now=now, delay_s=settle_s + ahead_s))
    if event is Event.no_show:
        asks.append(ask_for_invoice(tx, trip_id, now=now))
    live = [LiveEvent("trip", str(trip_id), {"id": trip_id, "state": after.value})]
    if event is Event.assign and columns["driver_id"]:
        asks.append(
            jobs.enqueue(
                tx,
                "users.tasks.send_trip_assignment_notification",
                now=now,
                trip_id=trip_id,
                driver_id=columns["driver_id"],
            )
        )
    codes = {vehicle, vehicles.code_of(tx, found["vehicle_id"])}
    live += [LiveEvent("assignment", code, {}) for code in sorted(code for code in codes if code)]
    return Outcome(True, None, after.value, asks, live)


def completion_key(trip_id: int) -> str:
    """The key of the job that closes a trip."""
    return f"completion:{trip_id}"


def invoice_key(trip_id: int) -> str:
    """The key of the job that bills a trip."""
    return f"invoice:{trip_id}"


def ask_to_close(tx: Tx, trip_id: int, *, now: datetime, delay_s: float) -> jobs.Ask:
    """Asks for the trip's trail to be closed (again): one job waits at a time, however often it is asked for."""
    return jobs.enqueue(
        tx,
        "trips.tasks.process_trip_completion",
        now=now,
        delay_s=delay_s,
        key=completion_key(trip_id),
        trip_id=trip_id,
    )


def ask_for_invoice(tx: Tx, trip_id: int, *, now: datetime) -> jobs.Ask:
    """Asks for the trip's invoice: one job waits at a time, however often it is asked for."""
    return jobs.enqueue(tx, "billing.tasks.generate_invoice", now=now, key=invoice_key(trip_id), trip_id=trip_id)


def _columns(
    tx: Tx,
    found: Row,
    event: Event,
    at: datetime,
    contact_attempts: int,
    waited_s: float,
    vehicle: str | None,
    driver: str | None,
) -> dict[str, Any]:
    """What an allowed event sets on the trip besides its state. Raises Refusal."""
    columns: dict[str, Any] = {}
    if event in trip.STAMPS:
        columns[trip.STAMPS[event]] = times.text(at)
    if event is Event.reopen:
        if invoices.live_of_trip(tx, found["id"]):
            raise trip.Refusal("the trip is invoiced; void the invoice before it is reopened")
        columns |= dict.fromkeys(("released_at", "unbilled_reason", "cancelled_by", *trips.MEASURED_COLUMNS))
    if event is Event.ready:
        columns["pickup_at"] = times.text(at)
    if event is Event.no_show:
        if found["on_board_at"] or found["arrived_dropoff_at"]:
            raise trip.Refusal("the patient was on board")
        waited = _waited_s(found, at, waited_s)
        if said := trip.no_show_allowed(contact_attempts, waited, trip.NoShowRule()):
            raise trip.Refusal(
                said, "waited" if contact_attempts >= trip.NoShowRule().contact_attempts else "contact_attempts"
            )
        columns["contact_attempts"] = contact_attempts
    if event is Event.unassign or (event is Event.reopen and found["state"] != State.completed):
        columns |= {"vehicle_id": None, "driver_id": None}
    if event is Event.assign:
        columns |= _assignment(tx, found, vehicle, driver)
    return columns


def _waited_s(found: Row, at: datetime, told_s: float) -> float | None:
    """How long the vehicle has waited: since its arrival where that is stamped, else as it was told."""
    arrived = times.parse_or_none(found["arrived_pickup_at"])
    return (at - arrived).total_seconds() if arrived else told_s or None


def _assignment(tx: Tx, found: Row, vehicle: str | None, driver: str | None) -> dict[str, Any]:
    chosen = vehicles.by_code(tx, vehicle) if vehicle else None
    if chosen is None or chosen["disabled_at"]:
        raise trip.Refusal(f"there is no vehicle {vehicle!r}", "vehicle")
    if not trip.carries([LevelOfService(level) for level in chosen["levels"].split()], LevelOfService(found["level"])):
        raise trip.Refusal(f"vehicle {vehicle} is not fitted for {found['level']}", "vehicle")
    person = people.driver_by_code(tx, driver) if driver else None
    if driver and (person is None or person["disabled_at"]):
        raise trip.Refusal(f"there is no driver {driver!r}", "driver")
    if person and person["unavailable_at"]:
        raise trip.Refusal(f"driver {driver} is unavailable", "driver")
    return {"vehicle_id": chosen["id"], "driver_id": person["id"] if person else None}
