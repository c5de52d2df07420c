"""An hour that is over, as it can be shown again: where each vehicle was, thinned in time, and on which trip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct
from sqlite_utils import Database

from appliance import typed
from appliance.completion import limits
from appliance.config import Settings
from appliance.domain.fix import Fix
from appliance.domain.trail import clean, distance_m
from appliance.errors import InputError, NotFound
from appliance.storage import board, devices, overruled, times
from appliance.storage.db import Row
from appliance.storage.gps import Store
from appliance.storage.gps_rows import day_of

LONGEST = timedelta(hours=1)
MOST_POINTS = 40_000
"""In one answer, over all vehicles: with more of them, positions stand further apart."""
SAME_SPOT_M = 5.0
STANDING_S = 30.0
"""Of a vehicle that stands, so often a position is kept: a longer pause means that nothing was heard."""

Point = tuple[float, float, float, float | None, float | None]
"""Seconds since the start, latitude, longitude, km/h, degrees clockwise from north."""


class Ride(Struct, frozen=True, kw_only=True):
    """A trip that was under way: from setting out to its end as far as stamped; `ended` is null while it runs."""

    trip: int
    ref: str | None
    driver: str | None
    began: datetime
    ended: datetime | None


class PastVehicle(Struct, frozen=True, kw_only=True):
    """Where a vehicle was: at most one position in `step_s`, and fewer while it stood. `points` are
    [seconds since the start, latitude, longitude, km/h or null, heading or null]."""

    code: str
    name: str
    points: list[Point]
    rides: list[Ride]


class PastHour(Struct, frozen=True, kw_only=True):
    """`stale_s`, `silent_s`: after such a pause a vehicle was stale, or silent. Of `damaged_days` a part is missing."""

    start: datetime
    end: datetime
    step_s: int
    stale_s: float
    silent_s: float
    vehicles: list[PastVehicle]
    damaged_days: list[date]


def read(
    db: Database, store: Store, settings: Settings, start: datetime, length: timedelta, code: str | None, now: datetime
) -> PastHour:
    """All vehicles in service, or the one with that code. Raises NotFound, and InputError where it is no such time."""
    if start.tzinfo is None:
        raise InputError("expected a time with a zone", subject="start", hint="for example 2026-01-26T15:00:00Z")
    typed.of_this_age("start", start)
    if start > now:
        raise InputError("that time has not come yet", subject="start")
    if not timedelta(0) < length <= LONGEST:
        raise InputError(f"expected at most {LONGEST // timedelta(minutes=1)} minutes", subject="minutes")
    start = start.astimezone(UTC)
    end = start + length
    chosen = board.vehicles(db) if code is None else _one(db, code)
    step_s = max(1, math.ceil(len(chosen) * length.total_seconds() / MOST_POINTS))
    sources = {row["id"]: devices.position_sources(db, row["id"], start, end) for row in chosen}
    fixes = store.sampled(sources, step_s)
    rides = board.rides(db, start, end)
    return PastHour(
        start=start,
        end=end,
        step_s=step_s,
        stale_s=settings.limits.stale_s,
        silent_s=settings.limits.silent_s,
        vehicles=[
            PastVehicle(
                code=row["code"],
                name=row["name"],
                points=_points(_believed(db, settings, row["id"], fixes.get(row["id"], []), start, end), start),
                rides=[_ride(ride) for ride in rides if ride["vehicle_id"] == row["id"]],
            )
            for row in chosen
        ],
        damaged_days=sorted({*store.damaged_days()} & {day_of(start), day_of(end)}),
    )


def _one(db: Database, code: str) -> list[Row]:
    """In service or not: its history stays readable."""
    found = board.vehicle(db, code)
    if found is None:
        raise NotFound("no such vehicle", subject=code)
    return [found]


def _believed(
    db: Database, settings: Settings, vehicle: int, fixes: Sequence[Fix], start: datetime, end: datetime
) -> list[Fix]:
    return clean(fixes, limits(settings), overruled.between(db, vehicle, start, end))[0]


def _points(fixes: Sequence[Fix], start: datetime) -> list[Point]:
    """Without what adds nothing: a vehicle that stands keeps one position in `STANDING_S`, and the last of them."""
    kept: list[Fix] = []
    for index, fix in enumerate(fixes):
        after = fixes[index + 1] if index + 1 < len(fixes) else None
        if not (kept and after and _stands(kept[-1], fix, after)):
            kept.append(fix)
    return [
        (
            round((fix.at - start).total_seconds(), 1),
            round(fix.lat, 6),
            round(fix.lon, 6),
            fix.speed_kmh,
            fix.heading_deg,
        )
        for fix in kept
    ]


def _stands(kept: Fix, fix: Fix, after: Fix) -> bool:
    """Whether a vehicle was on the spot before and after a fix, and is heard often enough without it."""
    soon = (after.at - kept.at).total_seconds() <= STANDING_S
    return soon and _same_spot(kept, fix) and _same_spot(kept, after)


def _same_spot(one: Fix, other: Fix) -> bool:
    return distance_m(one.lat, one.lon, other.lat, other.lon) <= SAME_SPOT_M


def _ride(row: Row) -> Ride:
    return Ride(
        trip=row["id"],
        ref=row["ref"],
        driver=row["driver_name"],
        began=times.parse(row["began"]),
        ended=times.parse_or_none(row["ended"]),
    )
