"""The schedule and the clock: what is due runs once, whatever the wall clock does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance import jobs, timetable
from appliance.errors import InputError
from appliance.storage import jobs as job_rows
from appliance.storage import schedules, times
from appliance.storage.db import open_depot, rows, value, write_tx
from appliance.storage.migrations import migrate
from tasks.clockwatch import ClockWatch
from tasks.schedule import Schedule

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONDON = "Europe/London"
STEPS = [timedelta(hours=-1), timedelta(days=1), datetime(1970, 1, 1, tzinfo=UTC) - NOW]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    migrate(tmp_path / "depot.db")
    opened = open_depot(tmp_path / "depot.db")
    yield opened
    opened.conn.close()


def entry(db: Database, **when: object) -> None:
    options = {"every_s": None, "crontab": None, "zone": None, "arguments": None} | when
    timetable.change(db, "entry", task="trips.tasks.check_trip_timeouts", who="test", now=NOW, **options)  # type: ignore[arg-type]


class Box:
    """Two clocks, and beat's round over them: a wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.wall, self.elapsed = NOW, 0.0
        self.watch = ClockWatch(db, lambda: self.elapsed)
        self.schedule = Schedule(db, LONDON)
        self.runs: list[float] = []

    def tick(self, seconds: float = 1.0) -> None:
        self.wall += timedelta(seconds=seconds)
        self.elapsed += seconds
        self.watch.step(self.wall)
        for ask in self.schedule.step(self.wall):
            self.runs.append(self.elapsed)
            with write_tx(self.db) as tx:  # taken by a worker at once
                assert job_rows.claim(tx, ask.id, "worker", self.wall)

    def until(self, elapsed: float) -> None:
        while self.elapsed < elapsed:
            self.tick()


def test_a_new_entry_runs_one_interval_later_and_then_on_its_grid(db: Database) -> None:
    """Every 60 s, looked at each second."""
    entry(db, every_s=60.0)
    box = Box(db)
    box.until(200)
    assert box.runs == [61, 121, 181]


@pytest.mark.parametrize("step", STEPS, ids=["an hour back", "a day ahead", "1970"])
def test_an_interval_entry_is_due_when_it_was_due_whatever_the_clock_does(db: Database, step: timedelta) -> None:
    """Stepped between two runs: the next comes within a second of its time, and only once."""
    entry(db, every_s=60.0)
    box = Box(db)
    box.until(90)
    box.wall += step
    box.until(200)
    assert box.runs == [61, 121, 181]


@pytest.mark.parametrize("step", STEPS, ids=["an hour back", "a day ahead", "1970"])
def test_a_waiting_job_is_due_when_it_was_due_whatever_the_clock_does(db: Database, step: timedelta) -> None:
    """A job that waits for 30 s still does, and one that was due stays due."""
    box = Box(db)
    box.tick()
    with write_tx(db) as tx:
        later = jobs.enqueue(tx, "trips.tasks.check_trip_timeouts", now=box.wall, delay_s=30.0)
        due = jobs.enqueue(tx, "trips.tasks.check_trip_timeouts", now=box.wall)
    box.wall += step
    box.tick()
    assert [row["id"] for row in job_rows.unfinished(db, box.wall)] == [due.id]
    box.until(30)
    assert later.id not in [row["id"] for row in job_rows.unfinished(db, box.wall)]
    box.until(32)
    assert later.id in [row["id"] for row in job_rows.unfinished(db, box.wall)]


def test_jobs_sent_before_a_step_count_as_not_sent(db: Database) -> None:
    """Their age cannot be told any more: the sweeper sends them again."""
    box = Box(db)
    box.tick()
    with write_tx(db) as tx:
        jobs.enqueue(tx, "trips.tasks.check_trip_timeouts", now=box.wall)
    box.wall -= timedelta(hours=1)
    box.tick()
    assert value(db, "SELECT count(*) FROM jobs WHERE sent_at IS NOT NULL") == 0


def test_a_clock_that_was_set_back_while_the_box_was_off_is_noticed_at_the_start(db: Database) -> None:
    """No battery: after the power cut the clock is behind; what was due before stays due."""
    before = Box(db)
    before.tick()
    with write_tx(db) as tx:
        ask = jobs.enqueue(tx, "trips.tasks.check_trip_timeouts", now=before.wall)
    after = Box(db)
    after.wall = NOW - timedelta(days=2)
    after.tick()
    assert [row["id"] for row in job_rows.unfinished(db, after.wall)] == [ask.id]


def test_a_small_adjustment_of_the_clock_is_no_step(db: Database) -> None:
    """The time service slews by less than two seconds at a time."""
    box = Box(db)
    box.tick()
    box.wall += timedelta(seconds=1.5)
    assert box.watch.step(box.wall) == timedelta()


def test_a_daily_entry_that_was_overdue_for_days_runs_once_and_counts_what_it_missed(db: Database) -> None:
    """Off from Friday to Monday: one run, two more missed."""
    entry(db, crontab="0 2 * * *")
    box = Box(db)
    box.tick()
    box.schedule.step(NOW)
    on = Schedule(db, LONDON)
    later = NOW + timedelta(days=3)
    assert len(on.step(later)) == 1
    assert on.step(later + timedelta(seconds=1)) == []
    assert schedules.get(db, "entry")["missed"] == 2  # type: ignore[index]


def test_a_daily_entry_does_not_run_again_when_the_clock_goes_back_over_its_time(db: Database) -> None:
    """02:00 has run; at 02:30 the clock is set back to 01:30."""
    entry(db, crontab="0 2 * * *", zone="UTC")
    box = Box(db)
    box.wall = NOW.replace(hour=1, minute=59)
    box.until(100)
    assert len(box.runs) == 1
    box.wall -= timedelta(minutes=30)
    box.until(100 + 45 * 60)
    assert len(box.runs) == 1
    box.until(100 + 25 * 3600)
    assert len(box.runs) == 2


@pytest.mark.parametrize("behind_s", [30, 3 * 3600])
@pytest.mark.parametrize("crontab", ["5 12 * * *", "1 0 * * *"], ids=["ran today", "ran by the wrong clock, too"])
def test_a_daily_entry_runs_once_a_day_though_the_clock_was_in_1970_for_a_while(
    db: Database, crontab: str, behind_s: int
) -> None:
    """As after each power cut of a box without a clock battery: 1970 until the time service answers."""
    entry(db, crontab=crontab, zone="UTC")
    box = Box(db)
    box.until(13 * 3600)
    assert len(box.runs) == 1
    right = box.wall
    box.wall = datetime(1970, 1, 1, tzinfo=UTC)
    began, ran = box.elapsed, len(box.runs)
    box.until(began + behind_s)
    by_the_wrong_clock = len(box.runs) - ran
    assert by_the_wrong_clock == (1 if crontab.startswith("1 0") and behind_s > 30 else 0)
    box.wall = right + timedelta(seconds=behind_s)
    box.tick()
    box.tick()
    assert len(box.runs) == ran + by_the_wrong_clock
    due = schedules.get(db, "entry")
    assert due is not None
    assert times.parse(due["next_run_at"]) > box.wall
    box.until(box.elapsed + 24 * 3600)
    assert len(box.runs) == ran + by_the_wrong_clock + 1


def test_a_daily_entry_that_was_missed_in_a_power_cut_runs_once_the_clock_is_right(db: Database) -> None:
    """Off from 23:00 to 03:00; the clock comes up in 1970 and jumps two minutes later."""
    entry(db, crontab="0 2 * * *", zone="UTC")
    box = Box(db)
    box.until(20 * 3600)  # ran at 02:00
    assert len(box.runs) == 1
    right = box.wall
    after = Box(db)
    after.wall = datetime(1970, 1, 1, tzinfo=UTC)
    after.until(120)
    assert after.runs == []
    after.wall = right + timedelta(hours=20)
    after.tick()
    after.tick()
    assert len(after.runs) == 1


def test_two_beats_at_once_run_an_entry_once(db: Database) -> None:
    """Whoever moves the entry on runs it."""
    entry(db, every_s=60.0)
    one, other = Schedule(db, LONDON), Schedule(db, LONDON)
    for beat in (one, other):
        beat.step(NOW)
    due = NOW + timedelta(seconds=61)
    planned = schedules.enabled(db)
    assert len(one.step(due)) == 1
    assert other._run_if_due(next(row for row in planned if row["name"] == "entry"), due) is None
    assert len(rows(db, "SELECT id FROM jobs")) == 1


def test_an_edit_takes_effect_without_a_restart(db: Database) -> None:
    """From every hour to every minute, paused, and on again."""
    entry(db, every_s=3600.0)
    box = Box(db)
    box.until(100)
    entry(db, every_s=60.0)
    box.until(190)
    assert box.runs == [161]
    with write_tx(db) as tx:
        assert schedules.enable(tx, "entry", False)
    box.until(400)
    assert box.runs == [161]
    with write_tx(db) as tx:
        assert schedules.enable(tx, "entry", True)
    box.until(470)
    assert box.runs == [161, 461]


def test_one_broken_entry_does_not_hold_up_the_others(db: Database) -> None:
    """A crontab that somebody wrote into the table by hand."""
    entry(db, every_s=60.0)
    db.conn.execute("INSERT INTO schedules (name, task, crontab) VALUES ('broken', 'x', 'a b c')")
    box = Box(db)
    box.until(70)
    assert box.runs == [61]


@pytest.mark.parametrize(
    "wrong",
    [{}, {"every_s": 5.0, "crontab": "* * * * *"}, {"crontab": "x"}, {"crontab": "0 2 * * *", "zone": "Mars"},
     {"every_s": 5.0, "arguments": "[1]"}],
)  # fmt: skip
def test_a_wrong_entry_is_refused_and_nothing_changed(db: Database, wrong: dict[str, object]) -> None:
    """No interval and no crontab, both, a crontab or zone that is none, arguments that are no object."""
    with pytest.raises(InputError):
        entry(db, **wrong)
    assert schedules.get(db, "entry") is None


def test_times_keep_their_form_when_sqlite_moves_them(db: Database) -> None:
    """What `times.text` writes, to the millisecond."""
    at = NOW + timedelta(milliseconds=123)
    moved = value(
        db, "SELECT strftime(?, ?, ?)", times.SQL_FORMAT, times.text(at), times.modifier(timedelta(seconds=-3600.5))
    )
    assert moved == times.text(at - timedelta(seconds=3600.5))
