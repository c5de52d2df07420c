"""What `check` rejects, and that it needs nothing but the fix itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from appliance.domain.fix import LATEST, OLDEST, Fix, Limits, Reason, Rejection, check

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIMITS = Limits()
GOOD = Fix(at=NOW, lat=53.4, lon=-2.9, speed_kmh=30, heading_deg=90, accuracy_m=5)


def reason(fix: Fix, **options: bool) -> Reason | None:
    rejection = check(fix, NOW, LIMITS, **options)
    return rejection.reason if rejection else None


def test_good_fix_is_accepted() -> None:
    assert reason(GOOD) is None


def test_fix_without_any_optional_field_is_accepted() -> None:
    assert reason(Fix(at=NOW, lat=53.4, lon=-2.9)) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "field",
    ["lat", "lon", "speed_kmh", "heading_deg", "accuracy_m", "altitude_m", "odometer_m", "battery_pct"],
)
def test_number_that_is_not_finite_is_rejected(field: str, number: Any) -> None:
    assert reason(replace(GOOD, **{field: number})) is Reason.not_finite


@pytest.mark.parametrize(("lat", "lon"), [(90.001, 0), (-90.001, 0), (10, 180.001), (10, -180.001), (1e300, 1)])
def test_position_off_the_globe_is_rejected(lat: float, lon: float) -> None:
    assert reason(replace(GOOD, lat=lat, lon=lon)) is Reason.out_of_range


@pytest.mark.parametrize(("lat", "lon"), [(90, 180), (-90, -180)])
def test_edge_of_the_globe_is_accepted(lat: float, lon: float) -> None:
    assert reason(replace(GOOD, lat=lat, lon=lon)) is None


@pytest.mark.parametrize(("lat", "lon"), [(0.0, 0.0), (-0.0, 0.0), (0.00005, -0.00005)])
def test_null_island_is_rejected(lat: float, lon: float) -> None:
    assert reason(replace(GOOD, lat=lat, lon=lon)) is Reason.null_island


@pytest.mark.parametrize(("lat", "lon"), [(0.0, 36.8), (51.5, 0.0)])
def test_equator_and_prime_meridian_are_places_like_any_other(lat: float, lon: float) -> None:
    assert reason(replace(GOOD, lat=lat, lon=lon)) is None


@pytest.mark.parametrize(("accuracy_m", "expected"), [(200, None), (200.5, Reason.inaccurate), (0, None), (None, None)])
def test_accuracy_is_accepted_up_to_the_limit_or_unknown(accuracy_m: float | None, expected: Reason | None) -> None:
    assert reason(replace(GOOD, accuracy_m=accuracy_m)) is expected


@pytest.mark.parametrize(("ahead_s", "expected"), [(300, None), (300.001, Reason.future)])
def test_fix_is_in_the_future_beyond_the_limit(ahead_s: float, expected: Reason | None) -> None:
    assert reason(replace(GOOD, at=NOW + timedelta(seconds=ahead_s))) is expected


@pytest.mark.parametrize(("age", "expected"), [
    (timedelta(days=30), None),
    (timedelta(days=30, milliseconds=1), Reason.too_old),
])  # fmt: skip
def test_fix_is_too_old_beyond_the_limit(age: timedelta, expected: Reason | None) -> None:
    assert reason(replace(GOOD, at=NOW - age)) is expected


def test_future_is_not_judged_by_a_clock_that_is_not_trusted() -> None:
    assert reason(replace(GOOD, at=NOW + timedelta(days=400)), clock_trusted=False) is None


def test_age_is_not_judged_by_a_clock_that_is_not_trusted() -> None:
    assert reason(replace(GOOD, at=NOW - timedelta(days=400)), clock_trusted=False) is None


def test_after_2099_is_in_the_future_whatever_the_clock_says() -> None:
    assert reason(replace(GOOD, at=datetime(9999, 12, 31, tzinfo=UTC)), clock_trusted=False) is Reason.future
    assert reason(replace(GOOD, at=LATEST), clock_trusted=False) is None


@pytest.mark.parametrize("clock_trusted", [True, False])
@pytest.mark.parametrize("at", [datetime(1970, 1, 1, tzinfo=UTC), OLDEST - timedelta(milliseconds=1)])
def test_receiver_that_lost_its_clock_is_too_old_whatever_our_clock(at: datetime, clock_trusted: bool) -> None:
    assert reason(replace(GOOD, at=at), clock_trusted=clock_trusted) is Reason.too_old


def test_oldest_time_itself_is_accepted_without_a_trusted_clock() -> None:
    assert reason(replace(GOOD, at=OLDEST), clock_trusted=False) is None


def test_limits_of_the_depot_are_what_counts() -> None:
    fix = replace(GOOD, accuracy_m=30)
    assert check(fix, NOW, Limits(accuracy_m=20)) == Rejection(Reason.inaccurate, "30 m", "20 m or better")


@pytest.mark.parametrize("rejected", [
    replace(GOOD, lat=float("nan")),
    replace(GOOD, lat=91),
    replace(GOOD, lon=-181),
    replace(GOOD, lat=0, lon=0),
    replace(GOOD, accuracy_m=900),
    replace(GOOD, at=NOW + timedelta(days=1)),
    replace(GOOD, at=NOW - timedelta(days=31)),
    replace(GOOD, at=OLDEST - timedelta(days=1)),
])  # fmt: skip
def test_rejection_is_one_line_with_reason_value_and_limit(rejected: Fix) -> None:
    rejection = check(rejected, NOW, LIMITS)
    assert rejection is not None
    line = str(rejection)
    assert "\n" not in line
    assert all(part and part in line for part in (rejection.reason.replace("_", " "), rejection.value, rejection.limit))


@pytest.mark.parametrize(("fix", "value"), [
    (replace(GOOD, lon=180.0000001), "longitude 180.0000001"),
    (replace(GOOD, lat=-90.0000001), "latitude -90.0000001"),
    (replace(GOOD, accuracy_m=200.0000001), "200.0000001 m"),
    (replace(GOOD, at=NOW + timedelta(seconds=300, milliseconds=1)), "2026-03-01T12:05:00.001Z"),
])  # fmt: skip
def test_a_value_just_beyond_its_limit_is_told_apart_from_it(fix: Fix, value: str) -> None:
    rejection = check(fix, NOW, LIMITS)
    assert rejection is not None
    assert rejection.value == value


def test_reasons_have_their_names_as_values() -> None:
    assert [str(reason) for reason in Reason] == [reason.name for reason in Reason]


def test_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        replace(GOOD, at=datetime(2026, 3, 1, 12, 0))  # noqa: DTZ001  the point of the test


def test_time_of_another_zone_becomes_utc() -> None:
    fix = replace(GOOD, at=datetime(2026, 3, 1, 14, 0, tzinfo=timezone(timedelta(hours=2))))
    assert fix.at.tzinfo is UTC
    assert fix == GOOD


def test_time_is_cut_to_whole_milliseconds() -> None:
    assert replace(GOOD, at=NOW + timedelta(microseconds=1999)).at == NOW + timedelta(milliseconds=1)
