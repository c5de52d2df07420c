"""Times as they are typed on the phone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from appliance.errors import InputError
from web import clock_times

LONDON = ZoneInfo("Europe/London")
NOON = datetime(2026, 1, 26, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 27, 0, 10, tzinfo=UTC)


def at(day: int, hour: int, minute: int) -> datetime:
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize("typed", ["11:50", "1150", "11.50", "11h50", " 11 50 "])
def test_a_time_is_understood_however_it_is_typed(typed: str) -> None:
    assert clock_times.nearest(typed, NOON, LONDON, "at") == at(26, 11, 50)


def test_just_after_midnight_the_nearest_time_is_yesterdays() -> None:
    assert clock_times.nearest("2350", MIDNIGHT, LONDON, "at") == at(26, 23, 50)
    assert clock_times.nearest("2026-01-25 23:50", MIDNIGHT, LONDON, "at") == at(25, 23, 50)


def test_what_comes_after_is_of_the_next_day_where_it_must_be() -> None:
    assert clock_times.after("13:00", NOON, LONDON, "at") == at(26, 13, 0)
    assert clock_times.after("0:30", NOON, LONDON, "at") == at(27, 0, 30)


def test_a_time_is_the_depots_own() -> None:
    summer = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    assert clock_times.nearest("14:05", summer, LONDON, "at") == datetime(2026, 7, 1, 13, 5, tzinfo=UTC)
    assert clock_times.shown(summer, LONDON) == "13:00"


@pytest.mark.parametrize("typed", ["", "noon", "24:00", "9", "12:60", "2026-02-30 12:00", "2026-01-26 noon"])
def test_what_is_no_time_is_refused_by_its_field(typed: str) -> None:
    with pytest.raises(InputError) as caught:
        clock_times.nearest(typed, NOON, LONDON, "at")
    assert caught.value.subject == "at"
