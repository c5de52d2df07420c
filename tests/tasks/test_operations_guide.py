"""Lines of "The Celery guide, line by line" in docs/operations.md, on a real Redis with a real worker of all queues."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance import clock
from appliance.storage import queues
from appliance.storage.db import value, write_tx
from tasks.sweeper import Sweeper
from tests.servers import CeleryWorker, wait_for
from tests.tasks import test_guide_alone  # noqa: F401  its lines count, too
from tests.tasks.guide import CHECKS, DEPOTBOX, LINES, SLOW_TASK, TIMEOUTS, Guide, depot_with_redis, line

ACTIVE = "celery -A tasks inspect active"


@pytest.fixture(scope="module")
def guide() -> Iterator[Guide]:
    """A depot with Redis for all tests here."""
    with depot_with_redis() as made:
        yield made


@pytest.fixture(scope="module")
def worker(guide: Guide) -> Iterator[CeleryWorker]:
    """A worker of all queues with one process."""
    started = CeleryWorker(guide.settings, include=SLOW_TASK)
    yield started
    started.stop()


def test_each_line_has_a_test_and_each_test_its_line() -> None:
    assert sorted(CHECKS) == sorted(LINES)


@line(
    "celery -A tasks beat --loglevel=info",
    "celery -A tasks beat --loglevel=info --scheduler django_celery_beat.schedulers:DatabaseScheduler",
)
def test_beat_sends_what_was_never_sent(guide: Guide, worker: CeleryWorker, text: str) -> None:
    id = guide.enqueue(TIMEOUTS, sent=False, delay_s=0.2)
    with guide.running(text, "beat: Starting"):
        wait_for(lambda: guide.state(id) == "done", "the job was sent")


@line(ACTIVE, "celery -A tasks revoke --terminate ID")
def test_a_job_that_runs_is_shown_and_ended_for_good(guide: Guide, worker: CeleryWorker, text: str) -> None:
    id = guide.begin_slow("ended")
    wait_for(lambda: [one["id"] for one in next(iter(guide.asks(ACTIVE).values()))] == [id], "it is shown")
    assert "--terminate ends it" in guide.says(f"celery -A tasks revoke {id}")
    assert guide.state(id) == "running"
    assert "discarded" in guide.says(f"celery -A tasks revoke --terminate {id}")
    wait_for(lambda: not next(iter(guide.asks(ACTIVE).values())), "it has ended")
    sweeper = Sweeper(guide.settings, guide.db, guide.sender, None)  # type: ignore[arg-type]
    assert sweeper.free_jobs_of_dead_workers(clock.now()) == 0
    assert guide.state(id) == "discarded"


@line("celery -A tasks inspect registered")
def test_registered_shows_the_wire_names(guide: Guide, worker: CeleryWorker, text: str) -> None:
    (found,) = guide.asks(text).values()
    assert {TIMEOUTS, "billing.tasks.generate_invoice", "users.tasks.send_notification"} <= set(found)


@line("celery -A tasks inspect scheduled")
def test_scheduled_shows_what_was_called_for_later(guide: Guide, worker: CeleryWorker, text: str) -> None:
    id = guide.says(f"celery -A tasks call {TIMEOUTS} --countdown 500").strip()
    wait_for(lambda: id in str(guide.asks(text)), "it is shown")
    assert guide.says(f"celery -A tasks revoke {id}") == f"{id}: discarded\n"


@line("celery -A tasks inspect reserved")
def test_reserved_shows_what_waits_behind_a_task(guide: Guide, worker: CeleryWorker, text: str) -> None:
    first = guide.begin_slow("first")
    second = guide.enqueue(TIMEOUTS)
    wait_for(lambda: second in str(guide.asks(text)), "it is shown")
    guide.says(f"celery -A tasks revoke --terminate {first}")
    wait_for(lambda: guide.state(second) == "done", "it is done then")


@line("celery -A tasks inspect stats")
def test_stats_count_what_was_done(guide: Guide, worker: CeleryWorker, text: str) -> None:
    id = guide.enqueue(TIMEOUTS)
    wait_for(lambda: guide.state(id) == "done", "a job is done")
    (found,) = guide.asks(text).values()
    assert found["total"][TIMEOUTS] >= 1


@line("celery -A tasks inspect failed")
def test_failed_shows_parked_jobs_newest_first_and_no_text_of_a_foreign_error(
    guide: Guide, worker: CeleryWorker, text: str
) -> None:
    errors = ["Permanent: 0", "Permanent: 1", "Permanent: 2", "KeyError: 'Ada Marsh'"]
    ids = [guide.park(error, after_s=n) for n, error in enumerate(errors)]
    (found,) = guide.asks(text).values()
    assert [one["id"] for one in found][:4] == ids[::-1]
    assert [one["error"] for one in found][:2] == ["KeyError", "Permanent: 2"]
    assert set(found[0]) == {"id", "name", "error", "finished_at"}
    (limited,) = guide.asks(f"{text} 2").values()
    assert [one["id"] for one in limited] == ids[:1:-1]


@line("celery -A tasks revoke ID", "celery -A tasks control revoke ID")
def test_a_revoked_job_is_discarded_and_can_be_retried(guide: Guide, worker: CeleryWorker, text: str) -> None:
    id = guide.enqueue(TIMEOUTS, sent=False, delay_s=3600)
    guide.says(text.replace("ID", id))
    assert guide.state(id) == "discarded"
    guide.says(f"depotbox jobs retry {id}", program=DEPOTBOX)
    wait_for(lambda: guide.state(id) == "done", "the worker has not kept it in mind")


@line(f"celery -A tasks call {TIMEOUTS}")
def test_call_prints_the_id_of_the_job(guide: Guide, worker: CeleryWorker, text: str) -> None:
    id = guide.says(text).strip()
    wait_for(lambda: guide.state(id) == "done", "the job is done")


@line("celery -A tasks status", "celery -A tasks report")
def test_status_and_report_answer_and_so_does_the_packaged_form(guide: Guide, worker: CeleryWorker, text: str) -> None:
    expected = "1 node online" if "status" in text else "kombu:5"
    assert expected in guide.says(text)
    assert expected in guide.says(text.replace("-A tasks", "celery"), program=DEPOTBOX)


@line(
    f"celery -A tasks control rate_limit {TIMEOUTS} 5/m",
    f"celery -A tasks control time_limit {TIMEOUTS} 10 20",
    "celery -A tasks control pool_grow 1",
    "celery -A tasks control pool_shrink 1",
    "celery -A tasks control cancel_consumer low_priority",
    "celery -A tasks control add_consumer low_priority",
    "celery -A tasks control enable_events",
)
def test_a_worker_does_what_control_says(guide: Guide, worker: CeleryWorker, text: str) -> None:
    (answer,) = guide.asks(text).values()
    assert "ok" in answer, answer


def test_a_job_of_a_paused_queue_waits_until_it_is_resumed(guide: Guide, worker: CeleryWorker) -> None:
    guide.says("depotbox queues pause normal", program=DEPOTBOX)
    id = guide.enqueue(TIMEOUTS)
    wait_for(lambda: guide.redis.client().llen("normal") == 0, "the worker has thrown its message away")
    sweeper = Sweeper(guide.settings, guide.db, guide.sender, None)  # type: ignore[arg-type]
    assert sweeper.send_again(clock.now()) == 0
    assert guide.state(id) == "pending"
    with write_tx(guide.db) as tx:
        assert queues.resume(tx, "normal")
    assert sweeper.send_again(clock.now()) == 1
    wait_for(lambda: guide.state(id) == "done", "it is done")


def test_what_a_worker_refuses_is_an_error_in_one_line(guide: Guide, worker: CeleryWorker) -> None:
    for line_ in ("control rate_limit nosuch 5/m", f"control rate_limit {TIMEOUTS} bogus"):
        done = guide.run(f"celery -A tasks {line_}")
        assert (done.returncode, len(done.stderr.splitlines())) == (65, 1), done.stderr
    assert "Traceback" not in worker.log.read_text()


def test_who_revokes_by_way_of_a_worker_is_in_the_audit_log(guide: Guide, worker: CeleryWorker) -> None:
    id = guide.enqueue(TIMEOUTS, sent=False, delay_s=3600)
    guide.says(f"celery -A tasks control revoke {id}")
    assert str(value(guide.db, "SELECT who FROM audit_log WHERE subject_uid = ?", id)).startswith("cli:")
