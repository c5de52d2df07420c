"""A stuck worker is found by a canary that does not come back, and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import kombu.exceptions
import psutil
import pytest

from appliance.config import Settings
from appliance.counters import Counters
from appliance.paths import PROJECT_ROOT
from appliance.supervisor import statusfile
from tasks.watchdog import STEPS, Watchdog
from tests.cast import environ
from tests.servers import Redis, wait_for

FAKEBOX = PROJECT_ROOT / "tests" / "appliance" / "fakebox.py"
ROLE = "worker-low"


class Worker:
    """What the watchdog sees of a worker."""

    def __init__(self) -> None:
        self.sent = 0
        self.seen = 0.0
        self.running: list[str] = []
        self.redis = True
        self.alive: list[bool] = []
        self.watchdog = Watchdog(
            time_limit_s=1800,
            send=self._send,
            running=lambda: self.running,
            seen=lambda: self.seen,
            alive=self.alive.append,
        )

    def _send(self) -> None:
        if not self.redis:
            raise kombu.exceptions.OperationalError
        self.sent += 1

    def minute(self, begin: float) -> int:
        """A minute of steps; how often the worker was called alive."""
        before = len(self.alive)
        for second in range(STEPS):
            self.watchdog.step(begin + second)
        return len(self.alive) - before


def test_a_canary_is_sent_four_times_in_the_watchdogs_time_and_alive_is_said_once_for_each_that_comes_back() -> None:
    worker = Worker()
    assert worker.minute(100) == 0
    assert worker.sent == 4
    worker.seen = 160.5
    assert worker.minute(161) == 1
    assert worker.minute(221) == 0


def test_a_task_within_its_time_limit_keeps_the_worker_alive_and_one_beyond_it_does_not() -> None:
    worker = Worker()
    worker.running = ["long"]
    assert worker.minute(0) == STEPS
    assert worker.sent == 0
    assert worker.minute(1795) == 6
    assert worker.minute(1900) == 0
    worker.running = ["long", "next"]
    assert worker.minute(2000) == STEPS


def test_without_redis_the_worker_is_left_alone() -> None:
    worker = Worker()
    worker.redis = False
    assert worker.minute(0) == 4


class Watched:
    """One worker of the box under the real supervisor."""

    def __init__(self, settings: Settings, watchdog_s: float) -> None:
        argv = [sys.executable, "-m", "appliance", "role", ROLE]
        script = f"os.environ[lifeline.PARENT] = str(os.getppid()); os.execv({sys.executable!r}, {argv!r})"
        table = [{"name": ROLE, "script": script, "watchdog_s": watchdog_s}]
        self._paths = settings.paths
        self.log = settings.paths.run_dir / "fakebox.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(FAKEBOX), settings.storage.data_dir, json.dumps(table)],
                cwd=PROJECT_ROOT, env=os.environ | environ(settings), stderr=log,
            )  # fmt: skip

    def role(self) -> statusfile.RoleStatus | None:
        status = statusfile.read(self._paths)
        return status.roles[0] if status else None

    def ready(self, restarts: int) -> statusfile.RoleStatus | None:
        role = self.role()
        return role if role and role.state == "ready" and role.restarts == restarts else None


@pytest.fixture
def watched(depot: Settings, redis_of_depot: Redis, request: pytest.FixtureRequest) -> Iterator[Watched]:
    found = Watched(depot, request.param)
    yield found
    found.process.terminate()
    found.process.wait(40)


def stop_the_pool(depot: Settings, watched: Watched) -> psutil.Process:
    """SIGSTOP to the one pool process of a worker whose canary has come back."""
    role = wait_for(lambda: watched.ready(0), "the worker is ready")
    counters = Counters(depot.paths.redis_socket)

    def came_back() -> bool:
        counted = counters.read()
        return bool(counted and counted.canary_ages_s)

    wait_for(came_back, "its canary has come back")
    (child,) = psutil.Process(role.pid).children()
    child.send_signal(signal.SIGSTOP)
    return child


def restarted_after(depot: Settings, watched: Watched, bound_s: float) -> float:
    began = time.monotonic()
    stopped = stop_the_pool(depot, watched)
    wait_for(lambda: watched.ready(1), "the worker is back", bound_s)
    assert not stopped.is_running()
    assert '"role.watchdog"' in watched.log.read_text()
    return time.monotonic() - began


@pytest.mark.parametrize("watched", [4.0], indirect=True)
def test_a_worker_whose_pool_hangs_is_started_again(depot: Settings, watched: Watched) -> None:
    restarted_after(depot, watched, 30)


@pytest.mark.parametrize("watched", [4.0], indirect=True)
def test_a_worker_that_hangs_itself_is_started_again(depot: Settings, watched: Watched) -> None:
    role = wait_for(lambda: watched.ready(0), "the worker is ready")
    os.kill(role.pid, signal.SIGSTOP)
    wait_for(lambda: watched.ready(1), "the worker is back", 30)


@pytest.mark.parametrize("watched", [2.0], indirect=True)
def test_a_worker_is_left_alone_while_redis_is_away(depot: Settings, watched: Watched, redis_of_depot: Redis) -> None:
    wait_for(lambda: watched.ready(0), "the worker is ready")
    redis_of_depot.kill()
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 6, "three times its watchdog's time")
    assert watched.ready(0)


@pytest.mark.chaos
@pytest.mark.timeout(180)
@pytest.mark.parametrize("watched", [60.0], indirect=True)
def test_at_the_boxs_own_times_a_hanging_worker_is_back_within_75_s(depot: Settings, watched: Watched) -> None:
    assert restarted_after(depot, watched, 75) < 75
