"""Which fixes a trail believes, and what it makes of them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from geographiclib.geodesic import Geodesic  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from appliance.domain import trail
from appliance.domain.fix import Fix, Limits
from appliance.domain.trail import Trail, clean, close, distance_m, stops, why_out

T0 = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
LIMITS = Limits()
NORTH_DEG_PER_M = 0.01 / distance_m(0, 30, 0.01, 30)


def fix(second: float, metres: float, **fields: Any) -> Fix:
    """A fix so many metres north of the equator, where a degree of latitude is the same length for a long way."""
    return Fix(at=T0 + timedelta(seconds=second), lat=metres * NORTH_DEG_PER_M, lon=30, **fields)


def drive(start_s: int, end_s: int, speed_ms: float = 10, every_s: int = 10) -> list[Fix]:
    return [fix(second, second * speed_ms) for second in range(start_s, end_s, every_s)]


def shut(fixes: Sequence[Fix], seconds: float) -> Trail:
    return close(fixes, T0, T0 + timedelta(seconds=seconds), LIMITS)


# distance_m

directions = st.floats(0, 360)
longitudes = st.floats(-180, 180)


def error(lat: float, lon: float, direction: float, metres: float) -> float:
    """Relative error against geographiclib; 0 where the far end lies beyond 80 degrees."""
    there = Geodesic.WGS84.Direct(lat, lon, direction, metres)
    if abs(there["lat2"]) > 80:
        return 0
    return abs(distance_m(lat, lon, there["lat2"], there["lon2"]) / metres - 1)


@given(st.floats(-80, 80), longitudes, directions, st.floats(1_000, 100_000))
def test_distance_is_within_0_04_percent_up_to_100_km(lat: float, lon: float, way: float, metres: float) -> None:
    assert error(lat, lon, way, metres) < 0.000_4


@given(st.floats(-80, 80), longitudes, directions, st.floats(1, 1_000))
def test_distance_is_within_a_millionth_up_to_1_km(lat: float, lon: float, way: float, metres: float) -> None:
    assert error(lat, lon, way, metres) < 0.000_001


@pytest.mark.parametrize("way", range(0, 360, 15))
@pytest.mark.parametrize("lat", [-79.9, -79, 0, 53.4, 79, 79.9])
def test_distance_keeps_its_bound_at_the_worst_latitudes(lat: float, way: float) -> None:
    assert error(lat, 10, way, 100_000) < 0.000_4


def test_distance_takes_the_short_way_across_the_antimeridian() -> None:
    assert distance_m(-17, 179.99, -17, -179.99) == pytest.approx(distance_m(-17, 0, -17, 0.02))


@given(st.floats(-90, 90), longitudes, st.floats(-90, 90), longitudes)
def test_distance_is_the_same_both_ways(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    assert distance_m(lat1, lon1, lat2, lon2) == distance_m(lat2, lon2, lat1, lon1)


def test_distance_from_a_place_to_itself_is_zero() -> None:
    assert distance_m(53.4, -2.9, 53.4, -2.9) == 0


# clean


@st.composite
def tracks(draw: st.DrawFn, largest: int = 9) -> list[Fix]:
    """Any fixes: near and far, doubled, at the same instant, with and without speed and accuracy."""
    return draw(st.lists(
        st.builds(
            fix,
            second=st.integers(0, 60),
            metres=st.sampled_from([0, 20, 500, 2_000, 5_000, 90_000]),
            speed_kmh=st.sampled_from([None, 0, 90, 400]),
            accuracy_m=st.sampled_from([None, 5, 150]),
        ),
        max_size=largest,
    ))  # fmt: skip


def linked(earlier: Fix, later: Fix) -> bool:
    """The rule of `clean`, said once more: what is not a chain of these was not cleaned."""
    metres = distance_m(earlier.lat, earlier.lon, later.lat, later.lon)
    metres -= max(15, earlier.accuracy_m or 0) + max(15, later.accuracy_m or 0)
    implied_kmh = metres / (later.at - earlier.at).total_seconds() * 3.6
    return implied_kmh <= 250 or (later.speed_kmh is not None and later.speed_kmh >= implied_kmh / 2)


@given(tracks(), st.randoms(use_true_random=False))
def test_order_of_arrival_changes_nothing(fixes: list[Fix], chance: random.Random) -> None:
    shuffled = chance.sample(fixes, len(fixes))
    assert clean(shuffled, LIMITS) == clean(fixes, LIMITS)


@given(tracks(), st.randoms(use_true_random=False))
def test_fixes_that_come_twice_change_nothing(fixes: list[Fix], chance: random.Random) -> None:
    again = [replace(chance.choice(fixes)) for _ in fixes]
    assert clean(fixes + again, LIMITS) == clean(fixes, LIMITS)


@given(tracks())
def test_every_instant_is_either_kept_or_an_outlier(fixes: list[Fix]) -> None:
    kept, outliers = clean(fixes, LIMITS)
    assert sorted(f.at for f in kept + outliers) == sorted({f.at for f in fixes})
    assert set(kept + outliers) <= set(fixes)


@given(tracks())
def test_each_kept_fix_can_be_reached_from_the_one_before(fixes: list[Fix]) -> None:
    kept, _ = clean(fixes, LIMITS)
    assert all(itertools.starmap(linked, itertools.pairwise(kept)))


@given(tracks(largest=7))
def test_no_chain_is_longer_than_the_kept_one(fixes: list[Fix]) -> None:
    kept, outliers = clean(fixes, LIMITS)
    track = sorted(kept + outliers, key=lambda f: f.at)
    for length in range(len(kept) + 1, len(track) + 1):
        for chain in itertools.combinations(track, length):
            assert not all(itertools.starmap(linked, itertools.pairwise(chain)))


@given(tracks())
def test_cleaning_twice_is_cleaning_once(fixes: list[Fix]) -> None:
    kept, _ = clean(fixes, LIMITS)
    assert clean(kept, LIMITS) == (kept, [])


@pytest.mark.parametrize("second", [-5, 5, 455, 905])
def test_one_far_fix_is_the_only_outlier_wherever_it_stands(second: int) -> None:
    good = drive(0, 900)
    bad = fix(second, 100_000)
    assert clean([*good, bad], LIMITS) == (good, [bad])


def test_several_bad_fixes_that_agree_do_not_condemn_the_many() -> None:
    bad = [fix(second, 100_000) for second in (-30, -20, -10)]
    good = drive(0, 900)
    assert clean(bad + good, LIMITS) == (good, bad)


def test_bad_fix_after_a_long_gap_does_not_condemn_what_follows() -> None:
    before, after = drive(0, 300), drive(900, 1200)
    bad = fix(895, 35_000)  # 210 km/h from the last good one: only what follows gives it away
    assert clean([*before, bad, *after], LIMITS) == (before + after, [bad])


def test_trail_goes_on_after_a_jump_once_it_is_plausible() -> None:
    before = drive(0, 600)
    after = [fix(second, 25_000 + second * 10) for second in range(600, 1800, 10)]
    kept, outliers = clean(before + after, LIMITS)
    assert (kept[0], kept[-1]) == (before[0], after[-1])
    assert len(outliers) == 42  # 25 km at 250 km/h, while the van goes on at 36 km/h, are 7 minutes


def test_speed_reported_by_the_vehicle_itself_is_believed() -> None:
    fast = [fix(0, 0, speed_kmh=280), fix(60, 4_700, speed_kmh=280)]
    assert clean(fast, LIMITS) == (fast, [])


def test_reported_speed_that_disagrees_does_not_save_a_fix() -> None:
    good = drive(0, 100)
    bad = fix(45, 20_000, speed_kmh=36)
    assert clean([*good, bad], LIMITS) == (good, [bad])


def test_fixes_a_tenth_of_a_second_apart_may_scatter_by_their_error() -> None:
    scattered = [fix(0, 0), fix(0.1, 12), fix(0.2, 0)]
    assert clean(scattered, LIMITS) == (scattered, [])


def test_known_bad_accuracy_is_allowed_for() -> None:
    coarse = [fix(0, 0, accuracy_m=5), fix(1, 180, accuracy_m=150)]
    assert clean(coarse, LIMITS) == (coarse, [])


@pytest.mark.parametrize(("limit_kmh", "outliers"), [(250, 0), (100, 1)])
def test_implied_speed_limit_of_the_depot_is_what_counts(limit_kmh: float, outliers: int) -> None:
    at_180_kmh = fix(65, 3_250)
    assert len(clean([*drive(0, 20), at_180_kmh], Limits(implied_speed_kmh=limit_kmh))[1]) == outliers


def test_of_one_instant_the_most_accurate_fix_stays() -> None:
    known, better, unknown = fix(0, 0, accuracy_m=50), fix(0, 10, accuracy_m=5), fix(0, 20)
    assert clean([unknown, known, better], LIMITS) == ([better], [])


@given(tracks(), st.data())
def test_an_overruled_outlier_is_kept_and_changes_nothing_else(fixes: list[Fix], data: st.DataObject) -> None:
    kept, outliers = clean(fixes, LIMITS)
    overruled = data.draw(st.sets(st.sampled_from(outliers))) if outliers else set()
    more, fewer = clean(fixes, LIMITS, {fix.at for fix in overruled})
    assert (set(more), set(fewer)) == ({*kept, *overruled}, {*outliers} - overruled)
    assert more == sorted(more, key=lambda fix: fix.at)


@given(tracks())
def test_each_outlier_has_its_reason(fixes: list[Fix]) -> None:
    """Were it within reach from both sides, the chain with it would be longer."""
    kept, outliers = clean(fixes, LIMITS)
    for outlier in outliers:
        why = why_out(outlier, kept, LIMITS)
        assert why.reason == "implied_speed"
        assert float(why.value.split()[0]) >= float(why.limit.split()[2])


def test_the_reason_is_the_step_that_cannot_be() -> None:
    """The way there would do; the way back would not."""
    bad = fix(895, 35_000, speed_kmh=50)
    why = why_out(bad, drive(0, 300) + drive(900, 1200), LIMITS)
    assert (why.value, why.limit) == ("18698 km/h", "at most 250 km/h")


class Counted:
    """A function that counts its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.calls, self._real = 0, getattr(trail, name)
        monkeypatch.setattr(trail, name, self)

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self._real(*args)


def test_the_work_for_pure_noise_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be reached from anything: each look fails."""
    monkeypatch.setattr(trail, "LONG_LOOKS", 50_000)
    looks = Counted(monkeypatch, "_implied_ms")
    noise = drive(0, 3_000, speed_ms=900, every_s=1)
    clean(noise, LIMITS)
    assert looks.calls < trail.SHORT_LOOK_BACK * len(noise) + 50_000 + trail.LOOK_BACK
    assert looks.calls > trail.SHORT_LOOK_BACK * len(noise)


def test_a_track_goes_on_after_noise_that_has_used_up_the_long_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "LONG_LOOKS", 1_000)
    noise = drive(-500, 0, speed_ms=900, every_s=1)
    good, bad = drive(0, 1000, every_s=1), fix(500.5, 1e6)
    assert set(clean([*noise, *good, bad], LIMITS)[0]) >= {*good}
    assert bad in clean([*noise, *good, bad], LIMITS)[1]


@pytest.mark.parametrize("scatters", [False, True])
def test_stops_look_at_each_fix_a_few_times_at_any_rate(monkeypatch: pytest.MonkeyPatch, scatters: bool) -> None:
    """Ten fixes a second: a van that creeps out of each stop in time, and one whose receiver scatters now and then."""
    fixes = [fix(n / 10, 60 * (n % 1000 == 0) if scatters else n * 0.045) for n in range(10_000)]
    looks = Counted(monkeypatch, "_between_m")
    assert stops(fixes) == []
    assert looks.calls < 4 * len(fixes)


def test_nothing_cleans_to_nothing() -> None:
    assert clean([], LIMITS) == ([], [])


def test_input_is_left_as_it_was() -> None:
    given_fixes = [fix(10, 100), fix(0, 0)]
    clean(given_fixes, LIMITS)
    assert given_fixes == [fix(10, 100), fix(0, 0)]


# close: distance


def test_distance_is_the_sum_of_the_steps() -> None:
    there_and_back = drive(0, 101) + [fix(200 - second, second * 10) for second in range(0, 100, 10)]
    assert shut(there_and_back, 200).distance_m == pytest.approx(2_000)


def test_distance_runs_straight_across_a_gap() -> None:
    assert shut(drive(0, 100) + drive(900, 1000), 1000).distance_m == pytest.approx(9_900)


def test_outlier_adds_no_distance() -> None:
    trail = shut([*drive(0, 100), fix(45, 80_000)], 100)
    assert trail.distance_m == pytest.approx(900)
    assert (trail.outliers, trail.fixes) == (1, 10)


def scatter(seconds: int, **fields: float) -> list[Fix]:
    """A receiver that stands and scatters by 3 m, once a second."""
    chance = random.Random(7)
    return [fix(second, chance.gauss(0, 3), **fields) for second in range(seconds)]


def test_van_that_reports_standing_for_ten_minutes_drives_nothing() -> None:
    assert shut(scatter(600, speed_kmh=0), 600).distance_m == 0


def test_scatter_of_a_standing_receiver_without_speed_is_mostly_left_out() -> None:
    fixes = scatter(600)
    scattered_m = sum(abs(a.lat - b.lat) / NORTH_DEG_PER_M for a, b in itertools.pairwise(fixes))
    assert shut(fixes, 600).distance_m < scattered_m / 8


def test_van_that_creeps_while_it_reports_standing_is_still_measured() -> None:
    queue = [fix(second, second * 0.5, speed_kmh=2) for second in range(0, 601, 5)]
    assert shut(queue, 600).distance_m == pytest.approx(300, abs=20)


def test_short_last_step_counts_unless_the_van_stands() -> None:
    assert shut([fix(0, 0), fix(5, 15)], 5).distance_m == pytest.approx(15)


def test_dense_fixes_measure_the_same_road_as_sparse_ones() -> None:
    dense = shut(drive(0, 601, every_s=1), 600).distance_m
    assert dense == pytest.approx(shut(drive(0, 601, every_s=30), 600).distance_m)


@given(tracks(), st.randoms(use_true_random=False))
def test_trail_does_not_depend_on_the_order_of_arrival(fixes: list[Fix], chance: random.Random) -> None:
    assert shut(chance.sample(fixes, len(fixes)), 60) == shut(fixes, 60)


# close: window, duration, stops, completeness


def test_fixes_outside_the_trip_do_not_count() -> None:
    trail = close(drive(0, 1000), T0 + timedelta(seconds=100), T0 + timedelta(seconds=200), LIMITS)
    assert (trail.fixes, trail.duration_s) == (11, 100)
    assert trail.distance_m == pytest.approx(1_000)


def test_trip_that_ends_before_it_starts_is_an_error() -> None:
    with pytest.raises(ValueError, match="before it starts"):
        close([], T0, T0 - timedelta(seconds=1), LIMITS)


def test_trip_without_fixes_has_no_distance_and_no_completeness() -> None:
    assert shut([], 60) == Trail(distance_m=0, duration_s=60, stops=0, fixes=0, outliers=0, completeness=0)


def test_trip_of_no_duration_is_complete_if_it_has_a_fix() -> None:
    assert shut([fix(0, 0)], 0).completeness == 1


def standing(start_s: int, end_s: int, metres: float) -> list[Fix]:
    return [fix(second, metres + second % 3 * 10) for second in range(start_s, end_s + 1, 10)]


@pytest.mark.parametrize(("stood_s", "stops"), [(110, 0), (120, 1), (600, 1)])
def test_stop_lasts_120_s_or_more(stood_s: int, stops: int) -> None:
    away = [fix(stood_s + second, second * 15) for second in range(10, 110, 10)]
    assert shut(standing(0, stood_s, 0) + away, stood_s + 110).stops == stops


def test_two_places_are_two_stops() -> None:
    fixes = standing(0, 200, 0) + drive(210, 300, speed_ms=20) + standing(300, 500, 6_000)
    assert shut(fixes, 500).stops == 2


def test_moving_van_makes_no_stop() -> None:
    assert shut(drive(0, 1000), 1000).stops == 0


def test_stop_may_begin_with_any_fix() -> None:
    rolled_in = [fix(0, 0), fix(10, 45), *(fix(second, 55) for second in range(20, 131, 10))]
    assert shut(rolled_in, 130).stops == 1  # 120 s around the second fix, less around the first or the third


@pytest.mark.parametrize(("metres", "stops"), [(49, 1), (51, 0)])
def test_stop_is_within_50_m(metres: float, stops: int) -> None:
    assert shut([fix(0, 0), fix(120, metres)], 120).stops == stops


def test_a_stop_says_where_and_from_when_to_when() -> None:
    fixes = drive(0, 300) + standing(300, 500, 3_000) + drive(510, 600, speed_ms=20)
    (stop,) = stops(clean(fixes, LIMITS)[0])
    assert (stop.start, stop.end) == (T0 + timedelta(seconds=300), T0 + timedelta(seconds=500))
    assert stop.duration_s == 200
    assert distance_m(stop.lat, stop.lon, fix(0, 3_010).lat, 30) < 15


@given(tracks())
def test_stops_follow_each_other_and_are_as_many_as_the_trail_counts(fixes: list[Fix]) -> None:
    found = stops(clean(fixes, LIMITS)[0])
    assert len(found) == shut(fixes, 60).stops
    assert all(one.end < other.start for one, other in itertools.pairwise(found))


@pytest.mark.parametrize(("seconds", "completeness"), [
    ([0, 120, 240], 1.0),
    ([0, 121, 240], 1 - 121 / 240),
    ([0, 120], 1.0),
    ([0, 60], 1 - 180 / 240),
    ([180, 240], 1 - 180 / 240),
    ([125], 1 - 125 / 240),
])  # fmt: skip
def test_completeness_leaves_out_gaps_over_120_s_also_at_the_ends(seconds: list[int], completeness: float) -> None:
    assert shut([fix(second, 0) for second in seconds], 240).completeness == pytest.approx(completeness)


@given(tracks())
def test_completeness_is_a_share(fixes: list[Fix]) -> None:
    assert 0 <= shut(fixes, 3_600).completeness <= 1


@given(tracks())
def test_distance_is_a_finite_number_and_not_negative(fixes: list[Fix]) -> None:
    metres = shut(fixes, 60).distance_m
    assert math.isfinite(metres)
    assert metres >= 0
