"""`depotbox queues`: the backlog, and holding a queue up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlite_utils import Database

from appliance import clock, jobs
from appliance.storage.db import value, write_tx


def test_the_queues_are_listed_with_what_waits_in_each_while_the_box_is_down(box: Any, db: Database) -> None:
    with write_tx(db) as tx:
        jobs.enqueue(tx, "billing.tasks.generate_invoice", now=clock.now(), trip_id=1)
        jobs.enqueue(tx, "billing.tasks.generate_invoice", now=clock.now(), delay_s=3600, trip_id=2)
    normal = next(one for one in box("queues", "list", "--json").items if one["queue"] == "normal")
    assert (normal["waiting"], normal["later"], normal["running"], normal["messages"]) == (1, 1, 0, None)
    assert normal["oldest_due_at"]
    assert box("queues", "list").out.splitlines()[2].split()[:4] == ["normal", "1", "1", "0"]


def test_messages_are_counted_while_redis_runs(box: Any, db: Database, role: Callable[[str], None]) -> None:
    role("redis")
    assert [one["messages"] for one in box("queues", "list", "--json").items] == [0, 0, 0]


def test_a_pause_is_listed_and_audited_and_ends_with_resume(box: Any, db: Database) -> None:
    assert box("queues", "pause", "low_priority").code == 0
    low = box("queues", "list", "--json").items[2]
    assert low["paused_at"]
    assert low["paused_by"].startswith("cli")
    again = box("queues", "pause", "low_priority")
    assert (again.code, again.err) == (65, "depotbox: low_priority: it is paused already\n")
    assert box("queues", "resume", "low_priority").code == 0
    assert box("queues", "resume", "low_priority").code == 65
    assert value(db, "SELECT group_concat(action) FROM audit_log") == "queue.paused,queue.resumed"


def test_an_unknown_queue_is_refused(box: Any, db: Database) -> None:
    said = box("queues", "pause", "urgent")
    assert said.code == 2
    assert "high_priority" in said.err
