"""What the day files keep: every fix once, in its own day, and what changed after the fact."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.fix import Fix, Reason, Rejection
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Arrival, Batch, Refused, Writer
from tests.bench.history import bytes_per_fix, simulated_arrivals
from tests.cast import NOON

TODAY = NOON.date()
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def writer(tmp_path: Path) -> Any:
    made = Writer(tmp_path, late_s=10.0)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def fix(at: datetime, **more: Any) -> Fix:
    return Fix(**({"at": at, "lat": 53.4, "lon": -2.9} | more))


def prompt(*fixes: Fix) -> Batch:
    return Batch([Arrival(1, 1, one, one.at + timedelta(seconds=1)) for one in fixes])


def late(*fixes: Fix, received: datetime = NOON) -> Batch:
    return Batch([Arrival(1, 1, one, received) for one in fixes])


def test_a_fix_is_read_as_it_was_written(writer: Writer, store: Store) -> None:
    sent = fix(
        NOON, lat=53.1234567, lon=-2.7654321, speed_kmh=42.5, heading_deg=271.0, accuracy_m=5.0, altitude_m=-3.0,
        odometer_m=123456789.0, ignition=False, battery_pct=87.0, format="owntracks",
    )  # fmt: skip
    writer.commit(prompt(sent), NOON)
    assert store.trail(1, 1, NOON, NOON) == [sent]


def test_what_a_device_does_not_say_stays_unsaid(writer: Writer, store: Store) -> None:
    writer.commit(prompt(fix(NOON)), NOON)
    assert store.trail(1, None, NOON, NOON) == [fix(NOON)]


def test_the_same_fix_twice_is_one_row(writer: Writer, store: Store) -> None:
    assert writer.commit(prompt(fix(NOON), fix(NOON)), NOON) == 1
    assert writer.commit(prompt(fix(NOON)), NOON) == 0
    assert store.count() == 1


def test_two_devices_of_a_vehicle_have_each_their_own_fix_of_a_moment(writer: Writer, store: Store) -> None:
    writer.commit(Batch([Arrival(1, device, fix(NOON), NOON) for device in (1, 2)]), NOON)
    assert len(store.trail(1, None, NOON, NOON)) == 2
    assert len(store.trail(1, 2, NOON, NOON)) == 1


def test_a_batch_over_several_days_lands_in_the_file_of_each(writer: Writer, store: Store) -> None:
    writer.commit(late(fix(NOON), fix(NOON - DAY), fix(NOON - 2 * DAY)), NOON)
    assert store.days() == [TODAY - 2 * DAY, TODAY - DAY, TODAY]
    assert [len(store.trail(1, 1, NOON - n * DAY, NOON - n * DAY)) for n in range(3)] == [1, 1, 1]
    assert store.trail(1, 1, NOON - 3 * DAY, NOON) == [fix(NOON - n * DAY) for n in (2, 1, 0)]


def test_the_last_millisecond_of_a_day_is_not_the_next_day(writer: Writer, store: Store) -> None:
    midnight = NOON.replace(hour=0)
    before, after = midnight - timedelta(milliseconds=1), midnight
    writer.commit(prompt(fix(before), fix(after)), NOON)
    assert store.days() == [TODAY - DAY, TODAY]
    assert store.trail(1, 1, before, before) == [fix(before)]
    assert store.trail(1, 1, before, after) == [fix(before), fix(after)]


def test_a_fix_in_another_zone_lands_in_its_utc_day(writer: Writer, store: Store) -> None:
    writer.commit(prompt(fix(datetime.fromisoformat("2026-01-27T01:30:00+02:00"))), NOON)
    assert store.days() == [date(2026, 1, 26)]


def test_a_prompt_fix_leaves_no_change_row(writer: Writer, store: Store) -> None:
    writer.commit(prompt(*(fix(NOON + timedelta(seconds=n)) for n in range(5))), NOON)
    assert store.changes(TODAY, 0) == []


def test_late_fixes_leave_one_change_row_with_their_span(writer: Writer, store: Store) -> None:
    fixes = [fix(NOON - HOUR - timedelta(seconds=n)) for n in (30, 10, 20)]
    writer.commit(late(*fixes), NOON)
    (change,) = store.changes(TODAY, 0)
    assert (change.vehicle, change.start, change.end) == (1, NOON - HOUR - timedelta(seconds=30), fixes[1].at)
    assert store.changes(TODAY, change.id) == []


def test_a_late_fix_that_is_known_already_leaves_no_change_row(writer: Writer, store: Store) -> None:
    writer.commit(prompt(fix(NOON - HOUR)), NOON)
    assert writer.commit(late(fix(NOON - HOUR)), NOON) == 0
    assert store.changes(TODAY, 0) == []


def test_a_late_fix_of_another_value_leaves_a_change_row_only_when_it_wins(writer: Writer, store: Store) -> None:
    writer.commit(prompt(fix(NOON - HOUR, lat=53.5)), NOON)
    assert writer.commit(late(fix(NOON - HOUR, lat=53.4)), NOON) == 0
    assert store.changes(TODAY, 0) == []
    assert writer.commit(late(fix(NOON - HOUR, lat=53.6)), NOON) == 1
    assert [change.start for change in store.changes(TODAY, 0)] == [NOON - HOUR]
    assert store.trail(1, 1, NOON - HOUR, NOON) == [fix(NOON - HOUR, lat=53.6)]


def test_a_change_row_stands_in_the_day_of_its_fix(writer: Writer, store: Store) -> None:
    writer.commit(late(fix(NOON - DAY), fix(NOON - HOUR)), NOON)
    assert [len(store.changes(day, 0)) for day in (TODAY - DAY, TODAY)] == [1, 1]


def test_sequences_are_known_after_a_restart(writer: Writer, tmp_path: Path) -> None:
    writer.commit(Batch(sequences={(1, 7): 5, (2, 7): 9}), NOON)
    writer.commit(Batch(sequences={(1, 7): 8}), NOON + DAY)
    writer.commit(Batch(sequences={(1, 7): 6}), NOON + DAY)  # never back
    writer.close()
    assert Store(tmp_path).sequences() == {(1, 7): 8, (2, 7): 9}


def test_the_sequence_commits_after_the_fixes_of_other_days(writer: Writer, store: Store, tmp_path: Path) -> None:
    """A crash between two files may say less than is stored, never more."""
    writer.commit(prompt(fix(NOON)), NOON)
    lock = sqlite3.connect(tmp_path / f"{TODAY}.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    writer._file(TODAY).db.conn.execute("PRAGMA busy_timeout=20")
    batch = late(fix(NOON - DAY))
    batch.sequences[1, 1] = 1
    with pytest.raises(Exception, match="another writer"):
        writer.commit(batch, NOON)
    lock.close()
    assert store.count() == 2
    assert store.sequences() == {}


def refused(payload: bytes, vehicle: str = "VAN-1") -> Refused:
    rejection = Rejection(Reason.null_island, "0/0", "a position")
    return Refused(vehicle, 1, rejection, payload, NOON)


def test_a_rejected_fix_is_kept_once_with_its_reason(writer: Writer, store: Store) -> None:
    for _ in range(2):
        writer.commit(Batch(refused=[refused(b"{}"), refused(b"{}"), refused(b"[]")]), NOON)
    writer.commit(Batch(refused=[refused(b"{}", "VAN-2")]), NOON)
    found, total = store.rejected(2)
    assert total == 3
    assert len(found) == 2
    assert {key: found[0][key] for key in ("reason", "value", "bound")} == {
        "reason": "null_island", "value": "0/0", "bound": "a position",
    }  # fmt: skip


@pytest.mark.parametrize("vehicle", ["", "v" * 500, "Ü" * 60, "a\0b"])
def test_a_rejection_of_any_vehicle_name_can_be_stored(writer: Writer, store: Store, vehicle: str) -> None:
    """The name is part of a topic, and the box's own account may write to any."""
    writer.commit(Batch(refused=[refused(b"x", vehicle)]), NOON)
    assert store.rejected()[0][0]["vehicle"] == vehicle


def test_a_name_and_a_payload_are_not_run_together(writer: Writer, store: Store) -> None:
    writer.commit(Batch(refused=[refused(b"bc", "a"), refused(b"c", "ab")]), NOON)
    assert store.rejected()[1] == 2


def test_many_days_at_once_need_few_open_files(writer: Writer, store: Store) -> None:
    writer.commit(late(*(fix(NOON - n * DAY) for n in range(12))), NOON)
    writer.commit(late(*(fix(NOON - n * DAY, lat=53.5) for n in range(12))), NOON)
    assert len(writer._open) <= 8
    assert store.count() == 12


def test_a_fix_takes_40_bytes_or_less(tmp_path: Path) -> None:
    """Of 200 vehicles at 1 Hz with speed, heading, accuracy and altitude, in the order in which they come."""
    assert bytes_per_fix(tmp_path / "gps", simulated_arrivals(200)) <= 40
