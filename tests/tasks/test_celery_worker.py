"""Celery for real: a worker as the operators' guide starts it, on a real Redis."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from appliance import clock, jobs
from appliance.config import Settings
from appliance.paths import PROJECT_ROOT
from appliance.sender import celery_basics, redis_url
from appliance.storage import jobs as job_rows
from appliance.storage import times
from appliance.storage.db import Row, rows, value, write_tx
from appliance.storage.gps_writer import Batch, Writer
from tasks import box as boxes
from tasks.billing import generate_invoice
from tasks.box import Box
from tasks.sweeper import Sweeper
from tests import cast as play
from tests.cast import Cast, arrivals, eastward, environ, new_trip, ride
from tests.servers import CeleryWorker, Redis, running_redis, wait_for

SLOW = "tests.slow"
PROBES = Path(__file__).with_name("slow_task.py")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Settings, Redis]]:
    """One depot with Redis and one worker for all tests here."""
    with tempfile.TemporaryDirectory(prefix="depot-", dir=play.MEMORY) as folder, contextlib.ExitStack() as cleanup:
        settings = play.depot(Path(folder))
        os.mkfifo(settings.paths.run_dir / "slow")
        redis = cleanup.enter_context(running_redis(settings))
        worker = CeleryWorker(settings, include=PROBES)
        try:
            yield settings, redis
        finally:
            worker.stop()


@pytest.fixture(scope="module")
def parts(running: tuple[Settings, Redis]) -> Iterator[Box]:
    """This process as a producer of that depot."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value_ in environ(running[0]).items():
            patch.setenv(name, value_)
        patch.setattr(boxes, "_boxes", {})
        patch.setitem(jobs.TASKS, SLOW, "normal")
        yield boxes.box()


@pytest.fixture(scope="module")
def cast(parts: Box) -> Cast:
    return play.hire(parts.db, clock.now())


@pytest.fixture
def outside(running: tuple[Settings, Redis]) -> Celery:
    """Another program that knows the tasks by their names and reads results from Redis."""
    app = Celery("outside", set_as_current=False)
    app.conf.update(celery_basics(running[0].paths) | {"result_backend": redis_url(running[0].paths, 1)})
    return app


_trips = itertools.count(1)


def completed_trip(parts: Box, cast: Cast) -> int:
    now = clock.now().replace(microsecond=0)
    start = now - timedelta(minutes=20 * next(_trips))
    with write_tx(parts.db) as tx:
        id = new_trip(tx, start)
        ride(tx, id, start, start + timedelta(minutes=10), now=now)
        tx.conn.execute("UPDATE trips SET distance_m = 6000 WHERE id = ?", (id,))
        tx.conn.execute("UPDATE jobs SET state = 'discarded', finished_at = due_at WHERE state = 'pending'")
    writer = Writer(parts.settings.paths.gps_dir, late_s=10.0)
    writer.commit(Batch(arrivals(cast, eastward(start, 61))), now)
    writer.close()
    return id


def job(parts: Box, id: str) -> Row:
    found = job_rows.get(parts.db, id)
    assert found is not None
    return found


def ended(parts: Box, id: str) -> Row:
    """The job once it is done or parked."""
    wait_for(lambda: (job_rows.get(parts.db, id) or {}).get("state") in ("done", "failed"), f"job {id} has ended")
    return job(parts, id)


def ask_slow(parts: Box, key: str) -> str:
    with write_tx(parts.db) as tx:
        asked = jobs.enqueue_call(tx, SLOW, {"key": key}, now=clock.now())
    parts.sender.send([asked])
    wait_for(lambda: job(parts, asked.id)["state"] == "running", "the worker has it")
    return asked.id


def let_go(parts: Box) -> None:
    """The worker waits at the pipe's other end, or is on its way there."""
    opened: list[int] = []
    path = parts.settings.paths.run_dir / "slow"
    thread = threading.Thread(target=lambda: opened.append(os.open(path, os.O_WRONLY)), daemon=True)
    thread.start()
    wait_for(lambda: opened, "the task reads")
    os.write(opened[0], b"go\n")
    os.close(opened[0])


def test_an_invoice_by_delay_and_get_is_the_same_the_second_time(parts: Box, cast: Cast) -> None:
    trip = completed_trip(parts, cast)
    first = generate_invoice.delay(trip_id=trip).get(timeout=20)
    assert first["number"].startswith("LIV-")
    assert first["total_cents"] == 1500 + 60 * 20
    assert generate_invoice.delay(trip_id=trip).get(timeout=20) == first
    assert value(parts.db, "SELECT count(*) FROM invoices WHERE trip_id = ?", trip) == 1


def test_a_call_by_name_gets_its_row_and_its_result(parts: Box, cast: Cast, outside: Celery) -> None:
    trip = completed_trip(parts, cast)
    sent = outside.send_task("billing.tasks.generate_invoice", kwargs={"trip_id": trip}, queue="normal")
    answer = sent.get(timeout=20)
    found = job(parts, sent.id)
    assert json.loads(found["result"]) == answer
    assert (found["state"], json.loads(found["arguments"])) == ("done", {"trip_id": trip})


def test_a_call_by_name_has_its_row_once_the_worker_has_its_message(parts: Box, outside: Celery) -> None:
    """Before a process of the pool is free for it: a worker that is killed now takes nothing with it."""
    slow = ask_slow(parts, "in the way")
    sent = outside.send_task("trips.tasks.check_trip_timeouts", queue="normal")
    wait_for(lambda: job_rows.get(parts.db, sent.id), "its row")
    assert (job(parts, sent.id)["state"], job(parts, slow)["state"]) == ("pending", "running")
    let_go(parts)
    assert ended(parts, sent.id)["state"] == "done"


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"trip_id": 1}), ((), {"patient": "x"})]
)
def test_a_call_whose_arguments_do_not_fit_is_a_failed_job(
    parts: Box, outside: Celery, args: tuple[int, ...], kwargs: dict[str, Any]
) -> None:
    sent = outside.send_task("trips.tasks.process_trip_completion", args=args, kwargs=kwargs, queue="normal")
    found = ended(parts, sent.id)
    assert found["state"] == "failed"
    assert "trips.tasks.process_trip_completion: the arguments do not fit" in found["error"]
    assert len(json.loads(found["arguments"])) == len(args) + len(kwargs)
    forget(parts, sent.id)


def test_a_call_of_a_task_that_no_worker_knows_is_a_failed_job(parts: Box, outside: Celery) -> None:
    sent = outside.send_task("nosuch.task", args=(1,), kwargs={"trip_id": 2}, queue="normal")
    found = ended(parts, sent.id)
    assert (found["state"], found["error"]) == ("failed", "NotRegistered: no worker knows the task 'nosuch.task'")
    assert json.loads(found["arguments"]) == {"argument 1": 1, "trip_id": 2}
    forget(parts, sent.id)


def forget(parts: Box, id: str) -> None:
    with write_tx(parts.db) as tx:
        tx.conn.execute("DELETE FROM jobs WHERE id = ?", (id,))


def test_the_command_line_calls_a_task(parts: Box, cast: Cast) -> None:
    trip = completed_trip(parts, cast)
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tasks", "call", "trips.tasks.process_trip_completion",
         "--kwargs", json.dumps({"trip_id": trip})],
        cwd=PROJECT_ROOT, env=os.environ | environ(parts.settings), capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = ended(parts, done.stdout.strip())
    assert (found["state"], json.loads(found["result"])["fixes"]) == ("done", 61)


def test_one_worker_takes_all_three_queues(parts: Box, outside: Celery, running: tuple[Settings, Redis]) -> None:
    """`celery -A tasks worker`, as in the guide's first line."""
    ids = {}
    for name, arguments in {
        "users.tasks.send_daily_digest": {"user_id": 999},
        "trips.tasks.check_trip_timeouts": {},
    }.items():
        queue = jobs.TASKS[name]
        ids[queue] = outside.send_task(name, kwargs=arguments, queue=queue).id
    sent = outside.send_task("trips.tasks.broadcast_trip_status", args=(1, "x"), queue="high_priority")
    assert jobs.TASKS["trips.tasks.broadcast_trip_status"] == "high_priority"
    wait_for(lambda: all(job_rows.get(parts.db, id) for id in ids.values()), "their rows")
    log = parts.settings.paths.run_dir / "celery.log"
    wait_for(lambda: f"[{sent.id}] succeeded" in log.read_text(), "the broadcast was done")


def test_results_that_nobody_reads_are_not_stored(
    parts: Box, cast: Cast, outside: Celery, running: tuple[Settings, Redis]
) -> None:
    results = running[1].client(db=1)
    trip = completed_trip(parts, cast)
    by_name = outside.send_task("trips.tasks.process_trip_completion", kwargs={"trip_id": trip}, queue="normal")
    ephemeral = outside.send_task("trips.tasks.broadcast_gps_update", args=(trip, 1.0, 2.0), queue="high_priority")
    own = generate_invoice.delay(trip_id=trip)
    ended(parts, by_name.id)
    ended(parts, own.id)
    log = parts.settings.paths.run_dir / "celery.log"
    wait_for(lambda: f"[{ephemeral.id}] succeeded" in log.read_text(), "the broadcast was done")
    kept = [key.decode() for key in results.scan_iter("celery-task-meta-*")]
    assert [key for key in kept if key.rpartition("meta-")[2] in (by_name.id, ephemeral.id, own.id)] == []


def test_a_worker_that_is_killed_in_the_middle_of_a_job_does_it_once_in_the_end(parts: Box) -> None:
    """`kill -9` of the pool's process. The message was acknowledged long ago; the row knows better."""
    id = ask_slow(parts, "killed")
    victim = int(job(parts, id)["worker"].split("-")[0])
    os.kill(victim, signal.SIGKILL)
    sweeper = Sweeper(parts.settings, parts.db, parts.sender, parts.fixes)
    wait_for(lambda: sweeper.free_jobs_of_dead_workers(clock.now()), "its job is freed")
    assert job(parts, id)["state"] == "waiting"
    assert sweeper.send_again(clock.now()) == 1
    wait_for(lambda: job(parts, id)["state"] == "running", "another process has it")
    let_go(parts)
    found = ended(parts, id)
    assert (found["state"], found["attempts"], found["failures"]) == ("done", 2, 1)
    assert int(found["worker"].split("-")[0]) != victim
    assert value(parts.db, "SELECT count(*) FROM identity WHERE key = 'killed'") == 1


def test_a_second_message_for_a_running_job_does_nothing(parts: Box) -> None:
    id = ask_slow(parts, "doubled")
    for _ in range(3):
        parts.sender.send([jobs.Ask(id, SLOW, True)])
    let_go(parts)
    found = ended(parts, id)
    after = generate_invoice.delay(trip_id=10**6)  # behind the doubles in the same queue
    wait_for(lambda: job(parts, after.id)["attempts"] == 1, "the queue has been worked off")
    assert job(parts, id) == found
    assert found["attempts"] == 1


def test_a_task_that_no_worker_knows_is_tried_three_times_and_then_shown(parts: Box) -> None:
    """Its messages are thrown away: without a word of it in the row it would be sent for ever."""
    with write_tx(parts.db) as tx:
        asked = jobs.enqueue(tx, "no.such.task", now=clock.now(), trip_id=1)
    for failures in (1, 2, 3):
        parts.db.conn.execute("UPDATE jobs SET due_at = created_at WHERE id = ?", (asked.id,))
        parts.sender.send([asked])
        wait_for(lambda failures=failures: job(parts, asked.id)["failures"] == failures, "the worker has seen it")
    assert job(parts, asked.id)["state"] == "failed"
    assert "no worker knows the task 'no.such.task'" in job(parts, asked.id)["error"]
    with write_tx(parts.db) as tx:
        assert job_rows.discard(tx, asked.id, "test", clock.now())


def test_a_wiped_redis_in_the_middle_of_a_job_changes_nothing(parts: Box, running: tuple[Settings, Redis]) -> None:
    id = ask_slow(parts, "wiped")
    waiting = generate_invoice.delay(trip_id=10**6 + 1)
    running[1].client().flushall()
    let_go(parts)
    assert ended(parts, id)["state"] == "done"
    sweeper = Sweeper(parts.settings, parts.db, parts.sender, parts.fixes)

    def swept() -> Any:
        sweeper.send_again(clock.now() + timedelta(seconds=6))
        return job(parts, waiting.id)["attempts"]

    wait_for(swept, "the job that was only a message is tried after all")


def test_neither_log_nor_redis_has_the_words_of_an_error_or_of_arguments(
    parts: Box, outside: Celery, running: tuple[Settings, Redis]
) -> None:
    """Whether a task fails, cannot be called, or does not exist."""
    patient = {"patient": "Zyxquilla Quorvex"}
    with write_tx(parts.db) as tx:
        asked = jobs.enqueue_call(tx, "tests.rude", patient, now=clock.now())
        tx.conn.execute("UPDATE jobs SET failures = 2 WHERE id = ?", (asked.id,))
    sent = [outside.send_task(name, kwargs=patient, queue="normal") for name in ("nosuch.task", "tests.plain")]
    parts.sender.send([asked])
    found = ended(parts, asked.id)
    assert found["error"] == "ValueError: bad patient Zyxquilla Quorvex"
    log = parts.settings.paths.run_dir / "celery.log"
    wait_for(lambda: f"tests.plain[{sent[1].id}] raised unexpected: ValueError" in log.read_text(), "it has failed")
    said = log.read_text()
    assert "job.failed" in said
    assert "slow_task.py" in said  # where it came from
    assert "Quorvex" not in said
    for id in (asked.id, sent[0].id):
        forget(parts, id)
    kept = running[1].client(db=1)
    assert not [key for key in kept.scan_iter() if b"Quorvex" in (kept.dump(key) or b"")]


def test_the_log_of_a_worker_names_nobody(parts: Box, cast: Cast) -> None:
    generate_invoice.delay(trip_id=completed_trip(parts, cast)).get(timeout=20)
    log = (parts.settings.paths.run_dir / "celery.log").read_text()
    assert "billing.tasks.generate_invoice" in log
    for personal in ("Ada Marsh", "Utting", "County Care"):
        assert personal not in log
    assert times.text(clock.now())[:4] in log
    assert rows(parts.db, "SELECT 1 FROM jobs WHERE state = 'failed'") == []
