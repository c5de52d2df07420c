"""The odometer against the fixes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appliance.domain.fix import Fix
from appliance.domain.odometer import Driven, difference, of_buttons, of_fixes
from appliance.domain.trip import Event

NOON = datetime(2026, 1, 26, 12, tzinfo=UTC)


def fixes(*odometer_m: float | None) -> list[Fix]:
    return [Fix(NOON + timedelta(seconds=n), 53.4, -2.9, odometer_m=read) for n, read in enumerate(odometer_m)]


def test_the_buttons_of_what_is_billed_count_first() -> None:
    readings = {Event.en_route: 90.0, Event.on_board: 100.0, Event.arrived_dropoff: 107.5, Event.completed: 108.0}
    assert of_buttons(readings) == Driven(100_000, 107_500, "driver")
    del readings[Event.on_board], readings[Event.arrived_dropoff]
    assert of_buttons(readings) == Driven(90_000, 108_000, "driver")


@pytest.mark.parametrize("readings", [{}, {Event.on_board: 5.0}, {Event.on_board: 5.0, Event.completed: 4.0}])
def test_without_two_readings_that_go_up_there_is_none(readings: dict[Event, float]) -> None:
    assert of_buttons(readings) is None


def test_a_tracker_counts_from_its_first_to_its_last_reading() -> None:
    assert of_fixes(fixes(None, 1000, None, 2500, 6000, None)) == Driven(1000, 6000, "tracker")
    assert of_fixes(fixes(1000, 5, 6000)) is None
    assert of_fixes(fixes(1000)) is None


@pytest.mark.parametrize(
    ("distance_m", "driven_m", "flagged"),
    [
        (4200, 5000, False),
        (40_000, 42_000, False),
        (4200, 7000, True),
        (7000, 4200, True),
        (0, 0, False),
        (2000, 0, True),
    ],
)
def test_only_a_difference_that_matters_is_flagged(distance_m: float, driven_m: float, flagged: bool) -> None:
    found = difference(distance_m, Driven(1000, 1000 + driven_m, "driver"))
    assert found.flagged == flagged
    assert found.metres == driven_m - distance_m
