"""A trail as a file: GeoJSON (RFC 7946), GPX 1.1 (topografix.com/GPX/1/1) or CSV (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec
from msgspec import Struct

from appliance import __version__
from appliance.domain.fix import Fix
from appliance.domain.trail import Stop
from appliance.storage.times import text
from appliance.trails import Track

Format = Literal["geojson", "gpx", "csv"]

MEDIA_TYPES: dict[Format, str] = {
    "geojson": "application/geo+json",
    "gpx": "application/gpx+xml",
    "csv": "text/csv; charset=utf-8",
}

CSV_COLUMNS = (
    "at", "lat", "lon", "speed_kmh", "heading_deg", "accuracy_m", "altitude_m", "odometer_m", "ignition", "battery_pct",
    "format",
)  # fmt: skip

_GPX = "http://www.topografix.com/GPX/1/1"


class LineString(Struct, frozen=True, tag="LineString", tag_field="type"):
    coordinates: list[tuple[float, float]]


class Point(Struct, frozen=True, tag="Point", tag_field="type"):
    coordinates: tuple[float, float]


class Feature(Struct, frozen=True, tag="Feature", tag_field="type"):
    geometry: LineString | Point
    properties: dict[str, Any]


class TrailStop(Struct, frozen=True, kw_only=True):
    """120 s or more within 50 m; the place is in WGS 84 degrees."""

    lat: float
    lon: float
    start: datetime
    end: datetime
    duration_s: float


class Trail(Struct, frozen=True, tag="FeatureCollection", tag_field="type"):
    """GeoJSON (RFC 7946): one LineString when there are two fixes or more, then a Point for each fix in time order,
    with `at`, `speed_kmh` and `heading_deg`. `stops` are those of the whole trail, also where it was thinned; of
    `damaged_days` (UTC) a part is missing."""

    features: list[Feature]
    stops: list[TrailStop]
    damaged_days: list[date]


def geojson(track: Track, *, points: bool = True) -> Trail:
    """The fixes as a line and points; no line below two fixes."""
    places = [(round(fix.lon, 6), round(fix.lat, 6)) for fix in track.fixes]
    features = [Feature(LineString(places), {"fixes": len(places)})] if len(places) > 1 else []
    if points:
        features += [
            Feature(Point(place), {"at": text(fix.at), "speed_kmh": fix.speed_kmh, "heading_deg": fix.heading_deg})
            for fix, place in zip(track.fixes, places, strict=True)
        ]
    found = [
        TrailStop(
            lat=round(stop.lat, 6), lon=round(stop.lon, 6), start=stop.start, end=stop.end, duration_s=stop.duration_s
        )
        for stop in track.stops
    ]
    return Trail(features, found, track.damaged_days)


def written(track: Track, format: Format) -> Iterator[str]:
    """The file, piece by piece."""
    return _WRITERS[format](track)


def _geojson(track: Track) -> Iterator[str]:
    yield msgspec.json.encode(geojson(track)).decode() + "\n"


def _gpx(track: Track) -> Iterator[str]:
    """The stops as waypoints, the fixes as one segment. GPX 1.1 has no element for speed or heading."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<gpx version="1.1" creator={quoteattr(f"depotbox {__version__}")} xmlns="{_GPX}">\n'
    for stop in track.stops:
        yield f"<wpt {_place(stop)}><time>{text(stop.start)}</time>"
        yield f"<name>stop</name><desc>{stop.duration_s:.0f} s</desc></wpt>\n"
    yield f"<trk><name>{escape(track.name)}</name><trkseg>\n"
    for fix in track.fixes:
        height = "" if fix.altitude_m is None else f"<ele>{fix.altitude_m:.2f}</ele>"
        yield f"<trkpt {_place(fix)}>{height}<time>{text(fix.at)}</time></trkpt>\n"
    yield "</trkseg></trk>\n</gpx>\n"


def _place(at: Fix | Stop) -> str:
    """Longitudes of GPX end just below 180 degrees, which is -180."""
    lon = round(at.lon, 7)
    return f'lat="{at.lat:.7f}" lon="{-180 if lon == 180 else lon:.7f}"'


def _csv(track: Track) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(CSV_COLUMNS)
    for fix in track.fixes:
        writer.writerow(_cells(fix))
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


def _cells(fix: Fix) -> list[Any]:
    return [
        text(fix.at), f"{fix.lat:.7f}", f"{fix.lon:.7f}", fix.speed_kmh, fix.heading_deg, fix.accuracy_m,
        fix.altitude_m, fix.odometer_m, None if fix.ignition is None else int(fix.ignition), fix.battery_pct,
        fix.format,
    ]  # fmt: skip


_WRITERS: dict[Format, Callable[[Track], Iterator[str]]] = {"geojson": _geojson, "gpx": _gpx, "csv": _csv}
