"""Trails: the fixes of a vehicle as GeoJSON, without those that cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlite_utils import Database

from appliance.completion import limits
from appliance.config import Settings
from appliance.domain.fix import Fix
from appliance.domain.trail import clean
from appliance.storage import devices
from appliance.storage.gps import Store
from appliance.storage.times import text
from web.api.answers import Feature, LineString, Point, Trail

GEO_JSON = "application/geo+json"


def read(db: Database, store: Store, settings: Settings, vehicle: int, start: datetime, end: datetime) -> Trail:
    """The trail of a vehicle's position source between two times, outliers left out as billing leaves them out."""
    source = devices.position_source(db, vehicle)
    fixes = store.trail(vehicle, source["id"] if source else None, start, end)
    kept, _outliers = clean(fixes, limits(settings))
    return geojson(kept)


def geojson(fixes: Sequence[Fix]) -> Trail:
    """The fixes as a line and points; no line below two fixes."""
    places = [(round(fix.lon, 6), round(fix.lat, 6)) for fix in fixes]
    line = [Feature(LineString(places), {"fixes": len(places)})] if len(places) > 1 else []
    points = [
        Feature(Point(place), {"at": text(fix.at), "speed_kmh": fix.speed_kmh, "heading_deg": fix.heading_deg})
        for fix, place in zip(fixes, places, strict=True)
    ]
    return Trail(line + points)
