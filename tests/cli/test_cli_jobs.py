"""`depotbox jobs`: looking at work, trying it again, giving it up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from sqlite_utils import Database

from appliance import jobs
from appliance.config import Settings
from appliance.errors import NotFound, Refused
from appliance.storage import jobs as rows
from appliance.storage.db import write_tx

NOW = datetime(2026, 1, 27, 9, 30, tzinfo=UTC)
INVOICE = "billing.tasks.generate_invoice"


def ask(db: Database, id: str, *, key: str | None = None) -> str:
    with write_tx(db) as tx:
        return jobs.enqueue(tx, INVOICE, now=NOW, id=id, key=key, trip_id=7).id


def fail(db: Database, id: str, *, key: str | None = None) -> str:
    ask(db, id, key=key)
    with write_tx(db) as tx:
        claimed = rows.claim(tx, id, "worker", NOW + timedelta(seconds=1))
        assert claimed is not None
        rows.fail(tx, id, claimed["attempts"], "it broke", "Traceback of old\n  line 1", NOW, failures=3)
    return id


def state(db: Database, id: str) -> str:
    found = rows.get(db, id)
    assert found is not None
    return str(found["state"])


def test_the_list_is_of_one_state_or_of_all(box: Any, db: Database) -> None:
    fail(db, "job-1")
    ask(db, "job-2")
    assert {job["id"] for job in box("jobs", "list", "--json").items} == {"job-1", "job-2"}
    (only,) = box("jobs", "list", "--state", "failed", "--json").items
    assert (only["id"], only["name"], only["attempts"], only["error"]) == ("job-1", INVOICE, 1, "it broke")
    assert "it broke" in box("jobs", "list").out


def test_a_job_is_shown_with_its_arguments_and_its_traceback(box: Any, db: Database) -> None:
    fail(db, "job-1")
    assert box("jobs", "show", "job-1", "--json").json["arguments"] == {"trip_id": 7}
    said = box("jobs", "show", "job-1").out
    assert "{'trip_id': 7}" in said
    assert said.endswith("Traceback of old\n  line 1\n")


def test_a_result_that_is_no_number_is_null_in_json(box: Any, db: Database) -> None:
    ask(db, "job-1")
    with write_tx(db) as tx:
        rows.claim(tx, "job-1", "worker", NOW)
        rows.finish(tx, "job-1", 1, {"mean": float("nan")}, NOW)
    said = box("jobs", "show", "job-1", "--json")
    assert "NaN" not in said.out
    assert said.json["result"] == {"mean": None}


def test_who_gave_a_job_up_is_shown_and_not_as_a_retry(box: Any, db: Database) -> None:
    ask(db, "job-1")
    box("jobs", "discard", "job-1")
    said = box("jobs", "show", "job-1").out
    assert "decided by   cli:" in said
    assert "retried" not in said


def test_a_failed_job_goes_back_to_its_queue_while_the_box_runs(
    box: Any, db: Database, settings: Settings, role: Any
) -> None:
    role("redis")
    fail(db, "job-1")
    assert box("jobs", "retry", "job-1").out == "job-1 is tried again.\n"
    assert state(db, "job-1") == "pending"
    queue = redis.Redis(unix_socket_path=str(settings.paths.redis_socket), db=0)
    (message,) = queue.lrange("normal", 0, -1)
    queue.close()
    assert b"job-1" in message


def test_without_a_running_box_the_retried_job_waits_for_its_start(box: Any, db: Database) -> None:
    fail(db, "job-1")
    said = box("jobs", "retry", "job-1")
    assert (said.code, said.out, said.err) == (0, "job-1 is tried again.\n", "")
    assert [job["id"] for job in rows.unfinished(db, datetime.now(UTC))] == ["job-1"]


def test_a_discarded_job_can_be_retried_and_a_waiting_one_discarded(box: Any, db: Database) -> None:
    ask(db, "job-1")
    assert box("jobs", "discard", "job-1").code == 0
    assert state(db, "job-1") == "discarded"
    assert box("jobs", "retry", "job-1").code == 0
    assert state(db, "job-1") == "pending"


@pytest.mark.parametrize("verb", ["show", "retry", "discard"])
def test_an_unknown_job_is_one_line(box: Any, db: Database, verb: str) -> None:
    said = box("jobs", verb, "nothing")
    assert said.code == NotFound.exit_code
    assert said.err == "depotbox: nothing: no such job (`depotbox jobs list` shows them)\n"


def test_a_job_that_waits_is_not_retried_and_one_that_is_done_not_discarded(box: Any, db: Database) -> None:
    ask(db, "job-1")
    said = box("jobs", "retry", "job-1")
    assert (said.code, "it is pending" in said.err) == (Refused.exit_code, True)
    with write_tx(db) as tx:
        rows.claim(tx, "job-1", "worker", NOW + timedelta(seconds=1))
        rows.finish(tx, "job-1", 1, None, NOW)
    said = box("jobs", "discard", "job-1")
    assert (said.code, "it is done" in said.err) == (Refused.exit_code, True)


def test_a_job_whose_work_waits_under_another_id_is_not_made_twice(box: Any, db: Database) -> None:
    fail(db, "job-1", key="invoice:7")
    ask(db, "job-2", key="invoice:7")
    said = box("jobs", "retry", "job-1")
    assert said.code == Refused.exit_code
    assert "waits under another id" in said.err
    assert state(db, "job-1") == "failed"


def test_who_retried_and_discarded_is_in_the_audit_log(box: Any, db: Database) -> None:
    fail(db, "job-1")
    box("jobs", "retry", "job-1")
    box("jobs", "discard", "job-1")
    found = [(row["action"], row["subject_uid"]) for row in db.query("SELECT * FROM audit_log ORDER BY id")]
    assert found == [("job.retried", "job-1"), ("job.discarded", "job-1")]
