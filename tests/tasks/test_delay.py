"""Asking for durable work: the row first, then a message that carries its id and nothing else."""

from __future__ import annotations

import base64
import json
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import chain, group
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeoutError

from appliance.config import Settings
from appliance.errors import InputError, Permanent
from appliance.jobs import QUEUES, TASKS
from appliance.sender import HAS_ROW, Sender
from appliance.storage import jobs as job_rows
from appliance.storage import times
from appliance.storage.db import write_tx
from tasks.billing import generate_invoice
from tasks.box import Box
from tasks.celery import app
from tasks.trips import broadcast_gps_update
from tests.cast import NOON, SetClock
from tests.servers import Redis
from tests.tasks.probe import Probe, only_job, probe_task


def messages(redis: Redis, queue: str) -> list[dict[str, Any]]:
    """What stands in a queue, newest first, as Redis has it."""
    return [json.loads(raw) for raw in redis.client().lrange(queue, 0, -1)]


def body(message: dict[str, Any]) -> Any:
    assert message["headers"]["compression"] == "application/x-gzip"
    assert message["content-type"] == "application/json"
    return json.loads(zlib.decompress(base64.b64decode(message["body"])))


def test_redis_holds_only_the_id_of_a_durable_job(box: Box, redis_of_depot: Redis) -> None:
    result = generate_invoice.delay(trip_id=424242)
    (message,) = messages(redis_of_depot, "normal")
    args, kwargs, _callbacks = body(message)
    assert (args, kwargs) == ([], {})
    assert message["headers"]["id"] == result.id == only_job(box.db)["id"]
    redis = redis_of_depot.client()
    everything = b"".join(redis.dump(key) or b"" for key in redis.scan_iter())
    assert b"424242" not in everything
    assert b"424242" not in zlib.decompress(base64.b64decode(message["body"]))
    assert "424242" not in json.dumps(message["headers"])
    assert message["headers"][HAS_ROW] is True


def test_a_message_of_the_sender_is_the_same(box: Box, redis_of_depot: Redis, depot: Settings) -> None:
    generate_invoice.delay(trip_id=1)
    Sender(depot).send_ephemeral("trips.tasks.broadcast_gps_update", 10.0, trip_id=1, latitude=1.0, longitude=2.0)
    (message,) = messages(redis_of_depot, "high_priority")
    assert body(message)[1] == {"trip_id": 1, "latitude": 1.0, "longitude": 2.0}
    assert message["headers"]["expires"] is not None
    assert [len(messages(redis_of_depot, queue)) for queue in QUEUES] == [1, 1, 0]


def test_each_task_goes_into_its_queue(box: Box, redis_of_depot: Redis) -> None:
    app.loader.import_default_modules()
    assert set(TASKS) == {name for name in app.tasks if not name.startswith(("celery.", "tests.", "upkeep.canary"))}
    assert all(queue in QUEUES for queue in TASKS.values())
    assert [queue.name for queue in app.conf.task_queues] == list(QUEUES)


def test_without_redis_the_job_stands_and_the_caller_does_not_wait(box: Box, probe: Probe) -> None:
    began = time.monotonic()
    result = probe_task.delay(1)
    assert time.monotonic() - began < 2
    assert only_job(box.db)["id"] == result.id
    assert result.state == "PENDING"


@pytest.mark.parametrize(
    "delay",
    [
        {"countdown": 60},
        {"eta": NOON + timedelta(seconds=60)},
        {"eta": (NOON + timedelta(seconds=60)).replace(tzinfo=None)},
        {"eta": (NOON + timedelta(seconds=60)).isoformat()},
    ],
    ids=["countdown", "eta", "without a zone", "text"],
)
def test_a_delayed_job_waits_in_its_row_and_not_in_a_worker(
    box: Box, probe: Probe, redis_of_depot: Redis, set_clock: SetClock, delay: dict[str, Any]
) -> None:
    probe_task.apply_async((1,), **delay)
    assert messages(redis_of_depot, "normal") == []
    job = only_job(box.db)
    assert (job["due_at"], job["sent_at"]) == (times.text(NOON + timedelta(seconds=60)), None)


@pytest.mark.parametrize("eta", ["tomorrow", 17])
def test_an_eta_that_is_no_time_is_refused(box: Box, probe: Probe, eta: Any) -> None:
    with pytest.raises(InputError, match="expected a date and time"):
        probe_task.apply_async((1,), eta=eta)


def test_an_eta_that_has_passed_is_now(box: Box, probe: Probe, redis_of_depot: Redis, set_clock: SetClock) -> None:
    probe_task.apply_async((1,), eta=NOON - timedelta(days=1))
    assert len(messages(redis_of_depot, "normal")) == 1


def test_a_durable_task_in_a_chain_is_refused_and_not_cut_short(box: Box, probe: Probe, redis_of_depot: Redis) -> None:
    """What follows in a chain travels on the message, which may be lost."""
    with pytest.raises(TypeError, match="a later job is asked for inside it"):
        chain(probe_task.si(1), broadcast_gps_update.si(1, 2.0, 3.0)).delay()
    assert job_rows.listed(box.db, None, 10) == []


class TestResult:
    """What `.delay()` returns is read from the row: no Redis runs here at all."""

    @pytest.fixture
    def result(self, box: Box, probe: Probe) -> Iterator[Any]:
        return probe_task.delay(5)

    def test_a_result_is_waited_for(self, box: Box, result: Any) -> None:
        threading.Timer(0.1, self.finish, [box, result.id]).start()
        assert result.get(timeout=10) == {"n": 5}
        assert (result.state, result.ready(), result.successful()) == ("SUCCESS", True, True)

    def finish(self, box: Box, id: str) -> None:
        from appliance.storage.db import open_depot

        db = open_depot(box.settings.paths.depot_db)
        with write_tx(db) as tx:
            job_rows.claim(tx, id, "w", NOON + timedelta(days=3650))
            job_rows.finish(tx, id, 1, {"n": 5}, NOON)
        db.conn.close()

    def test_a_result_that_does_not_come_times_out(self, result: Any) -> None:
        with pytest.raises(CeleryTimeoutError):
            result.get(timeout=0.05, interval=0.01)
        assert not result.ready()

    def test_a_failed_job_raises_what_went_wrong(self, box: Box, probe: Probe, result: Any) -> None:
        def work(_n: int) -> None:
            raise Permanent("no such address")

        probe.work = work
        probe_task.apply(task_id=result.id)
        with pytest.raises(Permanent, match="no such address"):
            result.get(timeout=1)
        assert isinstance(result.get(timeout=1, propagate=False), Permanent)
        assert result.failed()
        assert "no such address" in result.traceback

    def test_a_discarded_job_is_revoked(self, box: Box, result: Any) -> None:
        with write_tx(box.db) as tx:
            job_rows.discard(tx, result.id, "ann", NOON)
        with pytest.raises(TaskRevokedError):
            result.get(timeout=1)

    def test_a_result_can_be_asked_for_by_its_id_later(self, box: Box, result: Any) -> None:
        self.finish(box, result.id)
        assert probe_task.AsyncResult(result.id).get(timeout=1) == {"n": 5}

    def test_the_app_reads_the_row_as_well(self, box: Box, result: Any) -> None:
        self.finish(box, result.id)
        assert app.AsyncResult(result.id).state == "SUCCESS"
        assert app.AsyncResult(result.id).get(timeout=1) == {"n": 5}

    def test_a_group_has_the_results_of_its_jobs(self, box: Box, probe: Probe) -> None:
        called = group(probe_task.s(1), probe_task.s(2))()
        for child in called.children:
            self.finish(box, child.id)
        assert called.get(timeout=1) == [{"n": 5}, {"n": 5}]

    def test_an_id_that_nobody_knows_is_pending(self, box: Box) -> None:
        assert probe_task.AsyncResult("nobody").state == "PENDING"
