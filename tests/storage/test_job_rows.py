"""The rows of durable work: every move is compare-and-set."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import jobs
from appliance.config import Settings
from appliance.storage import jobs as rows
from appliance.storage.db import Row, open_depot, value, write_tx
from tests.cast import NOON

INVOICE = "billing.tasks.generate_invoice"
MAIL = "billing.tasks.send_invoice_email"
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def ask(db: Database, now: datetime = NOON, **more: Any) -> jobs.Ask:
    with write_tx(db) as tx:
        return jobs.enqueue(tx, more.pop("name", INVOICE), now=now, **({"trip_id": 1} | more))


def take(db: Database, id: str, now: datetime = NOON, worker: str = "w1") -> Row | None:
    with write_tx(db) as tx:
        return rows.claim(tx, id, worker, now)


def state(db: Database, id: str) -> str:
    return str(value(db, "SELECT state FROM jobs WHERE id = ?", id))


def test_a_job_is_a_row_with_its_arguments(depot_db: Database) -> None:
    asked = ask(depot_db, trip_id=7)
    found = rows.get(depot_db, asked.id)
    assert found is not None
    assert asked.due
    assert rows.arguments(found) == {"trip_id": 7}
    assert (found["name"], found["queue"], found["state"]) == (INVOICE, "normal", "pending")


def test_a_delayed_job_is_not_due_and_not_sent(depot_db: Database) -> None:
    asked = ask(depot_db, delay_s=60)
    assert not asked.due
    assert take(depot_db, asked.id, NOON + 59 * SECOND) is None
    assert rows.unfinished(depot_db, NOON + 59 * SECOND) == []
    assert [row["id"] for row in rows.unfinished(depot_db, NOON + 60 * SECOND)] == [asked.id]
    assert take(depot_db, asked.id, NOON + 60 * SECOND) is not None


def test_a_key_has_one_job_that_has_not_begun(depot_db: Database) -> None:
    first = ask(depot_db, key="invoice:1")
    assert ask(depot_db, key="invoice:1").id == first.id
    assert ask(depot_db, key="invoice:2").id != first.id
    assert value(depot_db, "SELECT count(*) FROM jobs") == 2


def test_a_running_job_does_not_take_the_place_of_a_new_one(depot_db: Database) -> None:
    """It may have read before the change that asks again."""
    first = ask(depot_db, key="invoice:1")
    take(depot_db, first.id)
    second = ask(depot_db, key="invoice:1")
    assert second.id != first.id
    assert take(depot_db, second.id) is not None


def test_a_job_that_waits_for_its_next_try_takes_the_place_of_a_new_one(depot_db: Database) -> None:
    first = ask(depot_db, key="invoice:1")
    take(depot_db, first.id)
    with write_tx(depot_db) as tx:
        assert rows.wait(tx, first.id, 1, NOON + HOUR, "relay away", failures=0)
    assert ask(depot_db, key="invoice:1").id == first.id


def test_a_job_that_fails_while_another_of_its_key_waits_gives_way_to_that(depot_db: Database) -> None:
    """Two rows of one key would be open then: it gives way to the newer one, which will do the same."""
    first = ask(depot_db, key="invoice:1")
    take(depot_db, first.id)
    second = ask(depot_db, key="invoice:1")
    with write_tx(depot_db) as tx:
        assert rows.wait(tx, first.id, 1, NOON, "worker died", failures=1)
    assert (state(depot_db, first.id), state(depot_db, second.id)) == ("discarded", "pending")
    assert second.id in value(depot_db, "SELECT error FROM jobs WHERE id = ?", first.id)
    assert take(depot_db, second.id) is not None


def test_of_two_claimers_one_wins(depot: Settings, depot_db: Database) -> None:
    ids = [ask(depot_db).id for _ in range(15)]
    won: dict[str, list[str]] = {"w1": [], "w2": []}
    start = threading.Barrier(2)

    def claim_all(worker: str) -> None:
        db = open_depot(depot.paths.depot_db)
        start.wait()
        for id in ids:
            if take(db, id, worker=worker):
                won[worker].append(id)
        db.conn.close()

    threads = [threading.Thread(target=claim_all, args=(worker,)) for worker in won]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(won["w1"] + won["w2"]) == sorted(ids)


@pytest.mark.parametrize("ended", ["done", "failed", "discarded", "running"])
def test_a_job_that_runs_or_has_ended_is_not_claimed(depot_db: Database, ended: str) -> None:
    id = ask(depot_db).id
    depot_db.conn.execute("UPDATE jobs SET state = ?", (ended,))
    assert take(depot_db, id) is None


def test_an_old_attempt_cannot_finish_nor_go_back_nor_fail(depot_db: Database) -> None:
    id = ask(depot_db).id
    take(depot_db, id)
    with write_tx(depot_db) as tx:
        rows.wait(tx, id, 1, NOON, "worker died", failures=1)
    take(depot_db, id, worker="w2")
    with write_tx(depot_db) as tx:
        assert not rows.finish(tx, id, 1, "old", NOON)
        assert not rows.wait(tx, id, 1, NOON, "old", failures=1)
        assert not rows.fail(tx, id, 1, "old", "", NOON, failures=1)
        assert rows.finish(tx, id, 2, "new", NOON)
        assert not rows.finish(tx, id, 2, "twice", NOON)
    assert value(depot_db, "SELECT result FROM jobs") == '"new"'


@pytest.mark.parametrize("parked", ["failed", "discarded"])
def test_a_person_tries_a_parked_job_again(depot_db: Database, parked: str) -> None:
    id = ask(depot_db).id
    depot_db.conn.execute("UPDATE jobs SET state = ?, failures = 3, attempts = 3", (parked,))
    with write_tx(depot_db) as tx:
        assert rows.retry(tx, id, "ann", NOON + HOUR)
    found = rows.get(depot_db, id)
    assert found is not None
    assert (found["state"], found["failures"], found["decided_by"]) == ("pending", 0, "ann")
    assert found["attempts"] == 3  # an attempt from before can still not finish
    claimed = take(depot_db, id, NOON + HOUR)
    assert claimed is not None
    assert claimed["attempts"] == 4


@pytest.mark.parametrize("other", ["pending", "waiting", "running", "done"])
def test_only_a_parked_job_is_tried_again(depot_db: Database, other: str) -> None:
    id = ask(depot_db).id
    depot_db.conn.execute("UPDATE jobs SET state = ?", (other,))
    with write_tx(depot_db) as tx:
        assert not rows.retry(tx, id, "ann", NOON)
    assert state(depot_db, id) == other


def test_a_parked_job_is_not_tried_again_while_another_of_its_key_waits(depot_db: Database) -> None:
    parked = ask(depot_db, key="invoice:1").id
    depot_db.conn.execute("UPDATE jobs SET state = 'failed'")
    waiting = ask(depot_db, key="invoice:1").id
    with write_tx(depot_db) as tx:
        assert not rows.retry(tx, parked, "ann", NOON)
    assert (state(depot_db, parked), state(depot_db, waiting)) == ("failed", "pending")


@pytest.mark.parametrize(
    ("before", "after"),
    [("pending", "discarded"), ("waiting", "discarded"), ("failed", "discarded"), ("running", "running"),
     ("done", "done")],
)  # fmt: skip
def test_a_job_is_given_up_unless_it_runs_or_has_ended_well(depot_db: Database, before: str, after: str) -> None:
    id = ask(depot_db).id
    depot_db.conn.execute("UPDATE jobs SET state = ?", (before,))
    with write_tx(depot_db) as tx:
        assert rows.discard(tx, id, "ann", NOON) == (after == "discarded")
    assert state(depot_db, id) == after


def test_failed_jobs_are_kept_until_a_person_decides(depot_db: Database) -> None:
    old = {ended: ask(depot_db).id for ended in ("done", "discarded", "failed")}
    for ended, id in old.items():
        depot_db.conn.execute(
            "UPDATE jobs SET state = ?, finished_at = '2025-01-01T00:00:00.000Z' WHERE id = ?", (ended, id)
        )
    with write_tx(depot_db) as tx:
        assert rows.delete_finished(tx, NOON) == 2
    assert rows.get(depot_db, old["failed"]) is not None


def test_a_backlog_in_one_queue_hides_no_job_of_another(depot_db: Database) -> None:
    """A thousand mails that are due must not keep the sweeper from a completion that has come due."""
    for n in range(30):
        ask(depot_db, NOON - HOUR, name=MAIL, trip_id=n)
    completion = ask(depot_db, name="trips.tasks.process_trip_completion", delay_s=60)
    found = rows.unfinished(depot_db, NOON + 60 * SECOND, limit=10)
    assert completion.id in [row["id"] for row in found]
    assert {row["queue"]: row["outstanding"] for row in found} == {"low_priority": 30, "normal": 0}
    assert len(found) == 11


def test_what_was_never_sent_comes_first_and_then_what_was_sent_longest_ago(depot_db: Database) -> None:
    sent = [ask(depot_db, NOON + n * SECOND).id for n in range(5)]
    never = ask(depot_db, NOON, delay_s=10).id
    with write_tx(depot_db) as tx:
        rows.mark_sent(tx, sent[:2], NOON + 20 * SECOND)
    found = [row["id"] for row in rows.unfinished(depot_db, NOON + 30 * SECOND)]
    assert found[:4] == [never, *sent[2:]]
    assert set(found[4:]) == set(sent[:2])


def test_ten_thousand_open_jobs_are_judged_without_reading_all_of_them(depot_db: Database) -> None:
    """Once a second: the plan must not sort, nor scan, the table."""
    plans: list[str] = []
    depot_db.conn.set_trace_callback(plans.append)
    rows.unfinished(depot_db, NOON)
    ask(depot_db)
    rows.unfinished(depot_db, NOON)
    depot_db.conn.set_trace_callback(None)
    asked = [plan for plan in plans if plan.startswith("SELECT")]
    assert len(asked) == 5
    for plan in asked:
        steps = [str(step[3]) for step in depot_db.conn.execute(f"EXPLAIN QUERY PLAN {plan}")]
        assert not any("TEMP B-TREE" in step or step == "SCAN jobs" for step in steps), (plan, steps)


def test_a_clock_that_steps_back_does_not_hide_what_was_due(depot_db: Database) -> None:
    id = ask(depot_db).id
    earlier = NOON - HOUR
    assert [row["id"] for row in rows.unfinished(depot_db, earlier)] == [id]
    assert take(depot_db, id, earlier) is not None


def test_a_clock_that_steps_back_does_not_hasten_what_was_to_wait(depot_db: Database) -> None:
    id = ask(depot_db, delay_s=60).id
    assert take(depot_db, id, NOON - HOUR) is None
