"""Trails: the fixes of a vehicle as GeoJSON, without those that cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated

from litestar.params import QueryParameter
from sqlite_utils import Database

from appliance.completion import limits
from appliance.config import Settings
from appliance.domain.fix import Fix
from appliance.domain.trail import clean
from appliance.errors import InputError
from appliance.storage import devices
from appliance.storage.gps import Store
from appliance.storage.times import text
from web.api.answers import Feature, LineString, Point, Trail

GEO_JSON = "application/geo+json"
MOST_FIXES = 250_000

WithPoints = Annotated[bool, QueryParameter(name="points", description="false: the line alone")]
EveryS = Annotated[float, QueryParameter(ge=0, le=3600, description="leave out fixes that follow sooner than this")]


def read(
    db: Database,
    store: Store,
    settings: Settings,
    vehicle: int,
    start: datetime,
    end: datetime,
    *,
    points: bool = True,
    every_s: float = 0.0,
) -> Trail:
    """The trail of a vehicle's position source of that time, between two times. Outliers are left out, as for the bill.

    Without `points` it is the line alone; with `every_s` fixes that follow sooner than that are left out of the answer.
    Raises InputError when the span holds more than `MOST_FIXES`.
    """
    source = devices.position_source_at(db, vehicle, end)
    fixes: list[Fix] = []
    for day in store.days():
        begin = datetime.combine(day, time(), UTC)
        first, last = max(start, begin), min(end, begin + timedelta(days=1, milliseconds=-1))
        if first <= last:
            fixes += store.trail(vehicle, source, first, last)
        if len(fixes) > MOST_FIXES:
            raise InputError(f"there are more than {MOST_FIXES} fixes", subject="start, end", hint="ask for less time")
    kept, _outliers = clean(fixes, limits(settings))
    return geojson(_thinned(kept, every_s), points=points)


def geojson(fixes: Sequence[Fix], *, points: bool = True) -> Trail:
    """The fixes as a line and points; no line below two fixes."""
    places = [(round(fix.lon, 6), round(fix.lat, 6)) for fix in fixes]
    features = [Feature(LineString(places), {"fixes": len(places)})] if len(places) > 1 else []
    if points:
        features += [
            Feature(Point(place), {"at": text(fix.at), "speed_kmh": fix.speed_kmh, "heading_deg": fix.heading_deg})
            for fix, place in zip(fixes, places, strict=True)
        ]
    return Trail(features)


def _thinned(fixes: Sequence[Fix], every_s: float) -> list[Fix]:
    """Fixes at least so far apart in time; the last one stays, because that is where the vehicle is."""
    kept: list[Fix] = []
    for fix in fixes:
        if not kept or (fix.at - kept[-1].at).total_seconds() >= every_s:
            kept.append(fix)
    if fixes and kept[-1] is not fixes[-1]:
        kept.append(fixes[-1])
    return kept
