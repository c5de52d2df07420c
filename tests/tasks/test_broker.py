"""Queue lengths as the operators' guide asks for them, and what purging does."""

from __future__ import annotations

from collections.abc import Iterator

import amqp.exceptions
import pytest
from celery import current_app
from kombu import pools
from sqlite_utils import Database

from appliance import clock, jobs
from appliance.queues import Queues
from appliance.storage import queues
from appliance.storage.db import rows, value, write_tx
from tasks.box import Box
from tasks.celery import app
from tests.servers import Redis

BROADCAST = "trips.tasks.broadcast_trip_status"


@pytest.fixture
def box_with_redis(box: Box, redis_of_depot: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """This process as one that runs the guide's Python: its app is the box's, on the depot's Redis."""
    monkeypatch.setattr(app.conf, "broker_url", f"redis+socket://{box.settings.paths.redis_socket}?virtual_host=0")
    forget_connections()
    yield box
    forget_connections()


def forget_connections() -> None:
    pools.reset()
    app._after_fork()


def get_queue_length(queue_name: str) -> int:
    """Letter for letter as the guide has it."""
    with current_app.connection_or_acquire() as conn:
        return conn.default_channel.queue_declare(
            queue=queue_name, passive=True
        ).message_count  # fmt: skip


def ask(box: Box, name: str, **arguments: int) -> str:
    with write_tx(box.db) as tx:
        found = jobs.enqueue(tx, name, now=clock.now(), **arguments)
    box.sender.send([found])
    return found.id


def states(db: Database) -> dict[str, str]:
    return {one["id"]: one["state"] for one in rows(db, "SELECT id, state FROM jobs")}


def test_the_guides_queue_length_is_0_for_an_empty_queue_and_counts_messages(box_with_redis: Box) -> None:
    assert current_app.main == "tasks"
    assert [get_queue_length(queue) for queue in jobs.QUEUES] == [0, 0, 0]
    ask(box_with_redis, "billing.tasks.generate_invoice", trip_id=1)
    ask(box_with_redis, "billing.tasks.generate_invoice", trip_id=2)
    assert [get_queue_length(queue) for queue in jobs.QUEUES] == [0, 2, 0]
    assert Queues(box_with_redis.settings.paths.redis_socket).lengths() == {
        "high_priority": 0, "normal": 2, "low_priority": 0
    }  # fmt: skip


def test_the_length_counts_messages_of_every_priority(box_with_redis: Box) -> None:
    for priority in (0, 5, 9):
        app.send_task(BROADCAST, args=(1, "x"), queue="normal", priority=priority, ignore_result=True)
    lengths = Queues(box_with_redis.settings.paths.redis_socket).lengths()
    assert lengths
    assert lengths["normal"] == get_queue_length("normal") == 3


def test_a_queue_that_is_not_the_boxs_does_not_exist(box_with_redis: Box) -> None:
    with pytest.raises(amqp.exceptions.ChannelError, match="404"):
        get_queue_length("nope")


def test_a_purge_from_python_discards_the_rows_and_leaves_the_running_alone(box_with_redis: Box) -> None:
    parts = box_with_redis
    running = ask(parts, "billing.tasks.generate_invoice", trip_id=1)
    with write_tx(parts.db) as tx:
        tx.conn.execute("UPDATE jobs SET state = 'running' WHERE id = ?", (running,))
    waiting = ask(parts, "billing.tasks.generate_invoice", trip_id=2)
    assert app.control.purge() == 2  # messages: one of them for the job that runs
    assert states(parts.db) == {running: "running", waiting: "discarded"}
    assert rows(
        parts.db, "SELECT action, subject_uid, detail FROM audit_log WHERE who LIKE 'cli:%' AND detail <> '0 jobs'"
    ) == [
        {"action": "queue.purged", "subject_uid": "normal", "detail": "1 jobs"},
        {"action": "job.discarded", "subject_uid": waiting, "detail": "billing.tasks.generate_invoice"},
    ]


def test_a_revoke_from_python_discards_what_has_not_begun(box_with_redis: Box) -> None:
    parts = box_with_redis
    id = ask(parts, "billing.tasks.generate_invoice", trip_id=1)
    app.control.revoke(id)
    assert states(parts.db) == {id: "discarded"}
    assert value(parts.db, "SELECT who FROM audit_log WHERE action = 'job.discarded'").startswith("cli:")
    app.control.revoke(id)
    assert value(parts.db, "SELECT count(*) FROM audit_log") == 1


def test_a_paused_queue_is_neither_claimed_nor_swept_and_comes_back_as_unsent(box: Box) -> None:
    now = clock.now()
    id = ask(box, "billing.tasks.generate_invoice", trip_id=1)
    with write_tx(box.db) as tx:
        assert queues.pause(tx, "normal", "test", now)
        assert not queues.pause(tx, "normal", "test", now)
        assert jobs.rows.claim(tx, id, "a worker", now) is None
        assert jobs.rows.unfinished(tx, now) == []
        assert queues.backlog(tx, now)["normal"]["waiting"] == 1
        assert queues.resume(tx, "normal")
        assert not queues.resume(tx, "normal")
        assert [one["sent_at"] for one in jobs.rows.unfinished(tx, now)] == [None]
        assert jobs.rows.claim(tx, id, "a worker", now)
