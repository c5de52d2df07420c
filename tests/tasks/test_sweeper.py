"""The sweeper: what was never claimed is sent again, the jobs of the dead are freed, and nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from sqlite_utils import Database

from appliance import jobs
from appliance.jobs import Ask
from appliance.storage import jobs as job_rows
from appliance.storage.db import rows, value, write_tx
from tasks.box import Box
from tasks.sweeper import Sweeper
from tests.cast import NOON
from tests.servers import Redis, wait_for

INVOICE, MAIL = "billing.tasks.generate_invoice", "billing.tasks.send_invoice_email"
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture
def sweeper(box: Box) -> Sweeper:
    return Sweeper(box.settings, box.db, box.sender, box.fixes)


def ask(db: Database, count: int = 1, now: datetime = NOON, name: str = INVOICE, **more: object) -> list[Ask]:
    with write_tx(db) as tx:
        return [jobs.enqueue(tx, name, now=now, trip_id=n, **more) for n in range(count)]  # type: ignore[arg-type]


def queued(redis: Redis, queue: str = "normal") -> list[str]:
    """The ids in a queue, oldest first."""
    return [json.loads(raw)["headers"]["id"] for raw in reversed(redis.client().lrange(queue, 0, -1))]


def test_after_a_wiped_redis_every_job_is_sent_again(box: Box, sweeper: Sweeper, redis_of_depot: Redis) -> None:
    asked = ask(box.db, 3)
    box.sender.send(asked)
    redis_of_depot.client().flushall()
    assert sweeper.send_again(NOON + 4 * SECOND) == 0  # a worker may just have taken them
    assert sweeper.send_again(NOON + 6 * SECOND) == 3
    assert sorted(queued(redis_of_depot)) == sorted(one.id for one in asked)
    assert sweeper.send_again(NOON + 7 * SECOND) == 0


def test_a_big_wiped_queue_is_sent_again_without_a_pause(box: Box, sweeper: Sweeper, redis_of_depot: Redis) -> None:
    """More than one step can hold; what came into the queue since does not hide what is missing."""
    asked = ask(box.db, 1200)
    late = NOON + 90 * SECOND
    sent = [sweeper.send_again(late + n * SECOND) for n in range(4)]
    assert sent == [500, 500, 200, 0]
    assert sorted(queued(redis_of_depot)) == sorted(one.id for one in asked)


def test_what_has_come_due_is_sent_once(box: Box, sweeper: Sweeper, redis_of_depot: Redis) -> None:
    (asked,) = ask(box.db, delay_s=60)
    assert sweeper.send_again(NOON + 59 * SECOND) == 0
    assert sweeper.send_again(NOON + 60 * SECOND) == 1
    assert sweeper.send_again(NOON + 61 * SECOND) == 0
    assert queued(redis_of_depot) == [asked.id]


def test_a_later_try_is_sent_when_its_time_has_come(box: Box, sweeper: Sweeper, redis_of_depot: Redis) -> None:
    (asked,) = ask(box.db)
    with write_tx(box.db) as tx:
        job_rows.claim(tx, asked.id, "w", NOON)
        job_rows.wait(tx, asked.id, 1, NOON + HOUR, "relay away", failures=0)
    assert sweeper.send_again(NOON + HOUR - SECOND) == 0
    assert sweeper.send_again(NOON + HOUR) == 1


def test_a_queue_that_is_merely_long_is_not_made_longer(box: Box, sweeper: Sweeper, redis_of_depot: Redis) -> None:
    """Three hundred mails behind a slow relay; one of them is always in the hands of the worker."""
    asked = ask(box.db, 300, name=MAIL)
    box.sender.send(asked)
    redis_of_depot.client().rpop("low_priority")
    sent = sum(sweeper.send_again(NOON + n * 10 * SECOND) for n in range(360))
    assert sent <= 2
    assert len(queued(redis_of_depot, "low_priority")) <= 301


def test_one_lost_message_in_a_long_queue_is_found(box: Box, sweeper: Sweeper, redis_of_depot: Redis) -> None:
    """A worker was killed between taking the message and claiming the job."""
    lost, *others = ask(box.db, 1, NOON) + ask(box.db, 50, NOON + SECOND)
    box.sender.send(others)
    assert sweeper.send_again(NOON + 59 * SECOND) == 0
    assert sweeper.send_again(NOON + 61 * SECOND) == 1
    assert queued(redis_of_depot)[-1] == lost.id


def test_a_job_that_nobody_takes_is_sent_less_and_less_often(box: Box, sweeper: Sweeper, redis_of_depot: Redis) -> None:
    """Whatever happens to its messages: half an hour is five of them."""
    ask(box.db, 2)
    redis = redis_of_depot.client()
    for n in range(360):
        redis.delete("normal")
        redis.lpush("normal", "somebody else's")
        sweeper.send_again(NOON + n * 5 * SECOND)
    assert [row["sends"] for row in rows(box.db, "SELECT sends FROM jobs")] == [4, 4]


def test_a_backlog_in_one_queue_does_not_hold_up_another(box: Box, sweeper: Sweeper, redis_of_depot: Redis) -> None:
    mails = ask(box.db, 800, name=MAIL)
    box.sender.send(mails)
    (closing,) = ask(box.db, 1, name="trips.tasks.process_trip_completion", delay_s=10)
    assert sweeper.send_again(NOON + 10 * SECOND) == 1
    assert queued(redis_of_depot) == [closing.id]


def test_a_clock_that_stepped_back_does_not_keep_a_lost_message_lost(
    box: Box, sweeper: Sweeper, redis_of_depot: Redis
) -> None:
    (asked,) = ask(box.db)
    assert sweeper.send_again(NOON - HOUR) == 1
    assert queued(redis_of_depot) == [asked.id]
    assert sweeper.send_again(NOON - HOUR + SECOND) == 0


def test_a_redis_that_is_away_only_delays(box: Box, sweeper: Sweeper) -> None:
    (asked,) = ask(box.db)
    sweeper.step(NOON + HOUR)
    sweeper.step(NOON + HOUR + SECOND)
    redis = Redis(box.settings)
    redis.start()
    try:
        sweeper.step(NOON + HOUR + 10 * SECOND)
        assert queued(redis) == [asked.id]
    finally:
        redis.kill()


HOLD = """
import signal, sys; from pathlib import Path; from appliance.worker_lock import WorkerLock
print(WorkerLock(Path(sys.argv[1])).name, flush=True); signal.pause()
"""


class OtherWorker:
    """A process that holds a worker's lock."""

    def __init__(self, box: Box) -> None:
        command = [sys.executable, "-c", HOLD, box.settings.paths.worker_locks_dir]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.name = self.process.stdout.readline().strip()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def claim(db: Database, id: str, worker: str, now: datetime = NOON) -> None:
    with write_tx(db) as tx:
        assert job_rows.claim(tx, id, worker, now) is not None


def test_the_job_of_a_killed_worker_goes_back_at_once_and_that_of_a_living_one_stays(
    box: Box, sweeper: Sweeper
) -> None:
    first, second = ask(box.db, 2)
    worker = OtherWorker(box)
    claim(box.db, first.id, worker.name)
    claim(box.db, second.id, box.lock.name)
    assert sweeper.free_jobs_of_dead_workers(NOON + 9 * HOUR) == 0
    worker.kill()
    assert wait_for(lambda: sweeper.free_jobs_of_dead_workers(NOON), "it is freed") == 1
    assert sweeper.free_jobs_of_dead_workers(NOON) == 0
    states = {row["id"]: row["state"] for row in rows(box.db, "SELECT id, state FROM jobs")}
    assert states == {first.id: "waiting", second.id: "running"}
    assert [row["id"] for row in job_rows.unfinished(box.db, NOON)] == [first.id]


def test_a_job_that_kills_its_worker_is_parked_after_three_deaths(box: Box, sweeper: Sweeper) -> None:
    (asked,) = ask(box.db)
    for death in range(1, 4):
        claim(box.db, asked.id, f"99999-{death}")
        assert sweeper.free_jobs_of_dead_workers(NOON) == 1
    job = job_rows.get(box.db, asked.id)
    assert job is not None
    assert (job["state"], job["failures"], job["error"]) == (
        "failed", 3, "the worker died while it ran the job",
    )  # fmt: skip


def test_the_work_of_the_dead_does_not_come_twice_when_it_was_asked_for_again(box: Box, sweeper: Sweeper) -> None:
    """Two open rows of one key would break every step of the sweeper from then on."""
    (first,) = ask(box.db, key="completion:1")
    claim(box.db, first.id, "99999-dead")
    (second,) = ask(box.db, key="completion:1")
    assert sweeper.free_jobs_of_dead_workers(NOON) == 1
    sweeper.step(NOON)
    assert [row["id"] for row in job_rows.unfinished(box.db, NOON)] == [second.id]
    assert value(box.db, "SELECT state FROM jobs WHERE id = ?", first.id) == "discarded"


def test_an_attempt_that_ends_while_it_is_judged_is_left_alone(box: Box, sweeper: Sweeper) -> None:
    (asked,) = ask(box.db)
    claim(box.db, asked.id, "99999-dead")
    with write_tx(box.db) as tx:
        job_rows.finish(tx, asked.id, 1, None, NOON)
        job_rows.wait(tx, asked.id, 1, NOON, "too late", failures=1)
    assert sweeper.free_jobs_of_dead_workers(NOON) == 0
    assert value(box.db, "SELECT state FROM jobs") == "done"


def test_an_ephemeral_task_in_a_row_is_parked_and_not_sent_for_ever(
    box: Box, sweeper: Sweeper, redis_of_depot: Redis
) -> None:
    (asked,) = ask(box.db)
    with write_tx(box.db) as tx:
        tx.conn.execute("UPDATE jobs SET name = 'trips.tasks.broadcast_gps_update'")
    assert sweeper.send_again(NOON + 10 * SECOND) == 0
    job = job_rows.get(box.db, asked.id)
    assert job is not None
    assert (job["state"], job["error"]) == ("failed", "an ephemeral task has no job")
    assert queued(redis_of_depot) == []
