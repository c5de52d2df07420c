"""Closing a completed trip: its trail is measured, and the invoice is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlite_utils import Database

from appliance import billing, dispatch, jobs
from appliance.config import Settings
from appliance.domain import trail
from appliance.domain.fare import Blocked
from appliance.domain.fix import Fix, Limits
from appliance.domain.thinning import thinned
from appliance.domain.trail import Trail
from appliance.domain.trip import State
from appliance.errors import NotFound
from appliance.events import Event
from appliance.storage import devices, gps, notifications, overruled, times, trips
from appliance.storage.db import Tx

LONGEST_TRAIL = 5000
"""Points of a trail in a row of the protocol."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What followed from closing a trip; send and publish after the commit."""

    asks: list[jobs.Ask]
    events: list[Event]


def limits(settings: Settings) -> Limits:
    """The plausibility limits of the configuration, as the domain knows them."""
    return Limits(
        future_s=settings.limits.future_s,
        max_age_days=settings.retention.gps_days,
        accuracy_m=settings.limits.accuracy_m,
        implied_speed_kmh=settings.limits.implied_speed_kmh,
    )


def measure(db: Database, store: gps.Store, trip_id: int, settings: Settings) -> Trail | None:
    """The trail of a completed trip, from boarding (or the first stamp there is) to arrival at drop-off (or
    completion), by the fixes of what was the vehicle's position source at their time; its line as thin as it leaves the
    box. None while the trip is not completed."""
    found = trips.get(db, trip_id)
    if found is None:
        raise NotFound("no such trip", subject=f"trip {trip_id}")
    if found["state"] != State.completed:
        return None
    start, end = trips.window(found)
    vehicle = found["vehicle_id"]
    sources = devices.position_sources(db, vehicle, start, end)
    fixes = [fix for source in sources for fix in store.trail(vehicle, source.device, source.start, source.end)]
    measured = trail.close(fixes, start, end, limits(settings), overruled.between(db, vehicle, start, end))
    return replace(measured, line=_thinned(measured.line, tolerance_m(settings)))


def tolerance_m(settings: Settings) -> float:
    """To within what a trip's trail leaves the box, metres; 0 where none does: a box that works alone keeps no trail
    for longer than its fixes."""
    return settings.upstream.trail_tolerance_m if settings.upstream.url else 0.0


def _thinned(line: Sequence[Fix], tolerance_m: float) -> list[Fix]:
    """No longer than a row of the protocol can be: what is, is thinned further."""
    if not tolerance_m:
        return []
    found = thinned(line, tolerance_m)
    while len(found) > LONGEST_TRAIL:
        tolerance_m *= 2
        found = thinned(line, tolerance_m)
    return found


def close(tx: Tx, trip_id: int, measured: Trail, settings: Settings, now: datetime) -> Closed:
    """Writes the measured trail to the trip and asks for its invoice. A trip that is
    invoiced already gets an adjustment for a person to accept, where the price would be another. One that was reopened
    since it was measured is left alone; one without two fixes has no distance, which is not a distance of 0."""
    found = trips.get(tx, trip_id)
    if found is None or found["state"] != State.completed:
        return Closed([], [])
    trips.change(
        tx,
        trip_id,
        now,
        distance_m=round(measured.distance_m, 1) if measured.fixes > 1 else None,
        duration_s=measured.duration_s,
        stops=measured.stops,
        fixes=measured.fixes,
        completeness=measured.completeness,
        trail_closed_at=times.text(now),
    )
    if len(measured.line) > 1:
        points = [(round(fix.lon, 6), round(fix.lat, 6), int(fix.at.timestamp())) for fix in measured.line]
        trips.log_trail(tx, trip_id, tolerance_m(settings), points, now)
    covered = f", {measured.completeness:.0%} of the time covered" if measured.fixes > 1 else ""
    said = f"Trip {trip_id} is completed: {measured.distance_m / 1000:.1f} km{covered}."
    notifications.tell_role(tx, "dispatcher", "trip_completed", said, f"completed:{trip_id}", now)
    # A void invoice is replaced when a person asks for it.
    billed = billing.adjust(tx, trip_id, settings, now) or found["unbilled_reason"] == Blocked.voided
    asks = [] if billed else [dispatch.ask_for_invoice(tx, trip_id, now=now)]
    return Closed(asks, [Event("trip", str(trip_id), {"id": trip_id, "state": State.completed.value})])
