"""When a schedule entry runs next, also on the nights when the clocks change."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from appliance import jobs, timetable
from appliance.errors import InputError, NotFound, Refused
from appliance.storage.db import rows, write_tx
from appliance.timetable import after_crontab, after_interval

LONDON, HOWE = "Europe/London", "Australia/Lord_Howe"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def runs(text: str, zone: str, start: datetime, count: int) -> list[str]:
    """The next runs after `start`, as local times with their offset."""
    found, at = [], start
    for _ in range(count):
        at = after_crontab(text, zone, at)
        found.append(at.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


def test_a_local_time_that_does_not_exist_runs_at_the_end_of_the_gap() -> None:
    """01:30 in London on 2026-03-29: the clock goes from 01:00 to 02:00."""
    assert runs("30 1 * * *", LONDON, datetime(2026, 3, 28, 12, tzinfo=UTC), 2) == [
        "2026-03-29T02:00+01:00",
        "2026-03-30T01:30+01:00",
    ]


def test_a_local_time_that_comes_twice_runs_once_the_first_time() -> None:
    """01:30 in London on 2026-10-25: the clock goes from 02:00 back to 01:00."""
    assert runs("30 1 * * *", LONDON, datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == [
        "2026-10-25T01:30+01:00",
        "2026-10-26T01:30+00:00",
    ]


def test_a_gap_of_half_an_hour_is_known_too() -> None:
    """02:10 on Lord Howe Island on 2026-10-04: the clock goes from 02:00 to 02:30."""
    assert runs("10 2 * * *", HOWE, datetime(2026, 10, 3, 0, tzinfo=UTC), 1) == ["2026-10-04T02:30+11:00"]


def test_an_hourly_entry_runs_every_hour_of_the_night_that_has_one_twice() -> None:
    """01:00 comes twice on 2026-10-25, an hour apart."""
    assert runs("0 * * * *", LONDON, datetime(2026, 10, 24, 23, 30, tzinfo=UTC), 3) == [
        "2026-10-25T01:00+01:00",
        "2026-10-25T01:00+00:00",
        "2026-10-25T02:00+00:00",
    ]


def test_an_entry_whose_hour_or_minute_begins_with_a_star_runs_at_what_the_clock_shows() -> None:
    """Not in the gap, four times where 01:00 to 02:00 comes twice; times that are written out follow the rule."""
    spring, autumn = datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 10, 25, 0, 10, tzinfo=UTC)
    assert runs("*/30 1 * * *", LONDON, spring, 1) == ["2026-03-30T01:00+01:00"]
    assert runs("0,30 1 * * *", LONDON, spring, 1) == ["2026-03-29T02:00+01:00"]
    twice = ["2026-10-25T01:00+00:00", "2026-10-25T01:30+00:00"]
    once = ["2026-10-25T01:30+01:00"]
    assert runs("*/30 1 * * *", LONDON, autumn, 3) == once + twice
    assert runs("0,30 1 * * *", LONDON, autumn, 2) == [*once, "2026-10-26T01:00+00:00"]


@given(
    start=st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001  made aware below
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    zone=st.sampled_from([LONDON, HOWE, "UTC", "America/New_York"]),
)
def test_a_daily_entry_runs_once_each_day(start: datetime, hour: int, minute: int, zone: str) -> None:
    """Whatever the zone does: 400 runs fall on 400 consecutive local days."""
    crontab, at = f"{minute} {hour} * * *", start.replace(tzinfo=UTC)
    first = after_crontab(crontab, zone, at)
    second = after_crontab(crontab, zone, first)
    assert first > at
    assert timedelta(hours=22) <= second - first <= timedelta(hours=26)
    local = ZoneInfo(zone)
    assert second.astimezone(local).date() == first.astimezone(local).date() + timedelta(days=1)


@pytest.mark.parametrize(
    "text", ["", "* * * *", "* * * * * *", "@daily", "60 * * * *", "a * * * *", "* 24 * * *", "* * 0 * *"]
)
def test_a_bad_crontab_is_refused_with_the_field_named(text: str) -> None:
    """One line that quotes what was given."""
    with pytest.raises(InputError, match="crontab"):
        after_crontab(text, LONDON, NOW)


@pytest.mark.parametrize(
    ("text", "zone"),
    [("0 0 31 2 *", LONDON), ("0 0 * * *", "Europe/Londn"), ("0 0 * * *", "/"), ("0 0 * * *", "Europe")],
)
def test_a_date_or_zone_that_cannot_be_is_refused(text: str, zone: str) -> None:
    """31 February, and places that are none."""
    with pytest.raises(InputError):
        after_crontab(text, zone, NOW)


def test_an_interval_keeps_its_grid_and_does_not_drift() -> None:
    """Run 0.4 s late, the next run is a whole interval after the plan."""
    late = NOW + timedelta(seconds=0.4)
    assert after_interval(NOW, 300, late) == NOW + timedelta(seconds=300)


@pytest.mark.parametrize("step", [timedelta(days=3), timedelta(days=-3)], ids=["box was off", "clock went back"])
def test_an_interval_starts_afresh_after_a_step(step: timedelta) -> None:
    """Never more than one interval away from now, in either direction."""
    assert after_interval(NOW, 300, NOW + step) == NOW + step + timedelta(seconds=300)


TIMEOUTS = "trips.tasks.check_trip_timeouts"


def change(db: Database, name: str = "new", **given: Any) -> None:
    wanted: dict[str, Any] = {"task": TIMEOUTS, "every_s": None, "crontab": None, "zone": None, "arguments": None}
    rhythm = {} if "crontab" in given else {"every_s": 60.0}
    timetable.change(db, name, **wanted | rhythm | given, who="ann", now=NOW)


@pytest.mark.parametrize("name", ["", "a/b c", "a\0b", "x" * 65, ".hidden", "-v", "a\n", "\u00e9"])
def test_a_name_that_nobody_could_type_is_refused(depot_db: Database, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name"):
        change(depot_db, name)


@pytest.mark.parametrize("every_s", [math.nan, math.inf, -math.inf, 0.0, 0.5, 1e12])
def test_an_interval_is_a_second_to_a_year(depot_db: Database, every_s: float) -> None:
    with pytest.raises(InputError, match="expected 1 to 31622400 seconds"):
        change(depot_db, every_s=every_s)


@pytest.mark.parametrize("zone", ["Europe", "localtime", "posixrules", "Factory", "x" * 5000, "../etc/passwd", "a\0"])
def test_a_zone_is_one_of_those_that_there_are(depot_db: Database, zone: str) -> None:
    with pytest.raises(InputError, match="expected a time zone"):
        change(depot_db, crontab="0 2 * * *", zone=zone)


def test_a_task_that_the_box_does_not_have_is_refused_with_the_nearest(depot_db: Database) -> None:
    with pytest.raises(InputError, match=f"is {TIMEOUTS} meant"):
        change(depot_db, task="trips.tasks.check_trip_timeout")
    change(depot_db, task="night.count_vehicles")  # of the depot's own


def test_a_broadcast_is_not_scheduled_nor_asked_for_as_a_job(depot_db: Database) -> None:
    with pytest.raises(InputError, match="ephemeral"):
        change(depot_db, task="trips.tasks.broadcast_gps_update")
    with write_tx(depot_db) as tx, pytest.raises(InputError, match="ephemeral"):
        jobs.enqueue(tx, "trips.tasks.broadcast_trip_status", now=NOW, trip_id=1)


def test_arguments_that_are_no_json_are_refused(depot_db: Database) -> None:
    with pytest.raises(InputError, match="JSON object"):
        change(depot_db, arguments='{"n": NaN}')


def test_an_entry_is_deleted_and_the_boxs_own_only_paused(depot_db: Database) -> None:
    change(depot_db)
    timetable.delete(depot_db, "new", "ann", NOW)
    with pytest.raises(NotFound):
        timetable.delete(depot_db, "new", "ann", NOW)
    with pytest.raises(Refused, match="pausing it lasts"):
        timetable.delete(depot_db, "check-trip-timeouts", "ann", NOW)


def test_who_changes_the_schedule_is_written_down(depot_db: Database) -> None:
    change(depot_db)
    timetable.pause(depot_db, "new", "ann", NOW)
    timetable.resume(depot_db, "new", "bob", NOW)
    with write_tx(depot_db) as tx:
        ask = timetable.run_now(tx, "new", "ann", NOW)
    timetable.delete(depot_db, "new", "ann", NOW)
    kept = rows(depot_db, "SELECT who, action, detail FROM audit_log WHERE subject_uid = 'new' ORDER BY id")
    assert [tuple(one.values()) for one in kept] == [
        ("ann", "schedule.set", f"{TIMEOUTS} every 60 s"),
        ("ann", "schedule.paused", ""),
        ("bob", "schedule.resumed", ""),
        ("ann", "schedule.run", f"job {ask.id}"),
        ("ann", "schedule.deleted", ""),
    ]
