"""The driver's buttons: a trip event from a vehicle, applied and answered (design section 8)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlite_utils import Database

from appliance import clock, dispatch
from appliance.config import Settings
from appliance.dispatch import Outcome
from appliance.domain.fix import OLDEST
from appliance.domain.trip import DRIVER_EVENTS, Event
from appliance.storage import trips, vehicles
from appliance.storage.db import Tx, write_tx

_NEWEST = datetime(9999, 1, 1, tzinfo=UTC)


class Button(msgspec.Struct, frozen=True):
    """What a device sends on `vehicles/<v>/trip`; `at` is ISO 8601 with its zone. The bounds are what can be stored:
    an event that could not be would come again and again."""

    event_id: Annotated[str, Meta(min_length=1, max_length=200)]
    trip_id: Annotated[int, Meta(ge=1, lt=2**53)]
    event: str
    at: datetime
    odometer_km: Annotated[float, Meta(ge=0, le=10_000_000)] | None = None
    contact_attempts: Annotated[int, Meta(ge=0, le=1000)] = 0
    waited_s: Annotated[float, Meta(ge=0)] = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the device is told, after the commit, and what followed inside the box."""

    payload: bytes
    outcome: Outcome
    trip_id: int | None = None
    event: str | None = None


def press(db: Database, settings: Settings, vehicle: str, payload: bytes) -> Reply:
    """Applies one event durably and returns the reply. Bad input is answered with what was expected; the same
    event again gets the same answer."""
    try:
        button = msgspec.json.decode(payload, type=Button)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _reply(_event_id(payload), Outcome(False, f"not understood: {error}".replace("`", ""), None))
    now = clock.now()
    with write_tx(db) as tx:
        refused = _refused(tx, settings, vehicle, button, now)
        if refused:
            return _reply(button.event_id, Outcome(False, refused, None), button)
        outcome = dispatch.apply(
            tx,
            button.trip_id,
            Event(button.event),
            at=button.at,
            now=now,
            source="driver",
            who=vehicle,
            settle_s=settings.billing.settle_s,
            event_id=_known_as(vehicle, button.event_id),
            contact_attempts=button.contact_attempts,
            waited_s=button.waited_s,
            odometer_km=button.odometer_km,
            check_time=False,  # done, by the configured limits and what the clock is worth
        )
    return _reply(button.event_id, outcome, button)


def _refused(tx: Tx, settings: Settings, vehicle: str, button: Button, now: datetime) -> str | None:
    """Why the event cannot be this vehicle's, or None."""
    if button.at.tzinfo is None:
        return "expected a time with its zone in at"
    if button.event not in DRIVER_EVENTS:
        return f"expected one of {', '.join(sorted(DRIVER_EVENTS))} in event"
    if trips.event(tx, _known_as(vehicle, button.event_id)):
        return None  # answered as it was, also when the trip has gone to another vehicle since
    oldest, newest = OLDEST, _NEWEST
    if clock.trusted(settings):
        oldest = now - timedelta(days=settings.retention.gps_days)
        newest = now + timedelta(seconds=settings.limits.future_s)
    if button.at > newest:
        return "the time in at is in the future"
    if button.at < oldest:
        return "the time in at is too long ago"
    trip, found = trips.get(tx, button.trip_id), vehicles.by_code(tx, vehicle)
    if trip is None or found is None or trip["vehicle_id"] != found["id"]:
        return f"trip {button.trip_id} is not assigned to this vehicle"
    return None


def _known_as(vehicle: str, event_id: str) -> str:
    """Each vehicle has ids of its own: two tablets that count 1, 2, 3 do not get into each other's way."""
    return f"{vehicle}/{event_id}"


def _reply(event_id: str | None, outcome: Outcome, button: Button | None = None) -> Reply:
    body: dict[str, Any] = {"event_id": event_id, "accepted": outcome.accepted}
    if outcome.reason:
        body["reason"] = outcome.reason
    known = (button.trip_id, button.event if button.event in DRIVER_EVENTS else None) if button else (None, None)
    return Reply(msgspec.json.encode(body), outcome, *known)


def _event_id(payload: bytes) -> str | None:
    """The event id of an event that is wrong otherwise, so that the device knows which one."""
    try:
        body = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = body.get("event_id") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None
