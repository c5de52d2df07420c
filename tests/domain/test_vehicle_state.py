"""How a vehicle is doing: one rule after another, from the newest fix, the last will and what the tracker says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain import presence
from appliance.domain.fix import Fix
from appliance.domain.presence import OUTAGES, Signs, VehicleState, is_outage, stand, state_of
from tests.cast import HOSPITAL, NOON


@dataclass(frozen=True)
class Limits:
    stale_s: float = 60
    silent_s: float = 600
    stuck_s: float = 180
    parked_s: float = 300
    asleep_s: float = 7200


LIMITS = Limits()


def signs(age_s: float = 0, **more: Any) -> Signs:
    """Of a vehicle whose newest fix is this old, and was received at once; times as seconds before NOON."""
    ago = {
        name: None if more[name] is None else NOON - timedelta(seconds=more[name])
        for name in ("received_at", "repeated_at", "offline_at", "standing_since")
        if name in more
    }
    at = NOON - timedelta(seconds=age_s)
    return Signs(**{"fix_at": at, "received_at": at} | more | ago)


def state(found: Signs | None, **more: Any) -> str:
    return state_of(found, NOON, LIMITS, **more).value


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, "never"),
        (signs(0), "live"),
        (signs(59), "live"),
        (signs(60), "stale"),
        (signs(599), "stale"),
        (signs(600), "silent"),
        (signs(10**7), "silent"),
        (signs(-200), "live"),
        # the last will, and what came after it
        (signs(5, offline_at=1), "offline"),
        (signs(5, offline_at=5), "offline"),
        (signs(5, offline_at=9), "live"),
        (signs(5, offline_at=3, repeated_at=1), "live"),
        (signs(10**6, offline_at=10**5), "offline"),
        # the same fix time again and again
        (signs(200, repeated_at=1), "stuck"),
        (signs(180, repeated_at=0), "stuck"),
        (signs(180, repeated_at=1), "stale"),
        (signs(900, repeated_at=10), "stuck"),
        (signs(900, repeated_at=600), "silent"),
        (signs(900, received_at=50, repeated_at=10), "silent"),  # an old fix, sent twice: not for long yet
        # the ignition
        (signs(5, ignition=False), "parked"),
        (signs(7199, ignition=False, speed_kmh=0.0), "parked"),
        (signs(7200, ignition=False), "silent"),
        (signs(5, ignition=False, speed_kmh=40.0), "live"),
        (signs(5, ignition=True), "live"),
        (signs(900, ignition=False, repeated_at=1), "parked"),
        (signs(5, ignition=False, offline_at=1), "offline"),
        # standing
        (signs(0, standing_since=300), "parked"),
        (signs(5, standing_since=304), "live"),
        (signs(59, standing_since=4000), "parked"),
        (signs(60, standing_since=4000), "stale"),
        (signs(5, standing_since=4000, offline_at=1), "offline"),
        # old by one of two clocks is old
        (signs(700, received_at=1), "silent"),
        (signs(-200, received_at=700), "silent"),
        (signs(700, received_at=None), "silent"),
    ],
)
def test_the_first_rule_that_holds_says_the_state(found: Signs | None, expected: str) -> None:
    assert state(found) == expected


def test_a_clock_that_is_not_trusted_counts_only_since_the_fix_was_received() -> None:
    year = 365 * 86_400
    assert state(signs(year, received_at=5), clock_trusted=False) == "live"
    assert state(signs(-year, received_at=700), clock_trusted=False) == "silent"
    assert state(signs(year, received_at=5, ignition=False), clock_trusted=False) == "parked"


@given(
    found=st.none()
    | st.builds(
        signs,
        st.integers(-1000, 10_000),
        repeated_at=st.none() | st.integers(0, 2000),
        offline_at=st.none() | st.integers(0, 2000),
        standing_since=st.none() | st.integers(0, 20_000),
        ignition=st.none() | st.booleans(),
        speed_kmh=st.none() | st.floats(0, 100),
    ),
    later_s=st.integers(0, 100_000),
    trusted=st.booleans(),
)
def test_with_time_alone_no_vehicle_gets_well(found: Signs | None, later_s: int, trusted: bool) -> None:
    """Only a message can end an outage; and what time does to it ends at silent, offline or never."""
    later = NOON + timedelta(seconds=later_s)
    before, after = (state_of(found, at, LIMITS, trusted) for at in (NOON, later))
    if before in OUTAGES:
        assert after in OUTAGES
    assert state_of(found, NOON + timedelta(days=1), LIMITS, trusted) in ("silent", "offline", "never")


def test_an_outage_is_silent_stuck_or_offline_but_not_the_sleep_of_a_tracker() -> None:
    assert is_outage(signs(600), NOON, LIMITS)
    assert is_outage(signs(200, repeated_at=1), NOON, LIMITS)
    assert is_outage(signs(5, offline_at=1), NOON, LIMITS)
    assert not is_outage(signs(100), NOON, LIMITS)
    assert not is_outage(signs(5, standing_since=4000), NOON, LIMITS)
    assert not is_outage(None, NOON, LIMITS)
    asleep = signs(1800, ignition=False, offline_at=1700)
    assert state(asleep) == "offline"
    assert not is_outage(asleep, NOON, LIMITS)
    assert is_outage(replace(asleep, ignition=True), NOON, LIMITS)


LAT, LON = HOSPITAL


def standing_s(*fixes: Fix) -> float | None:
    found = None
    for fix in fixes:
        found = stand(found, fix, gap_s=600)
    return (found.seen - found.since).total_seconds() if found else None


def here(seconds: float, east_m: float = 0, speed_kmh: float | None = None) -> Fix:
    return Fix(NOON + timedelta(seconds=seconds), LAT, LON + east_m / 66_300, speed_kmh=speed_kmh)


def test_who_stays_within_fifty_metres_stands() -> None:
    assert standing_s(here(0), here(100, 40), here(200, -40, speed_kmh=2.0)) == 200
    assert standing_s(here(0), here(100, 60), here(200, 70)) == 100
    assert standing_s(here(0), here(100, speed_kmh=presence.MOVING_KMH + 1)) is None
    assert standing_s(here(0), here(100, speed_kmh=30.0), here(110), here(150)) == 40


def test_nobody_knows_where_it_was_in_a_long_gap() -> None:
    """It may have driven round and come back."""
    assert standing_s(here(0), here(601), here(700)) == 99
    assert standing_s(here(0), here(-5)) == 0  # a marker that was dated ahead gave way


def test_every_state_is_in_the_order_of_the_pages() -> None:
    assert [each.value for each in VehicleState] == [
        "live", "stale", "silent", "stuck", "parked", "offline", "never",
    ]  # fmt: skip
