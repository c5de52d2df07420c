"""The page Work, the page of a job and the schedule, as the server makes them, and who may do what there."""

from __future__ import annotations

import pytest
from sqlite_utils import Database

from appliance.storage import jobs as rows
from appliance.storage import schedules
from appliance.storage.db import value
from tests.web import work_day, world
from tests.web.conftest import Client, sign_in

HTMX = {"Accept": "text/html", "HX-Request": "true"}


@pytest.fixture
def day(depot: world.World) -> dict[str, str]:
    return work_day.make(depot)


def state(db: Database, id: str) -> str:
    found = rows.get(db, id)
    assert found
    return str(found["state"])


def test_queues_are_shown_with_what_waits_and_since_when(client: Client, day: dict[str, str]) -> None:
    page = client.get("/work").text
    low = page.partition('id="figures-low_priority"')[2].partition("</dl>")[0]
    assert "<dt>waiting</dt><dd>10</dd>" in low
    assert "<dt>oldest waits</dt><dd>4 min</dd>" in low
    assert f"/work/jobs/{day['pending']}" in page
    assert low in client.get("/work/figures").text


def test_jobs_are_listed_by_state_and_searched(client: Client, day: dict[str, str]) -> None:
    failed = client.get("/work?state=failed").text
    assert failed.count(work_day.ERROR) == 4
    assert day["done"] not in failed
    found = client.get(f"/work?q={day['running'][:13]}").text
    assert day["running"] in found
    assert "1 job<" in found
    assert "No such job" in client.get("/work?q=nothing").text
    assert client.get("/work?state=lost", headers=HTMX).status_code == 400


def test_a_page_of_jobs_has_fifty_and_leads_to_the_next(client: Client, day: dict[str, str]) -> None:
    page = client.get("/work?state=done").text
    assert page.count('<a href="/work/jobs/') == 50
    assert 'href="/work?state=done&amp;page=2"' in page


def test_a_job_is_shown_with_arguments_error_and_traceback(client: Client, day: dict[str, str]) -> None:
    page = client.get(f"/work/jobs/{day['failed']}").text
    for shown in ("invoice_id", work_day.ERROR, "line 61", "Retry", "Discard"):
        assert shown in page
    assert f'<a href="/trips/{7}">7</a>' in client.get(f"/work/jobs/{day['running']}").text
    assert client.get("/work/jobs/none", headers=HTMX).status_code == 404


def test_a_job_is_retried_discarded_and_revoked_from_its_page(
    client: Client, day: dict[str, str], depot_db: Database
) -> None:
    assert "It will be tried again" in client.post(f"/work/jobs/{day['failed']}/retry").text
    assert state(depot_db, day["failed"]) == "pending"
    again = client.post(f"/work/jobs/{day['failed']}/retry")
    assert again.status_code == 422
    assert "only a failed or discarded job is retried" in again.text
    for id in (day["pending"], day["running"]):
        assert "The job is given up" in client.post(f"/work/jobs/{id}/discard").text
        assert state(depot_db, id) == "discarded"
    assert client.post(f"/work/jobs/{day['done']}/discard").status_code == 422


def test_all_failed_jobs_are_retried_at_once(client: Client, day: dict[str, str], depot_db: Database) -> None:
    assert "4 jobs will be tried again" in client.post("/work/retry").text
    assert value(depot_db, "SELECT count(*) FROM jobs WHERE state = 'failed'") == 0


def test_a_queue_is_paused_resumed_and_purged_and_the_page_says_what_happened(
    client: Client, day: dict[str, str], depot_db: Database
) -> None:
    assert "Low priority is paused" in client.post("/work/queues/low_priority/pause").text
    assert "paused already" in client.post("/work/queues/low_priority/pause").text
    assert "Low priority goes on" in client.post("/work/queues/low_priority/resume").text
    assert "10 jobs of Low priority given up" in client.post("/work/queues/low_priority/purge").text
    assert value(depot_db, "SELECT count(*) FROM jobs WHERE state = 'discarded'") == 10
    assert client.post("/work/queues/urgent/purge").status_code == 422


def test_an_entry_of_the_schedule_is_edited_paused_and_run(
    client: Client, day: dict[str, str], depot_db: Database
) -> None:
    """An entry keeps its task; a crontab gets its zone, an interval keeps the one it has."""
    page = client.get("/work/schedule").text
    assert "every 5 min" in page
    assert "30 3 * * *" in page
    form = {"kind": "crontab", "crontab": "0 4 * * 1", "zone": "Europe/Berlin"}
    assert "is changed" in client.post("/work/schedule/check-trip-timeouts", data=form | {"version": "1"}).text
    entry = schedules.get(depot_db, "check-trip-timeouts")
    assert entry
    assert (entry["crontab"], entry["zone"], entry["every_s"], entry["task"]) == (
        "0 4 * * 1", "Europe/Berlin", None, work_day.TIMEOUTS,
    )  # fmt: skip
    interval = {"kind": "interval", "every_s": "60", "version": "2"}
    assert client.post("/work/schedule/check-trip-timeouts", data=interval).is_success
    assert "is paused" in client.post("/work/schedule/check-trip-timeouts/pause").text
    assert "goes on" in client.post("/work/schedule/check-trip-timeouts/resume").text
    assert "runs now" in client.post("/work/schedule/check-trip-timeouts/run").text
    assert value(depot_db, "SELECT count(*) FROM audit_log WHERE subject = 'schedule'") == 5


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"kind": "interval", "every_s": "soon"}, "Expected a number of seconds."),
        ({"kind": "interval", "every_s": "0"}, "xpected 1 to 31622400 seconds"),
        ({"kind": "crontab", "crontab": "every day"}, "ot five fields"),
        ({"kind": "crontab", "crontab": "0 4 * * *", "zone": "Mars/Base"}, "like Europe/London"),
    ],
)
def test_a_wrong_rhythm_is_refused_and_what_was_typed_stays(
    client: Client, day: dict[str, str], depot_db: Database, form: dict[str, str], said: str
) -> None:
    before = schedules.listed(depot_db)
    answer = client.post("/work/schedule/check-gps-days", data=form | {"version": "1"})
    assert answer.status_code == 422
    assert said in answer.text
    assert all(f'value="{typed}"' in answer.text for typed in form.values())
    assert schedules.listed(depot_db) == before


@pytest.mark.parametrize("role", ["dispatcher", "biller", "viewer"])
def test_others_look_and_only_an_administrator_operates(
    client: Client, depot: world.World, day: dict[str, str], role: str
) -> None:
    sign_in(client, depot, role)
    for address in ("/work", "/work/schedule", f"/work/jobs/{day['failed']}"):
        page = client.get(address)
        assert page.status_code == 200
        assert "hx-post" not in page.text
    for address in (
        "/work/retry", f"/work/jobs/{day['failed']}/retry", f"/work/jobs/{day['failed']}/discard",
        "/work/queues/normal/pause", "/work/queues/normal/purge", "/work/schedule/check-gps-days",
        "/work/schedule/check-gps-days/run",
    ):  # fmt: skip
        assert client.post(address).status_code == 403
