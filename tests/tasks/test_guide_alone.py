"""Lines of "The Celery guide, line by line" in docs/operations.md that start a worker themselves, or need none."""

from __future__ import annotations

import base64
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from appliance import clock
from appliance.storage import jobs as job_rows
from appliance.storage.db import write_tx
from tasks import plugin
from tests.ports import free_port
from tests.servers import wait_for
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
    """Whatever its configuration file and its options say."""
    port = free_port()
    conf = guide.settings.paths.run_dir / "flowerconfig.py"
    conf.write_text("basic_auth = []")
    with guide.running(text, "Visit me", f"--port={port}", f"--conf={conf}", "--basic_auth=a:b") as log:
        password = (guide.settings.paths.secrets_dir / "flower").read_text()
        assert f"user: depot  password: {password}" in log.read_text()
        page = urllib.request.Request(f"http://127.0.0.1:{port}/api/queues/length")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(page)
        page.add_header("Authorization", "Basic " + base64.b64encode(b"a:b").decode())
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


def test_flower_is_not_opened_to_the_network_by_its_configuration_file(guide: Guide) -> None:
    """Given, or the one that it finds in the folder where it starts."""
    conf = guide.settings.paths.run_dir / "flowerconfig.py"
    conf.write_text(f'address = "0.0.0.0"\nbasic_auth = []\nport = {free_port()}')
    given, found = f"celery -A tasks flower --conf={conf}", f"celery --workdir {conf.parent} -A tasks flower"
    for code, said in guide.refusals(given, found).values():
        assert (code, said) == (65, "Error: address 0.0.0.0: Flower listens on loopback only (from another machine"
                                " through a tunnel: ssh -L 5555:127.0.0.1:5555)")  # fmt: skip


def test_what_cannot_be_is_refused_in_one_line(guide: Guide) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        expected = {
            "celery -A tasks inspect failed abc": (65, "ValueError"),
            "celery -A tasks control pool_grow abc": (65, "ValueError"),
            f"celery -A tasks control time_limit {TIMEOUTS} abc": (65, "ValueError"),
            "celery -A tasks control terminate BOGUS x": (65, "no such signal"),
            "celery -A tasks revoke --terminate -s NOPE x": (65, "no such signal"),
            "celery -A tasks worker --autoscale=a,b": (65, "ValueError"),
            "celery -A tasks beat --scheduler=no.such:Thing": (65, "no"),
            "celery -A tasks call trips.tasks.check_trip_timeout": (65, f"is {TIMEOUTS} meant?"),
            "celery -A tasks call trips.tasks.process_trip_completion": (65, "trip_id"),
            "celery -A tasks flower --port=abc": (65, "abc"),
            f"celery -A tasks flower --port={taken.getsockname()[1]}": (69, "in use"),
        }
        found = guide.refusals(*expected)
    assert {text: found[text][0] for text in expected} == {text: code for text, (code, _) in expected.items()}
    for text, (_, part) in expected.items():
        assert part in found[text][1]
    assert guide.run("celery --config nosuch -A tasks status").returncode == 65
    usage = guide.run("celery -A tasks control rate_limit").stderr
    assert "Command 'rate_limit' takes arguments: <task_name>" in usage


def test_the_tools_for_the_broker_say_in_one_line_that_redis_is_away(guide: Guide) -> None:
    guide.redis.kill()
    lines = ("amqp queue.purge normal", "list bindings", "migrate redis:// redis://", "result x", "purge -f")
    found = guide.refusals(*(f"celery -A tasks {text}" for text in lines))
    assert {code for code, _ in found.values()} == {69}


def test_a_wrong_configuration_is_one_line_for_every_command(guide: Guide) -> None:
    guide.environ |= {"DEPOTBOX_WEB__PORT": "many"}
    found = guide.refusals("celery -A tasks report", "celery -A tasks inspect active")
    assert {code for code, _ in found.values()} == {78}


def test_a_signal_that_is_none_leaves_the_row_alone(guide: Guide) -> None:
    id = guide.enqueue(TIMEOUTS, sent=False)
    guide.refusals(f"celery -A tasks revoke --terminate -s NOPE {id}", f"celery -A tasks control terminate BOGUS {id}")
    assert guide.state(id) == "pending"


def test_a_result_is_read_from_the_row_by_its_id_alone(guide: Guide) -> None:
    id = guide.enqueue(TIMEOUTS, sent=False)
    with write_tx(guide.db) as tx:
        claimed = job_rows.claim(tx, id, "w", clock.now())
        assert claimed
        job_rows.finish(tx, id, claimed["attempts"], 33, clock.now())
    assert guide.says(f"celery -A tasks result {id}") == "33\n"


def test_celery_events_takes_d_for_dump_without_a_warning() -> None:
    assert plugin.events.events.make_context("events", ["-d"], resilient_parsing=True).params["dump"] is True
