"""Late fixes become recomputed trips: each change row once, whatever is killed in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlite_utils import Database

from appliance.domain.fix import Fix
from appliance.storage import jobs as job_rows
from appliance.storage import watermarks
from appliance.storage.db import rows, value, write_tx
from appliance.storage.gps_writer import Arrival, Batch, Writer
from tasks.box import Box
from tasks.sweeper import Sweeper
from tests.cast import NOON, Cast, eastward, new_trip, ride

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LATER = NOON + timedelta(hours=3)


@pytest.fixture
def writer(box: Box) -> Iterator[Writer]:
    made = Writer(box.settings.paths.gps_dir, late_s=10.0)
    yield made
    made.close()


def sweeper_of(box: Box) -> Sweeper:
    return Sweeper(box.settings, box.db, box.sender, box.fixes)


@pytest.fixture
def trip(box: Box, hired: Cast) -> int:
    """From noon to ten past; its closing is done."""
    with write_tx(box.db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, NOON + 10 * MINUTE)
        tx.conn.execute("UPDATE jobs SET state = 'done'")
    return id


def come_late(writer: Writer, cast: Cast, fixes: list[Fix], vehicle: int | None = None) -> None:
    writer.commit(Batch([Arrival(vehicle or cast.van, cast.tracker, fix, LATER) for fix in fixes]), LATER)


def closings(db: Database) -> list[int]:
    """The trips that are to be closed again."""
    found = rows(db, "SELECT * FROM jobs WHERE name LIKE '%completion' AND state = 'pending'")
    return [job_rows.arguments(row)["trip_id"] for row in found]


def test_a_late_fix_of_a_completed_trip_asks_for_its_closing_once(
    box: Box, hired: Cast, trip: int, writer: Writer
) -> None:
    sweeper = sweeper_of(box)
    come_late(writer, hired, eastward(NOON, 3))
    assert [sweeper.recompute_changed_trips(LATER) for _ in range(3)] == [1, 0, 0]
    assert closings(box.db) == [trip]
    assert sweeper_of(box).recompute_changed_trips(LATER) == 0  # after a restart
    assert watermarks.every(box.db) == {NOON.date(): 1}


def test_it_settles_first(box: Box, hired: Cast, trip: int, writer: Writer) -> None:
    come_late(writer, hired, eastward(NOON, 3))
    sweeper_of(box).recompute_changed_trips(LATER)
    assert job_rows.unfinished(box.db, LATER + timedelta(seconds=59)) == []
    assert len(job_rows.unfinished(box.db, LATER + timedelta(seconds=60))) == 1


@pytest.mark.parametrize("minutes", [-5, 11])
def test_a_late_fix_outside_the_trip_asks_for_nothing(
    box: Box, hired: Cast, trip: int, writer: Writer, minutes: int
) -> None:
    come_late(writer, hired, eastward(NOON + minutes * MINUTE, 2))
    assert sweeper_of(box).recompute_changed_trips(LATER) == 1
    assert closings(box.db) == []


def test_a_late_fix_of_another_vehicle_asks_for_nothing(box: Box, hired: Cast, trip: int, writer: Writer) -> None:
    come_late(writer, hired, eastward(NOON, 2), vehicle=hired.other_van)
    sweeper_of(box).recompute_changed_trips(LATER)
    assert closings(box.db) == []


def test_a_trip_over_midnight_is_touched_from_both_days(box: Box, hired: Cast, writer: Writer) -> None:
    midnight = NOON.replace(hour=0) + DAY
    with write_tx(box.db) as tx:
        id = new_trip(tx)
        ride(tx, id, midnight - MINUTE, midnight + MINUTE)
        tx.conn.execute("UPDATE jobs SET state = 'done'")
    for start in (midnight - MINUTE, midnight + timedelta(seconds=5)):
        late = [Arrival(hired.van, hired.tracker, fix, midnight + DAY) for fix in eastward(start, 2)]
        writer.commit(Batch(late), midnight + DAY)
        sweeper_of(box).recompute_changed_trips(midnight + DAY)
        assert closings(box.db) == [id]
        box.db.conn.execute("UPDATE jobs SET state = 'done'")


def test_a_crash_before_the_commit_forgets_nothing(
    box: Box, hired: Cast, trip: int, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_late(writer, hired, eastward(NOON, 3))
    sweeper = sweeper_of(box)
    with monkeypatch.context() as patch:
        patch.setattr(watermarks, "move", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sweeper.recompute_changed_trips(LATER)
    assert closings(box.db) == []
    assert watermarks.every(box.db) == {}
    assert sweeper.recompute_changed_trips(LATER) == 1
    assert closings(box.db) == [trip]


def test_more_changes_than_a_step_can_hold_are_worked_through(box: Box, hired: Cast, trip: int, writer: Writer) -> None:
    db = writer._file(NOON.date()).db
    with write_tx(db) as tx:
        tx.conn.executemany("INSERT INTO changes (vehicle, t_from, t_to) VALUES (?, ?, ?)", [(9, 0, 0)] * 700)
    come_late(writer, hired, eastward(NOON, 3))
    sweeper = sweeper_of(box)
    assert [sweeper.recompute_changed_trips(LATER) for _ in range(3)] == [500, 201, 0]
    assert closings(box.db) == [trip]


def test_a_damaged_day_does_not_stop_the_sweeper(box: Box, hired: Cast, trip: int, writer: Writer) -> None:
    come_late(writer, hired, eastward(NOON, 3))
    (box.settings.paths.gps_dir / "2026-01-25.db").write_bytes(b"no database " * 999)
    assert sweeper_of(box).recompute_changed_trips(LATER) == 1
    assert closings(box.db) == [trip]


def test_what_is_to_be_sent_is_told_to_nobody_by_name(box: Box, hired: Cast, trip: int, writer: Writer) -> None:
    come_late(writer, hired, eastward(NOON, 3))
    sweeper_of(box).recompute_changed_trips(LATER)
    assert value(box.db, "SELECT count(*) FROM jobs WHERE arguments LIKE '%Ada%'") == 0
