"""The centre on several machines: servers that keep nothing, and workers on a Redis that they share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import redis
from sqlalchemy import Engine, func, select

from appliance import clock
from appliance.central import db, overview
from appliance.central.tables import batches, trips
from appliance.paths import PROJECT_ROOT, native
from tests.central import postgres
from tests.central.box import Box, trip
from tests.central.test_serve import Served
from tests.ports import free_port
from tests.servers import wait_for


class Cluster:
    """Two servers and a worker of each queue, over one PostgreSQL and one Redis."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder, self.url, self.redis_port = folder, url, free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.redis_url = f"redis://127.0.0.1:{self.redis_port}/0"
        self.servers = [Served(url, folder) for _ in range(2)]
        for server in self.servers:
            server.environ |= {"DEPOTBOX_CENTRAL__REDIS": self.redis_url}

    def start_redis(self) -> None:
        command = [native("redis-server"), "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", ""]
        self.processes["redis"] = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL)
        client = redis.Redis(port=self.redis_port)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

        wait_for(answers, "redis answers")
        client.close()

    def start(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "appliance", "central", *words],
                cwd=PROJECT_ROOT,
                env=self.servers[0].environ,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes.pop(name).wait(20)

    def stop(self) -> None:
        for name in list(self.processes):
            self.kill(name)
        for server in self.servers:
            if server.process is not None and server.process.poll() is None:
                server.end(signal.SIGKILL)


@pytest.fixture
def cluster(postgresql: str, tmp_path: Path) -> Iterator[Cluster]:
    url = postgres.create(postgresql, "cluster", template="made")
    made = Cluster(url, tmp_path)
    yield made
    made.stop()
    postgres.drop(postgresql, "cluster")


def count(engine: Engine, *where: object) -> int:
    with db.read(engine) as connection:
        return int(db.value(connection, select(func.count()).select_from(batches).where(*where)) or 0)  # type: ignore[arg-type]


@pytest.mark.timeout(180)
def test_any_server_takes_a_batch_and_workers_apply_it_whatever_was_lost(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.start_redis()
    for server in cluster.servers:
        server.start()
    code = cluster.servers[0].command("depot", "add", "LDS", "Leeds")
    with ExitStack() as opened:
        clients = [opened.enter_context(httpx.Client(base_url=one.url, timeout=20)) for one in cluster.servers]
        box = Box(clients[0])
        assert box.enrol(code).status_code == 201
        engine = db.connect(cluster.url)
        opened.callback(engine.dispose)
        for number in range(4):
            for _ in range(3):
                box.tell("trips", "trip", trip())
            box.client = clients[number % 2]
            assert box.send(box.packed("trips", number * 3 + 1)).status_code == 200
        metrics = clients[1].get("/metrics").text
        assert 'celery_queue_length{queue="normal"} 4.0' in metrics
        assert count(engine, batches.c.applied_at.is_(None)) == 4

        cluster.kill("redis")  # and what it held is gone
        box.client = clients[0]
        box.tell("trips", "trip", trip())
        assert box.send(box.packed("trips", 13)).status_code == 200, "a depot is answered without Redis"
        cluster.start_redis()
        cluster.start("normal", "worker", "normal")
        cluster.start("high", "worker", "high_priority")

        for name, value in cluster.servers[0].environ.items():
            if name.startswith("DEPOTBOX_"):
                monkeypatch.setenv(name, value)
        from tasks import central

        monkeypatch.setattr(central, "FORGOTTEN", -central.FORGOTTEN)  # a minute is over
        monkeypatch.setattr(central, "engine", lambda: engine)
        assert central.sweep() == 5
        wait_for(lambda: not count(engine, batches.c.applied_at.is_(None)), "all is applied", 60)
        with db.read(engine) as connection:
            assert db.value(connection, select(func.count()).select_from(trips)) == 13
            assert overview.forgotten(connection, clock.now(), 10) == []
        assert cluster.servers[0].command("ping", "normal") == "It answers."


def test_workers_without_a_redis_say_what_is_missing(tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("DEPOTBOX_")}
    done = subprocess.run(
        [sys.executable, "-m", "appliance", "central", "worker", "normal"],
        cwd=PROJECT_ROOT,
        env=own | {"DEPOTBOX_CENTRAL__DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (78, 1), done.stderr
    assert "central.redis" in done.stderr
