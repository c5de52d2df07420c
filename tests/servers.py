"""The real servers, as processes of the tests' own, over the data folder of a depot."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from appliance.config import Settings
from appliance.paths import PROJECT_ROOT, native
from appliance.servers import redis as redis_role
from tests.cast import environ

BOUND_S = 20.0


def wait_for(condition: Callable[[], Any], what: str, bound_s: float = BOUND_S) -> Any:
    """The first true answer of the condition; fails, saying what it waited for, after the bound."""
    end = time.monotonic() + bound_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {bound_s} s: {what}"
        time.sleep(0.005)
    return found


class Redis:
    """redis-server with the box's own configuration, on the depot's socket."""

    def __init__(self, settings: Settings) -> None:
        self._paths = settings.paths
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        file = self._paths.redis_dir / "redis.conf"
        file.write_text(redis_role.configuration(self._paths).replace("supervised systemd", "supervised no"))
        self._process = subprocess.Popen([native("redis-server"), file], stdout=subprocess.DEVNULL)
        wait_for(self._answers, "redis answers")

    def kill(self) -> None:
        """`kill -9`, and all that was in it is gone."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._paths.redis_socket.unlink(missing_ok=True)

    def client(self, db: int = 0) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._paths.redis_socket), db=db, socket_timeout=5)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return False


class Role:
    """A role of the box in a process of its own; ready when the object is made."""

    def __init__(self, settings: Settings, name: str) -> None:
        address = settings.paths.run_dir / f"notify-{name}"
        address.unlink(missing_ok=True)
        self.log = settings.paths.run_dir / f"{name}.log"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, self.log.open("ab") as log:
            channel.bind(str(address))
            channel.settimeout(BOUND_S)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "role", name],
                cwd=PROJECT_ROOT,
                env=os.environ | environ(settings) | {"NOTIFY_SOCKET": str(address)},
                stderr=log,
            )
            try:
                while b"READY=1" not in channel.recv(4096):
                    pass
            except BaseException:
                self.kill()
                raise

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class CeleryWorker:
    """`celery -A tasks worker`, as the operators' guide starts it. `include` names a file of more tasks."""

    def __init__(self, settings: Settings, *options: str, include: Path | None = None) -> None:
        self.log = settings.paths.run_dir / "celery.log"
        more = {"PYTHONPATH": str(include.parent), "PYTHONWARNINGS": "ignore"} if include else {}
        flags = ["--include", include.stem] if include else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency=1", "--loglevel=info",
                 "--without-gossip", "--without-mingle", *flags, *options],
                cwd=PROJECT_ROOT,
                env=os.environ | environ(settings) | more,
                stdout=log,
                stderr=log,
            )  # fmt: skip
        wait_for(self._is_ready, f"the worker is ready; see {self.log}")

    def stop(self) -> None:
        """Warm, and cold where that takes too long."""
        self.process.terminate()
        try:
            self.process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return " ready." in self.log.read_text()


@contextlib.contextmanager
def running_redis(settings: Settings) -> Iterator[Redis]:
    server = Redis(settings)
    server.start()
    try:
        yield server
    finally:
        server.kill()
