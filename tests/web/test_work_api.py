"""Queues, schedules, failed jobs and unbilled trips through the API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlite_utils import Database

from appliance import jobs, work_history
from appliance.storage import jobs as rows
from appliance.storage import schedules
from appliance.storage.db import open_depot, value, write_tx
from tests.web import world
from tests.web.conftest import Client, problem

TIMEOUTS = "trips.tasks.check_trip_timeouts"


@pytest.fixture
def db(depot: world.World) -> Iterator[Database]:
    db = open_depot(depot.settings.paths.depot_db)
    yield db
    db.conn.close()


def test_a_queue_is_paused_and_goes_on(client: Client, db: Database) -> None:
    queues = client.get("/api/v1/queues").json()
    assert [queue["queue"] for queue in queues["items"]] == list(jobs.QUEUES)
    assert [queue["messages"] for queue in queues["items"]] == [0, 0, 0]
    paused = client.post("/api/v1/queues/low_priority/pause").json()
    assert (paused["queue"], paused["paused_by"]) == ("low_priority", world.address_of("administrator"))
    problem(client.post("/api/v1/queues/low_priority/pause"), 409)
    assert client.post("/api/v1/queues/low_priority/resume").json()["paused_at"] is None
    problem(client.post("/api/v1/queues/low_priority/resume"), 409)
    assert "high_priority" in problem(client.post("/api/v1/queues/urgent/pause"), 404)


def test_all_failed_jobs_or_those_of_one_task_are_tried_again(client: Client, depot: world.World, db: Database) -> None:
    ids = {}
    with write_tx(db) as tx:
        for name in (TIMEOUTS, TIMEOUTS, "users.tasks.send_daily_digest"):
            ask = jobs.enqueue(tx, name, now=depot.now)
            assert rows.claim(tx, ask.id, "w", depot.now)
            assert rows.fail(tx, ask.id, 1, "ValueError: no", "Traceback", depot.now, failures=3)
            ids[ask.id] = name
    assert client.post("/api/v1/jobs/retry?name=users.tasks.send_daily_digest").json() == {"retried": 1}
    assert client.post("/api/v1/jobs/retry").json() == {"retried": 2}
    assert client.post("/api/v1/jobs/retry").json() == {"retried": 0}
    assert {client.get(f"/api/v1/jobs/{id}").json()["state"] for id in ids} == {"pending"}


def test_a_schedule_is_listed_set_paused_and_run(client: Client, db: Database) -> None:
    with write_tx(db) as tx:
        schedules.ensure_defaults(tx)
    listed = client.get("/api/v1/schedules").json()["items"]
    assert {one["name"] for one in listed} >= {"process-overdue-invoices", "check-trip-timeouts"}
    wanted = {"task": TIMEOUTS, "crontab": "30 6 * * 1", "zone": "Europe/London", "arguments": {"user_id": 7}}
    made = client.put("/api/v1/schedules/monday", json=wanted).json()
    assert {key: made[key] for key in wanted} == wanted
    changed = client.put("/api/v1/schedules/monday", json={"every_s": 60}).json()
    assert (changed["task"], changed["every_s"], changed["crontab"]) == (TIMEOUTS, 60.0, None)
    assert client.post("/api/v1/schedules/monday/pause").json()["enabled"] is False
    assert client.post("/api/v1/schedules/monday/resume").json()["enabled"] is True
    job = client.post("/api/v1/schedules/check-trip-timeouts/run").json()["job_id"]
    assert client.get(f"/api/v1/jobs/{job}").json()["name"] == TIMEOUTS


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"crontab": "61 2 * * *", "task": TIMEOUTS}, "crontab"),
        ({"crontab": "0 2 * * *", "task": TIMEOUTS, "zone": "Mars/Base"}, "time zone"),
        ({"crontab": "0 2 * * *", "task": TIMEOUTS, "zone": "Europe"}, "time zone"),
        ({"every_s": 5, "task": "users.tasks.send_digest"}, "users.tasks.send_daily_digest"),
        ({"task": TIMEOUTS}, "either an interval or a crontab"),
        ({"every_s": 5}, "needs its task"),
        ({"every_s": 0.1, "task": TIMEOUTS}, "every_s"),
        ({"every_s": 5, "task": TIMEOUTS, "colour": 1}, "colour"),
    ],
)
def test_a_wrong_schedule_is_one_line_and_changes_nothing(
    client: Client, db: Database, body: dict[str, object], said: str
) -> None:
    assert said in problem(client.put("/api/v1/schedules/new", json=body), 400)
    assert value(db, "SELECT count(*) FROM schedules WHERE name = 'new'") == 0


def test_a_schedule_is_deleted_and_the_boxs_own_is_not(client: Client, db: Database) -> None:
    with write_tx(db) as tx:
        schedules.ensure_defaults(tx)
    assert client.put("/api/v1/schedules/mine", json={"every_s": 60, "task": "night.count"}).status_code == 200
    assert client.delete("/api/v1/schedules/mine").status_code == 204
    problem(client.delete("/api/v1/schedules/mine"), 404)
    assert "pausing it lasts" in problem(client.delete("/api/v1/schedules/check-trip-timeouts"), 409)
    assert value(db, "SELECT who FROM audit_log WHERE action = 'schedule.deleted'") == world.address_of("administrator")


def test_what_does_not_fit_is_named_as_the_client_knows_it(client: Client) -> None:
    assert problem(client.post("/api/v1/invoices/1/void"), 400) == "expected a body, a JSON object"
    assert problem(client.get("/api/v1/jobs?state=bogus"), 400) == "state: Invalid enum value 'bogus'"


@pytest.mark.parametrize("verb", ["pause", "resume", "run"])
def test_an_unknown_schedule_is_404(client: Client, verb: str) -> None:
    problem(client.post(f"/api/v1/schedules/none/{verb}"), 404)


def test_an_invoice_is_made_void_and_its_trip_is_unbilled(client: Client, depot: world.World) -> None:
    before = client.get("/api/v1/trips/unbilled").json()["total"]
    invoice = client.get("/api/v1/invoices").json()["items"][0]
    path = f"/api/v1/invoices/{invoice['id']}/void"
    assert "reason" in problem(client.post(path, json={"reason": ""}), 400)
    assert client.post(path, json={"reason": "wrong payer"}).json()["state"] == "void"
    problem(client.post(path, json={"reason": "again"}), 409)
    problem(client.post("/api/v1/invoices/9999/void", json={"reason": "none"}), 404)
    unbilled = client.get("/api/v1/trips/unbilled?limit=500").json()
    assert unbilled["total"] == before + 1
    assert {"voided"} == {trip["reason"] for trip in unbilled["items"] if trip["id"] == invoice["trip_id"]}
    assert client.post(f"/api/v1/trips/{invoice['trip_id']}/invoice").status_code == 202
    billed = client.get("/api/v1/invoices?state=issued").json()["items"][0]
    problem(client.post(f"/api/v1/trips/{billed['trip_id']}/invoice"), 409)


def test_a_queue_is_purged_and_its_jobs_can_be_retried(client: Client, depot: world.World, db: Database) -> None:
    with write_tx(db) as tx:
        asks = [jobs.enqueue(tx, "upkeep.refresh_broker", now=depot.now) for _ in range(2)]
        running = jobs.enqueue(tx, "upkeep.refresh_broker", now=depot.now)
        assert rows.claim(tx, running.id, "w", depot.now)
    waiting = client.get("/api/v1/jobs?queue=low_priority&state=pending").json()["total"]
    assert client.post("/api/v1/queues/low_priority/purge").json() == {"discarded": waiting}
    assert client.get(f"/api/v1/jobs/{running.id}").json()["state"] == "running"
    assert client.post(f"/api/v1/jobs/{asks[0].id}/retry").json()["state"] == "pending"
    problem(client.post("/api/v1/queues/urgent/purge"), 404)
    assert value(db, "SELECT count(*) FROM audit_log WHERE action = 'queue.purged'") == 1


def test_a_revoked_job_that_runs_has_no_effect_any_more(client: Client, depot: world.World, db: Database) -> None:
    with write_tx(db) as tx:
        ask = jobs.enqueue(tx, TIMEOUTS, now=depot.now)
        assert rows.claim(tx, ask.id, "w", depot.now)
    problem(client.post(f"/api/v1/jobs/{ask.id}/discard"), 409)
    assert client.post(f"/api/v1/jobs/{ask.id}/revoke").json()["state"] == "discarded"
    with write_tx(db) as tx:
        assert not rows.finish(tx, ask.id, 1, None, depot.now)
    problem(client.post(f"/api/v1/jobs/{ask.id}/revoke"), 409)


def test_jobs_are_found_by_a_part_of_the_name_and_by_the_beginning_of_the_id(
    client: Client, depot: world.World, db: Database
) -> None:
    with write_tx(db) as tx:
        ask = jobs.enqueue(tx, TIMEOUTS, now=depot.now)
    assert [job["id"] for job in client.get("/api/v1/jobs?q=timeout").json()["items"]] == [ask.id]
    assert [job["id"] for job in client.get(f"/api/v1/jobs?q={ask.id[:12]}").json()["items"]] == [ask.id]
    assert client.get("/api/v1/jobs?q=%25").json()["total"] == 0
    assert client.get("/api/v1/jobs?q=timeout&queue=low_priority").json()["total"] == 0


def test_the_history_counts_what_ended_and_what_waited_and_knows_what_it_cannot_know(
    client: Client, depot: world.World, db: Database
) -> None:
    """Noon, so that the last part of an hour's history begins now."""
    db.conn.execute("DELETE FROM jobs")
    with write_tx(db) as tx:
        for minutes, failed in ((0, False), (3, False), (3, False), (3, True)):
            at = depot.now - timedelta(minutes=minutes)
            ask = jobs.enqueue(tx, TIMEOUTS, now=at)
            assert rows.claim(tx, ask.id, "w", at)
            assert rows.fail(tx, ask.id, 1, "no", "", at, failures=3) if failed else rows.finish(tx, ask.id, 1, 0, at)
        jobs.enqueue(tx, TIMEOUTS, now=depot.now - timedelta(minutes=9))
        work_history.sample(tx, depot.now - timedelta(minutes=5))
    hour = client.get("/api/v1/jobs/history?span=hour").json()
    assert (hour["step_s"], hour["begin"]) == (60, "2026-01-26T11:01:00Z")
    assert [hour["done"][at] for at in (55, 56, 57, 59)] == [0, 2, 0, 1]
    assert (hour["failed"][56], sum(hour["failed"])) == (1, 1)
    assert hour["waiting"]["normal"][54:56] == [1, None]
    assert hour["waiting"]["high_priority"][54] == 0
    month = client.get("/api/v1/jobs/history?span=month").json()
    kept = depot.settings.retention.jobs_days * 6
    assert month["done"][: 180 - kept - 1] == [None] * (180 - kept - 1)
    assert sum(month["done"][-kept:]) == 3
    problem(client.get("/api/v1/jobs/history?span=year"), 400)
