"""A thinned trail looks the same: nothing that was left out lies further off than the tolerance."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain import thinning
from appliance.domain.fix import Fix
from appliance.domain.thinning import thinned
from appliance.domain.trail import distance_m

T0 = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
DEG_M = 0.01 / distance_m(0, 30, 0.01, 30)


def fix(second: int, east_m: float, north_m: float) -> Fix:
    """So many metres from a place on the equator, where both ways are nearly as long a degree."""
    return Fix(T0 + timedelta(seconds=second), north_m * DEG_M, 30 + east_m * DEG_M)


tracks = st.lists(st.tuples(st.integers(-2_000, 2_000), st.integers(-2_000, 2_000)), max_size=40).map(
    lambda places: [fix(second, *place) for second, place in enumerate(places)]
)
tolerances = st.sampled_from([0.0, 1.0, 50.0, 700.0, 1e5])


def off_m(place: Fix, one: Fix, other: Fix) -> float:
    """Metres from the straight way between two fixes, by trying 400 places on it."""
    ways = [n / 400 for n in range(401)]
    return min(
        distance_m(
            place.lat, place.lon, one.lat + (other.lat - one.lat) * way, one.lon + (other.lon - one.lon) * way
        )
        for way in ways
    )  # fmt: skip


@given(tracks, tolerances)
def test_first_last_and_order_stay(fixes: list[Fix], tolerance_m: float) -> None:
    kept = thinned(fixes, tolerance_m)
    assert kept == sorted(set(kept), key=lambda one: one.at)
    assert set(kept) <= set(fixes)
    assert (kept[:1], kept[-1:]) == (fixes[:1], fixes[-1:])


@given(tracks, st.sampled_from([50.0, 700.0]))
def test_what_was_left_out_lies_within_the_tolerance(fixes: list[Fix], tolerance_m: float) -> None:
    kept = thinned(fixes, tolerance_m)
    for one, other in itertools.pairwise(kept):
        for left_out in (each for each in fixes if one.at < each.at < other.at):
            assert off_m(left_out, one, other) <= tolerance_m * 1.02 + 8  # the places tried are up to 14 m apart


def test_a_straight_road_is_two_fixes_and_a_corner_stays() -> None:
    there = [fix(n, n * 10, 0) for n in range(50)]
    up = [fix(50 + n, 490, n * 10) for n in range(1, 50)]
    assert thinned(there, 1.0) == [there[0], there[-1]]
    assert thinned(there + up, 1.0) == [there[0], there[-1], up[-1]]


def test_a_way_out_and_back_keeps_its_far_end() -> None:
    """Beyond the end of the straight way the distance to its end counts, not that to the line."""
    there = [fix(n, n * 10, 0) for n in range(50)]
    back = [fix(100 - n, n * 10, 0) for n in range(50)]
    assert there[-1] in thinned(there + back[::-1], 5.0)


def test_a_track_over_the_antimeridian_is_thinned_as_any_other() -> None:
    road = [Fix(T0 + timedelta(seconds=n), -17.0, math.remainder(179.99 + n * 0.001, 360)) for n in range(20)]
    assert thinned(road, 1.0) == [road[0], road[-1]]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_is_short_stays_as_it_is(count: int) -> None:
    fixes = [fix(n, 0, 0) for n in range(count)]
    assert thinned(fixes, 10.0) == fixes


def test_the_worst_case_looks_at_each_fix_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zigzag that narrows loses one fix at each split: its farthest is always its first."""
    count = 4_000
    zigzag = [fix(n, 0.01 * n, (-1) ** n * (count - n)) for n in range(count)]
    looked_at = []
    real = thinning._farthest

    def counted(x: list[float], y: list[float], first: int, last: int) -> tuple[float, int]:
        looked_at.append(last - first)
        return real(x, y, first, last)

    monkeypatch.setattr(thinning, "_farthest", counted)
    assert len(thinned(zigzag, 0.5)) > count / 2
    assert sum(looked_at) < (thinning.FARTHEST_LEVELS + math.log2(count) + 2) * count
    assert sum(looked_at) > 20 * count  # it is a bad case


def test_a_tolerance_that_is_no_number_comes_to_an_end() -> None:
    track = [fix(0, 0, 0), fix(1, 100, 700), fix(2, 200, 0)]
    assert thinned(track, math.nan) == [track[0], track[-1]]
