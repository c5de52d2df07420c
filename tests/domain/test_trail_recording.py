"""The trail of a recorded day of real buses, against geographiclib."""

from __future__ import annotations

import csv
import itertools
import os
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from geographiclib.geodesic import Geodesic  # type: ignore[import-untyped]

from appliance.domain.fix import Fix, Limits
from appliance.domain.trail import close

SHARED = Path(os.environ.get("DEPOTBOX_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
RECORDING = SHARED / "data" / "liverpool_route14.csv"

pytestmark = pytest.mark.skipif(not RECORDING.exists(), reason=f"the recording {RECORDING} is not on this machine")


@pytest.fixture(scope="module")
def trips() -> dict[str, list[Fix]]:
    by_trip: dict[str, list[Fix]] = defaultdict(list)
    with RECORDING.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
            by_trip[row["trip_id"]].append(Fix(at=at, lat=float(row["latitude"]), lon=float(row["longitude"])))
    return by_trip


def geodesic_sum_m(fixes: list[Fix]) -> float:
    return sum(
        float(Geodesic.WGS84.Inverse(a.lat, a.lon, b.lat, b.lon)["s12"])
        for a, b in itertools.pairwise(sorted(fixes, key=lambda fix: fix.at))
    )


def test_recording_has_its_16_trips(trips: dict[str, list[Fix]]) -> None:
    assert (len(trips), sum(map(len, trips.values()))) == (16, 1533)


def test_distance_of_each_trip_is_within_half_a_percent_of_geographiclib(trips: dict[str, list[Fix]]) -> None:
    for trip, fixes in trips.items():
        trail = close(fixes, min(f.at for f in fixes), max(f.at for f in fixes), Limits())
        assert trail.distance_m == pytest.approx(geodesic_sum_m(fixes), rel=0.005), trip


def test_no_recorded_fix_is_an_outlier(trips: dict[str, list[Fix]]) -> None:
    for trip, fixes in trips.items():
        trail = close(fixes, min(f.at for f in fixes), max(f.at for f in fixes), Limits())
        assert (trail.outliers, trail.fixes) == (0, len(fixes)), trip
