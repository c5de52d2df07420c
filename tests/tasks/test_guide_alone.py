"""Lines of "The Celery guide, line by line" in docs/operations.md that start a worker themselves, or need none."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.servers import free_port, wait_for
from tests.tasks.guide import LINES, TIMEOUTS, Guide, depot_with_redis, line


@pytest.fixture
def guide() -> Iterator[Guide]:
    """A depot with Redis and nothing else."""
    with depot_with_redis() as made:
        yield made


@line(
    "celery -A tasks worker --loglevel=info",
    "celery -A tasks worker --queues=high_priority,normal --loglevel=info",
    "celery -A tasks worker --concurrency=10 --loglevel=info",
    "celery -A tasks worker --autoscale=3,1 --loglevel=info",
    "celery -A tasks worker --queues=high_priority --loglevel=info -n worker1@%h",
    "celery -A tasks worker --queues=normal --loglevel=info -n worker2@%h",
    "celery -A tasks worker --queues=low_priority --loglevel=info -n worker3@%h",
)
def test_a_worker_takes_the_queues_it_was_given(guide: Guide, text: str) -> None:
    given = re.search(r"--queues=(\S+)", text)
    expected = set(given[1].split(",")) if given else {"high_priority", "normal", "low_priority"}
    with guide.running(text, " ready."):
        ((name, found),) = guide.asks("celery -A tasks inspect active_queues").items()
        assert {queue["name"] for queue in found} == expected
        assert name.startswith(text.partition(" -n ")[2].removesuffix("%h") or "celery@")
        if "normal" in expected:
            id = guide.enqueue(TIMEOUTS)
            wait_for(lambda: guide.state(id) == "done", "a job is done")
        if "--concurrency" in text:
            assert guide.asks("celery -A tasks inspect stats")[name]["pool"]["max-concurrency"] == 10


def test_several_workers_run_on_one_host(guide: Guide) -> None:
    first, second = [one for one in LINES if " -n worker" in one][:2]
    with guide.running(first, " ready."), guide.running(second, " ready."):
        assert "2 nodes online" in guide.says("celery -A tasks status")


def test_a_revoke_needs_no_worker(guide: Guide) -> None:
    id = guide.enqueue(TIMEOUTS, sent=False)
    assert guide.says(f"celery -A tasks revoke {id}") == f"{id}: discarded\n"
    assert guide.state(id) == "discarded"


@line("celery -A tasks purge", "celery -A tasks purge -Q high_priority")
def test_a_purge_asks_and_takes_messages_and_rows_of_its_queues(guide: Guide, text: str) -> None:
    job = guide.enqueue(TIMEOUTS)
    later = guide.enqueue("users.tasks.send_daily_digest", delay_s=3600, user_id=1)
    guide.sender.send_ephemeral("trips.tasks.broadcast_trip_status", 60.0, trip_id=1, status="x")
    assert guide.run(text, say="n\n").returncode == 1
    assert guide.redis.client().llen("high_priority") == 1
    said = guide.says(text, say="y\n")
    only_high = "-Q" in text
    assert ("Purged 1 message from 1" if only_high else "Purged 3 messages from 3") in said
    assert {guide.state(job), guide.state(later)} == {"pending" if only_high else "discarded"}
    assert guide.redis.client().llen("normal") == only_high
    guide.says("celery -A tasks purge -f")


@line("celery -A tasks flower")
def test_flower_wants_its_password(guide: Guide, text: str) -> None:
    port = free_port()
    with guide.running(text, "Visit me", f"--port={port}") as log:
        password = (guide.settings.paths.secrets_dir / "flower").read_text()
        assert f"user: depot  password: {password}" in log.read_text()
        page = urllib.request.Request(f"http://127.0.0.1:{port}/api/queues/length")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(page)
        page.add_header("Authorization", "Basic " + base64.b64encode(f"depot:{password}".encode()).decode())
        with urllib.request.urlopen(page) as answer:
            assert b'"high_priority"' in answer.read()


@line("celery -A tasks worker --detach")
def test_what_detaches_is_refused_in_one_line(guide: Guide, text: str) -> None:
    for refused in (text, "celery -A tasks multi start w1", "celery -A tasks flower --address=0.0.0.0"):
        done = guide.run(refused)
        assert done.returncode == 65
        assert len(done.stderr.splitlines()) == 1


def test_without_redis_or_depot_a_command_ends_in_one_line(guide: Guide) -> None:
    nowhere = {"DEPOTBOX_STORAGE__DATA_DIR": str(guide.settings.paths.data_dir / "nowhere")}
    kept, guide.environ = guide.environ, guide.environ | nowhere
    try:
        codes = {}
        for text in ("worker", "beat", "purge -f", "inspect active", f"call {TIMEOUTS}", "revoke x", "flower"):
            done = guide.run(f"celery -A tasks {text}")
            assert len(done.stderr.splitlines()) == 1, done.stderr
            codes[text.split()[0]] = done.returncode
    finally:
        guide.environ = kept
    assert codes == {
        "worker": 78, "beat": 78, "purge": 78, "inspect": 69, "call": 69, "revoke": 78, "flower": 78
    }  # fmt: skip
