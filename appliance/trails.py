"""Where a vehicle drove, for people and programs: of a vehicle over a time, or of a trip."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import product

from msgspec import Struct
from sqlite_utils import Database

from appliance import typed
from appliance.completion import limits
from appliance.config import Settings
from appliance.domain.fix import Fix, Reason
from appliance.domain.thinning import thinned
from appliance.domain.trail import Stop, clean, stops, why_out
from appliance.domain.trip import State
from appliance.errors import InputError, NotFound, Permanent
from appliance.storage import board, devices, overruled, trips
from appliance.storage.gps import Store
from appliance.storage.times import parse

MOST_FIXES = 250_000
"""In one answer: it bounds the memory that one takes (about 100 MB) and its time."""


@dataclass(frozen=True, slots=True)
class Track:
    """A trail to show or to hand out: fixes in time order, outliers left out, and the stops among them.

    `damaged_days` are the UTC days of which a part cannot be read and so is missing.
    """

    name: str
    fixes: list[Fix]
    stops: list[Stop]
    damaged_days: list[date]


@dataclass(frozen=True, slots=True)
class Ride:
    """From when to when a trip was driven, its fixes in time order, and what the others contradict."""

    start: datetime
    end: datetime
    fixes: list[Fix]
    outliers: list[Outlier]
    damaged_days: list[date]


class Outlier(Struct, frozen=True, kw_only=True):
    """A fix that the others contradict; `value` is the implied speed, `bound` what would have been believed.
    `overruled_by` is who keeps it in the trail all the same."""

    at: datetime
    lat: float
    lon: float
    speed_kmh: float | None
    reason: Reason
    value: str
    bound: str
    overruled_by: str | None


def of_vehicle(
    db: Database,
    store: Store,
    settings: Settings,
    code: str,
    start: datetime,
    end: datetime,
    *,
    tolerance_m: float | None = None,
) -> Track:
    """The trail of a vehicle, by what was its position source at each time; start and end are included.

    With a tolerance it is thinned (`domain/thinning.py`). Raises NotFound, and InputError where the times name no span
    or the span holds more than `MOST_FIXES`.
    """
    check_span(start, end)
    vehicle = board.vehicle_id(db, code)
    if vehicle is None:
        raise NotFound("no such vehicle", subject=code)
    return _track(db, store, settings, code, vehicle, start, end, tolerance_m)


def of_trip(
    db: Database,
    store: Store,
    settings: Settings,
    trip_id: int,
    now: datetime,
    *,
    tolerance_m: float | None = None,
) -> Track:
    """The ride that is billed, up to now while it runs; empty before the trip starts and where it never did."""
    ride, name = _ride(db, trip_id, now), f"trip-{trip_id}"
    return _track(db, store, settings, name, *ride, tolerance_m) if ride else Track(name, [], [], [])


def outliers(db: Database, store: Store, settings: Settings, trip_id: int, now: datetime) -> list[Outlier]:
    """The fixes of the ride that the others contradict, in the order of time, also those that a person keeps in the
    trail. Raises NotFound."""
    found = ride(db, store, settings, trip_id, now)
    return found.outliers if found else []


def ride(db: Database, store: Store, settings: Settings, trip_id: int, now: datetime) -> Ride | None:
    """The ride of a trip, up to now while it runs; None before it starts and where it never did. Raises NotFound."""
    driven = _ride(db, trip_id, now)
    if driven is None:
        return None
    fixes, damaged = _read(db, store, *driven)
    kept, found = clean(fixes, limits(settings))
    by = overruled.between(db, *driven)
    out = [
        Outlier(
            at=fix.at,
            lat=fix.lat,
            lon=fix.lon,
            speed_kmh=fix.speed_kmh,
            reason=why.reason,
            value=why.value,
            bound=why.limit,
            overruled_by=by.get(fix.at),
        )
        for fix in found
        for why in [why_out(fix, kept, limits(settings))]
    ]
    return Ride(*driven[1:], kept, out, damaged)


def span(db: Database, trip_id: int, now: datetime) -> tuple[datetime, datetime] | None:
    """From when to when a trip was driven, as `ride`. Raises NotFound."""
    found = _ride(db, trip_id, now)
    return found[1:] if found else None


def check_span(start: datetime, end: datetime) -> None:
    """Raises InputError where two times name no span of this age."""
    for name, at in (("start", start), ("end", end)):
        if at.tzinfo is None:
            raise InputError("expected a time with a zone", subject=name, hint="for example 2026-01-26T15:57:02Z")
        typed.of_this_age(name, at)
    if start > end:
        raise InputError("expected an end that is not before the start", subject="start, end")


def _ride(db: Database, trip_id: int, now: datetime) -> tuple[int, datetime, datetime] | None:
    """The vehicle of a trip's ride, and from when to when it was."""
    row = board.trip(db, trip_id)
    if row is None:
        raise NotFound("no such trip", subject=f"trip {trip_id}")
    if row["vehicle_id"] is None:
        return None
    if row["state"] == State.completed:
        return row["vehicle_id"], *trips.window(row)
    began = row["on_board_at"] or row["arrived_pickup_at"] or row["en_route_at"]
    if not began or row["state"] != State.in_progress:
        return None
    return row["vehicle_id"], parse(began), max(now, parse(began))


def _track(
    db: Database,
    store: Store,
    settings: Settings,
    name: str,
    vehicle: int,
    start: datetime,
    end: datetime,
    tolerance_m: float | None,
) -> Track:
    fixes, damaged = _read(db, store, vehicle, start, end)
    kept, _outliers = clean(fixes, limits(settings), overruled.between(db, vehicle, start, end))
    return Track(name, kept if tolerance_m is None else thinned(kept, tolerance_m), stops(kept), damaged)


def _read(db: Database, store: Store, vehicle: int, start: datetime, end: datetime) -> tuple[list[Fix], list[date]]:
    """The fixes of a vehicle's position sources, and the days of which a part is missing."""
    fixes: list[Fix] = []
    damaged = set()
    days = sorted({*store.days(), *store.damaged_days()})
    for source, day in product(devices.position_sources(db, vehicle, start, end), days):
        begin = datetime.combine(day, time(), UTC)
        first, last = max(source.start, begin), min(source.end, begin + timedelta(days=1, milliseconds=-1))
        if first > last:
            continue
        try:
            fixes += store.trail(vehicle, source.device, first, last)
        except Permanent:
            damaged.add(day)
            fixes += store.trail(vehicle, source.device, first, last, whole=False)
        if len(fixes) > MOST_FIXES:
            raise InputError(f"there are more than {MOST_FIXES} fixes", subject="start, end", hint="ask for less time")
    return fixes, sorted(damaged)
