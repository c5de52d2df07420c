"""Trails as files that other programs read: GPX by what its schema asks, CSV that comes back as it was, GeoJSON."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from appliance.domain.fix import Fix
from appliance.domain.trail import Stop
from appliance.trail_formats import CSV_COLUMNS, Format, geojson, written
from appliance.trails import Track
from tests.cast import NOON

FIXES = [
    Fix(NOON, 53.4094, -2.966, 31.5, 90.0, 5.0, 23.0, 120_000.0, True, 80.0),
    Fix(NOON + timedelta(milliseconds=1500), -0.0000001, 179.9999999, altitude_m=-3.25),
    Fix(NOON + timedelta(hours=20), 53.5, -3.0, ignition=False),
]
TRACK = Track('R&D <van> "1"', FIXES, [Stop(53.4, -2.9, NOON, NOON + timedelta(minutes=5))], [])
EMPTY = Track("VAN-1", [], [], [])
G = "{http://www.topografix.com/GPX/1/1}"


def file(track: Track, format: Format) -> str:
    return "".join(written(track, format))


def child_order(element: ElementTree.Element) -> list[str]:
    return [child.tag.removeprefix(G) for child in element]


@pytest.mark.parametrize("track", [TRACK, EMPTY])
def test_gpx_is_as_its_schema_asks(track: Track) -> None:
    """GPX 1.1: the root with version and creator; wpt before trk; in a point ele, time, name, desc in this order;
    degrees within their bounds (180 itself is not); times as xsd:dateTime in UTC; decimals without an exponent."""
    text = file(track, "gpx")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    root = ElementTree.fromstring(text)
    assert root.tag == f"{G}gpx"
    assert root.attrib["version"] == "1.1"
    assert root.attrib["creator"]
    assert child_order(root) == ["wpt"] * len(track.stops) + ["trk"]
    (trk,) = root.findall(f"{G}trk")
    assert child_order(trk) == ["name", "trkseg"]
    assert trk.findtext(f"{G}name") == track.name
    points = [*root.iter(f"{G}trkpt"), *root.iter(f"{G}wpt")]
    assert len(points) == len(track.fixes) + len(track.stops)
    schema_order = ["ele", "time", "name", "desc"]
    decimal = re.compile(r"[+-]?\d+(\.\d+)?")
    for point in points:
        assert set(point.attrib) == {"lat", "lon"}
        assert all(decimal.fullmatch(point.attrib[name]) for name in ("lat", "lon"))
        assert -90 <= float(point.attrib["lat"]) <= 90
        assert -180 <= float(point.attrib["lon"]) < 180
        order = child_order(point)
        assert order == [name for name in schema_order if name in order]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", point.findtext(f"{G}time") or "")
        assert decimal.fullmatch(point.findtext(f"{G}ele") or "0")


def test_gpx_takes_any_stored_number() -> None:
    """180 degrees is the same meridian as -180, which is what GPX has; heights may be absurd."""
    odd = [Fix(NOON, 90.0, 180.0, altitude_m=1e14), Fix(NOON, -90.0, 179.99999999, altitude_m=1e-7)]
    root = ElementTree.fromstring(file(Track("x", odd, [], []), "gpx"))
    for point in root.iter(f"{G}trkpt"):
        assert -180 <= float(point.attrib["lon"]) < 180
        assert "e" not in (point.findtext(f"{G}ele") or "")


def test_csv_comes_back_as_it_was() -> None:
    rows = list(csv.DictReader(io.StringIO(file(TRACK, "csv"), newline="")))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert rows[0] == {
        "at": "2026-01-26T12:00:00.000Z", "lat": "53.4094000", "lon": "-2.9660000", "speed_kmh": "31.5",
        "heading_deg": "90.0", "accuracy_m": "5.0", "altitude_m": "23.0", "odometer_m": "120000.0", "ignition": "1",
        "battery_pct": "80.0", "format": "native",
    }  # fmt: skip
    assert [row["ignition"] for row in rows] == ["1", "", "0"]


def test_a_trail_without_fixes_is_a_file_all_the_same() -> None:
    assert file(EMPTY, "csv").splitlines() == [",".join(CSV_COLUMNS)]
    assert json.loads(file(EMPTY, "geojson")) == {
        "type": "FeatureCollection", "features": [], "stops": [], "damaged_days": []
    }  # fmt: skip


def test_geojson_has_longitude_first_and_no_line_of_one_fix() -> None:
    line, first, *_rest = json.loads(file(TRACK, "geojson"))["features"]
    assert first["geometry"] == {"type": "Point", "coordinates": [-2.966, 53.4094]}
    assert len(line["geometry"]["coordinates"]) == 3
    assert len(geojson(TRACK, points=False).features) == 1
    assert len(geojson(Track("x", FIXES[:1], [], [])).features) == 1
