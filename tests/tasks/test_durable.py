"""Durable tasks: effect and `done` together, once; what an error means; a worker that cannot even say so."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Ignore

from appliance import jobs, worker_lock
from appliance.errors import Busy, NotFound, Permanent, Transient
from appliance.sender import HAS_ROW
from appliance.storage import jobs as job_rows
from appliance.storage import times
from appliance.storage.db import connect, insert, rows, value, write_tx
from tasks import arrival
from tasks.box import Box
from tasks.durable import finishing
from tasks.trips import broadcast_trip_status
from tests.cast import NOON, SetClock
from tests.tasks.probe import PROBE, Probe, awkward, only_job, probe_task


def run(n: int = 1, task_id: str = "j1") -> Any:
    """One delivery of the job's message."""
    return probe_task.apply(args=() if job_exists(task_id) else (n,), task_id=task_id)


def job_exists(id: str) -> bool:
    from tasks.box import box

    return job_rows.get(box().db, id) is not None


def fail_with(probe: Probe, error: Exception) -> None:
    def work(_n: int) -> None:
        raise error

    probe.work = work


def note(tx: Any, text: str) -> None:
    """An effect that is easy to count."""
    insert(tx, "identity", key=text, value=text)


def notes(box: Box) -> list[str]:
    return [row["key"] for row in rows(box.db, "SELECT key FROM identity ORDER BY key")]


def due_in(box: Box, now: datetime) -> float:
    return (times.parse(only_job(box.db)["due_at"]) - now).total_seconds()


def test_a_call_by_name_gets_its_row_when_it_arrives(box: Box, probe: Probe, set_clock: SetClock) -> None:
    assert run(7).get() == 7
    job = only_job(box.db)
    assert (job["id"], job["name"], job["state"], job["attempts"]) == ("j1", PROBE, "done", 1)
    assert job_rows.arguments(job) == {"n": 7}
    assert job["result"] == "7"


def test_a_second_delivery_finds_nothing_to_do(box: Box, probe: Probe, set_clock: SetClock) -> None:
    run(7)
    assert run(7).state == "IGNORED"
    assert probe.calls == [7]
    assert only_job(box.db)["attempts"] == 1


def test_the_arguments_are_those_of_the_row_whatever_the_message_says(
    box: Box, probe: Probe, set_clock: SetClock
) -> None:
    probe_task.apply_async((3,), task_id="j1")
    probe_task.apply(args=(99,), task_id="j1")
    assert probe.calls == [3]


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {}), ((), {"m": 1}), ((1,), {"n": 1})])
def test_arguments_that_do_not_fit_are_refused_before_there_is_a_row(
    box: Box, probe: Probe, args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    with pytest.raises(TypeError):
        probe_task.delay(*args, **kwargs)
    assert job_rows.listed(box.db, None, 10) == []


def test_effect_and_done_commit_together(box: Box, probe: Probe, set_clock: SetClock) -> None:
    def work(_n: int) -> str:
        with finishing() as step:
            note(step.tx, "effect")
            assert only_job(box.db)["state"] == "running"
            step.result = "made"
        return "not this one"

    probe.work = work
    assert run().get() == "made"
    assert notes(box) == ["effect"]


def test_an_error_inside_undoes_the_effect(box: Box, probe: Probe, set_clock: SetClock) -> None:
    def work(_n: int) -> None:
        with finishing() as step:
            note(step.tx, "effect")
            raise ValueError("halfway")

    probe.work = work
    run()
    assert notes(box) == []
    assert only_job(box.db)["state"] == "waiting"


def test_an_attempt_that_was_given_to_another_worker_has_no_effect(box: Box, probe: Probe, set_clock: SetClock) -> None:
    """It was taken for dead while it slept; the other one is through when it wakes."""

    def work(n: int) -> None:
        if probe.calls == [n]:
            with write_tx(box.db) as tx:
                job_rows.wait(tx, "j1", 1, NOON, "the worker died", failures=1)
            run()
        with finishing() as step:
            note(step.tx, f"effect {len(probe.calls)}")

    probe.work = work
    assert run().state == "IGNORED"
    assert notes(box) == ["effect 2"]
    assert (only_job(box.db)["state"], only_job(box.db)["attempts"]) == ("done", 2)


def test_an_error_after_the_commit_does_not_undo_the_job(box: Box, probe: Probe, set_clock: SetClock) -> None:
    def work(_n: int) -> None:
        with finishing() as step:
            note(step.tx, "effect")
        raise ValueError("afterwards")

    probe.work = work
    assert run().state == "FAILURE"
    assert only_job(box.db)["state"] == "done"
    assert run().state == "IGNORED"
    assert notes(box) == ["effect"]


def test_what_will_pass_by_itself_waits_a_minute_doubling_to_an_hour_as_long_as_it_takes(
    box: Box, probe: Probe, set_clock: SetClock
) -> None:
    fail_with(probe, Transient("the relay does not answer"))
    waits = []
    for _ in range(9):
        assert run().state == "IGNORED"
        waits.append(due_in(box, set_clock.at))
        set_clock.move(waits[-1])
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    job = only_job(box.db)
    assert (job["state"], job["failures"], job["error"]) == ("waiting", 0, "Transient: the relay does not answer")
    probe.work = lambda n: n
    assert run().state == "SUCCESS"


def test_after_a_persons_retry_the_waiting_starts_at_a_minute_again(
    box: Box, probe: Probe, set_clock: SetClock
) -> None:
    fail_with(probe, Transient("the relay does not answer"))
    for _ in range(3):
        run()
        set_clock.move(due_in(box, set_clock.at))
    id = only_job(box.db)["id"]
    with write_tx(box.db) as tx:
        assert job_rows.discard(tx, id, "ann", set_clock.at)
        assert job_rows.retry(tx, id, "ann", set_clock.at)
    run()
    assert due_in(box, set_clock.at) == 60


def test_a_delivery_before_its_time_is_not_a_try(box: Box, probe: Probe, set_clock: SetClock) -> None:
    fail_with(probe, Transient("no"))
    run()
    set_clock.move(59)
    assert run().state == "IGNORED"
    assert len(probe.calls) == 1


def test_what_will_not_pass_is_parked_at_once(box: Box, probe: Probe, set_clock: SetClock) -> None:
    fail_with(probe, Permanent("the relay knows no such address"))
    assert run().state == "FAILURE"
    job = only_job(box.db)
    assert (job["state"], job["attempts"], job["finished_at"]) == ("failed", 1, times.text(NOON))
    assert "Permanent: the relay knows no such address" in job["traceback"]
    assert run().state == "IGNORED"


@pytest.mark.parametrize("error", [ValueError("odd"), NotFound("no such trip"), TimeoutError()])
def test_anything_else_has_three_tries_a_minute_apart(
    box: Box, probe: Probe, set_clock: SetClock, error: Exception
) -> None:
    fail_with(probe, error)
    for failures in (1, 2):
        assert run().state == "IGNORED"
        assert (only_job(box.db)["failures"], due_in(box, set_clock.at)) == (failures, 60)
        set_clock.move(60)
    assert run().state == "FAILURE"
    job = only_job(box.db)
    assert (job["state"], job["failures"]) == ("failed", 3)
    assert type(error).__name__ in job["traceback"]


def test_after_a_person_says_so_a_parked_job_has_three_tries_again(box: Box, probe: Probe, set_clock: SetClock) -> None:
    fail_with(probe, Permanent("no"))
    run()
    with write_tx(box.db) as tx:
        assert job_rows.retry(tx, "j1", "ann", set_clock.at)
    fail_with(probe, ValueError("odd"))
    assert run().state == "IGNORED"
    assert only_job(box.db)["failures"] == 1


def test_a_busy_database_is_tried_again_in_a_second_and_counts_as_no_failure(
    box: Box, probe: Probe, set_clock: SetClock
) -> None:
    fail_with(probe, Busy("another writer"))
    for _ in range(5):
        assert run().state == "IGNORED"
        assert due_in(box, set_clock.at) == 1
        set_clock.move(1)
    assert only_job(box.db)["failures"] == 0


def test_a_job_whose_end_cannot_be_written_goes_to_another_worker(box: Box, probe: Probe, set_clock: SetClock) -> None:
    """The disk is full, or somebody holds the lock: this worker lives on, and would keep the job for ever."""
    rival = connect(box.settings.paths.depot_db)
    box.db.conn.execute("PRAGMA busy_timeout=20")

    def work(n: int) -> int:
        rival.conn.execute("BEGIN IMMEDIATE")
        return n

    probe.work = work
    name = box.lock.name
    with pytest.raises(Busy):
        probe_task.apply(args=(1,), task_id="j1", throw=True)
    rival.conn.execute("ROLLBACK")
    rival.conn.close()
    job = only_job(box.db)
    assert (job["state"], job["worker"]) == ("running", name)
    locks = box.settings.paths.worker_locks_dir
    assert worker_lock.is_dead(locks, name)
    assert not worker_lock.is_dead(locks, box.lock.name)
    probe.work = lambda n: n
    run(2, "j2")
    assert value(box.db, "SELECT worker FROM jobs WHERE id = 'j2'") == box.lock.name


def test_a_full_disk_loses_no_job(box: Box, probe: Probe, set_clock: SetClock) -> None:
    def work(_n: int) -> None:
        pages = value(box.db, "PRAGMA page_count")
        box.db.conn.execute(f"PRAGMA max_page_count={pages}")
        with finishing() as step:
            note(step.tx, "x" * 1_000_000)

    probe.work = work
    run()
    assert notes(box) == []
    assert only_job(box.db)["state"] in ("waiting", "running")
    assert only_job(box.db)["state"] == "waiting" or worker_lock.is_dead(
        box.settings.paths.worker_locks_dir, only_job(box.db)["worker"]
    )


def test_the_arguments_of_a_task_may_have_any_names(box: Box, probe: Probe, set_clock: SetClock) -> None:
    given = {"tx": 1, "name": "n", "now": "soon", "key": "k", "id": 7}
    by_delay = awkward.delay(**given)
    assert awkward.apply(task_id=by_delay.id).get() == [1, "n", "soon", "k", 7, 1.5]
    assert awkward.apply(kwargs=given, task_id="by-name").get() == [1, "n", "soon", "k", 7, 1.5]
    assert {row["key"] for row in rows(box.db, "SELECT key FROM jobs")} == {None}


def test_always_eager_runs_it_here_with_its_row(box: Box, probe: Probe, eager: None, set_clock: SetClock) -> None:
    assert probe_task.delay(n=4).get() == 4
    assert only_job(box.db)["state"] == "done"


def test_a_direct_call_is_a_job_as_well(box: Box, probe: Probe, set_clock: SetClock) -> None:
    assert probe_task(n=4) == 4
    assert only_job(box.db)["state"] == "done"
    fail_with(probe, Transient("no"))
    with pytest.raises(Ignore):
        probe_task(n=4)


def test_a_result_that_is_no_json_undoes_the_effect(box: Box, probe: Probe, set_clock: SetClock) -> None:
    def work(_n: int) -> None:
        with finishing() as step:
            note(step.tx, "effect")
            step.result = object()

    probe.work = work
    run()
    assert notes(box) == []
    assert only_job(box.db)["state"] == "waiting"


def test_the_error_of_a_job_names_where_it_came_from(box: Box, probe: Probe, set_clock: SetClock) -> None:
    def work(_n: int) -> None:
        sqlite3.connect(":memory:").execute("SELECT what")

    probe.work = work
    for _ in range(3):
        run()
        set_clock.move(61)
    job = only_job(box.db)
    assert job["error"] == "OperationalError: no such column: what"
    assert "test_durable.py" in job["traceback"]
    assert timedelta() < times.parse(job["finished_at"]) - NOON


def test_arguments_of_a_row_that_do_not_fit_park_it_at_once(box: Box, probe: Probe, set_clock: SetClock) -> None:
    """A schedule entry with wrong arguments, say."""
    with write_tx(box.db) as tx:
        jobs.enqueue_call(tx, PROBE, {"m": 1}, now=NOON, id="j1")
    run()
    assert (only_job(box.db)["state"], probe.calls) == ("failed", [])
    assert "tests.probe: the arguments do not fit: missing a required argument: 'n'" in only_job(box.db)["error"]


def test_celerys_own_retry_is_refused_with_the_boxs_way(box: Box, probe: Probe, set_clock: SetClock) -> None:
    def work(_n: int) -> None:
        probe_task.retry(countdown=5)

    probe.work = work
    run()
    assert only_job(box.db)["state"] == "failed"
    assert "raise appliance.errors.Transient" in only_job(box.db)["error"]


def test_a_call_by_name_is_a_row_as_soon_as_a_worker_has_it(box: Box, probe: Probe, set_clock: SetClock) -> None:
    """Due when it was asked for; one of the box's own has its row, and one that expires may be lost."""
    for id, more in {
        "now": {},
        "later": {"eta": NOON + timedelta(seconds=60)},
        "own": {"request_dict": {HAS_ROW: True}},
        "expires": {"expires": NOON},
    }.items():
        given = {"request_dict": {}, "eta": None, "expires": None, "args": [7], "kwargs": {}} | more
        arrival.received(SimpleNamespace(task=probe_task, id=id, **given))
    kept = {row["id"]: row for row in rows(box.db, "SELECT id, state, arguments, due_at FROM jobs")}
    assert {id: times.parse(row["due_at"]) - NOON for id, row in kept.items()} == {
        "now": timedelta(), "later": timedelta(seconds=60)
    }  # fmt: skip
    assert run(task_id="now").get() == 7


def test_what_a_broadcast_fails_with_stays_in_its_process(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(trip_id: int) -> None:
        raise ValueError("bad patient Zyxquilla")

    monkeypatch.setattr(broadcast_trip_status, "run", fail)
    broadcast_trip_status.push_request(called_directly=False, is_eager=False)
    try:
        with pytest.raises(Permanent) as caught:
            broadcast_trip_status(1)
    finally:
        broadcast_trip_status.pop_request()
    assert "Zyxquilla" not in str(caught.value)
    assert caught.value.__suppress_context__
