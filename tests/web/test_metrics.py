"""`/metrics`: what it says, that it says it without Redis and database, and that each metric is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlite_utils import Database

from appliance import config, jobs
from appliance.counters import Counters
from appliance.paths import PROJECT_ROOT
from appliance.storage import queues
from appliance.storage.db import open_depot, write_tx
from tests.web import world
from tests.web.conftest import Client
from web.app import create_app

DOCUMENTED = (PROJECT_ROOT / "docs" / "metrics.md").read_text()
TASK = "billing.tasks.generate_invoice"


@pytest.fixture
def db(depot: world.World) -> Iterator[Database]:
    opened = open_depot(depot.settings.paths.depot_db)
    yield opened
    opened.conn.close()


def scrape(client: Client) -> dict[tuple[str, ...], float]:
    """(name, label values...) -> value of every sample."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def families(client: Client) -> dict[str, tuple[str, set[str]]]:
    """Name as a query has it -> (type, labels), of all families but those without a sample."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
    return found


def test_each_metric_is_documented_with_type_and_labels_and_no_other(client: Client, depot: world.World) -> None:
    counters = Counters(depot.settings.paths.redis_socket)
    counters.ran(TASK, "succeeded", 0.1)
    counters.canary("worker-low@box")
    told = {
        name: (kind, set(re.findall(r"\w+", labels)))
        for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", DOCUMENTED, re.MULTILINE)
    }
    found = families(client)
    of_roles = {"depotbox_role_up", "depotbox_role_restarts_total"}  # no supervisor runs here: no role
    assert found.keys() == told.keys()
    assert {name: one for name, one in found.items() if name not in of_roles} == {
        name: one for name, one in told.items() if name not in of_roles
    }


def test_an_empty_queue_has_the_length_0_and_messages_are_counted(client: Client, depot: world.World) -> None:
    assert [scrape(client)["celery_queue_length", queue] for queue in jobs.QUEUES] == [0, 0, 0]
    with redis.Redis(unix_socket_path=str(depot.settings.paths.redis_socket)) as broker:
        broker.lpush("normal", "one", "two")
    assert [scrape(client)["celery_queue_length", queue] for queue in jobs.QUEUES] == [0, 2, 0]


def test_jobs_are_counted_by_state_and_the_oldest_that_waits_has_an_age(
    client: Client, depot: world.World, db: Database
) -> None:
    before = scrape(client)
    with write_tx(db) as tx:
        jobs.enqueue(tx, "users.tasks.send_welcome_email", now=depot.now - timedelta(seconds=90), user_id=1)
        jobs.enqueue(tx, "users.tasks.send_welcome_email", now=depot.now, delay_s=600, user_id=2)
        queues.pause(tx, "low_priority", "test", depot.now)
    found = scrape(client)
    assert found["depotbox_jobs", "pending"] == before["depotbox_jobs", "pending"] + 2
    assert found["depotbox_jobs_waiting", "low_priority"] == before["depotbox_jobs_waiting", "low_priority"] + 1
    assert found["depotbox_oldest_job_age_seconds", "low_priority"] >= 90
    assert found["depotbox_oldest_job_age_seconds", "high_priority"] == 0
    assert found["depotbox_queue_paused", "low_priority"] == 1
    assert found["depotbox_queue_paused", "normal"] == 0


def test_runs_of_all_processes_add_up_with_cumulative_buckets(client: Client, depot: world.World) -> None:
    for runtime_s in (0.004, 0.02, 4000.0):
        Counters(depot.settings.paths.redis_socket).ran(TASK, "succeeded", runtime_s)
    Counters(depot.settings.paths.redis_socket).ran(TASK, "lost", None)
    found = scrape(client)
    assert found["celery_tasks_total", TASK, "succeeded"] == 3
    assert found["celery_tasks_total", TASK, "lost"] == 1
    buckets = {
        sample.labels["le"]: sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == "celery_task_runtime_seconds_bucket"
    }
    assert (buckets["0.005"], buckets["0.01"], buckets["0.025"], buckets["1800.0"], buckets["+Inf"]) == (1, 1, 2, 2, 3)
    assert found["celery_task_runtime_seconds_count", TASK] == 3
    assert found["celery_task_runtime_seconds_sum", TASK] == pytest.approx(4000.024)


def test_without_redis_and_without_a_database_it_still_answers_on_this_machine(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.gate.on_this_machine", lambda scope: True)  # the test client has no address
    settings = config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": str(data_dir)})
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as client:
        found = scrape(client)
    assert found["depotbox_redis_up",] == found["depotbox_database_up",] == 0
    assert "celery_queue_length" not in {key[0] for key in found}
