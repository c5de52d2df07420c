"""A real redis-server and a real web role over a data folder, as processes of the test's own."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from appliance.paths import PROJECT_ROOT, Paths, native
from tests.ports import free_port

WITHIN_S = 20.0


def wait_for(done: Callable[[], object], what: str, within_s: float = WITHIN_S) -> None:
    """Waits until `done()` is true; fails the test, saying what it waited for, when it takes too long."""
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


class Redis:
    """A redis-server on the socket of a data folder; it can be killed and started again."""

    def __init__(self, paths: Paths) -> None:
        self._socket = paths.redis_socket
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [native("redis-server"), "--port", "0", "--unixsocket", self._socket, "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
        )
        wait_for(self.answers, "redis answers")

    def answers(self) -> bool:
        with redis.Redis(unix_socket_path=str(self._socket)) as client, contextlib.suppress(redis.RedisError):
            return bool(client.ping())
        return False

    def queued(self, queue: str) -> int:
        """How many messages wait in a queue of the box."""
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            return int(client.llen(queue))

    def kill(self) -> None:
        """`kill -9`: no goodbye to anybody."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)


@contextlib.contextmanager
def running_redis(paths: Paths) -> Iterator[Redis]:
    server = Redis(paths)
    try:
        yield server
    finally:
        server.stop()


class Web:
    """The web role as a process of its own."""

    def __init__(self, data_dir: Path, log: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        code = "import sys; from appliance import config, log; from web.main import main; log.configure('web'); "
        self.tls_port = free_port()
        environ = os.environ | {
            "DEPOTBOX_STORAGE__DATA_DIR": str(data_dir),
            "DEPOTBOX_WEB__PORT": str(self.port),
            "DEPOTBOX_WEB__TLS_PORT": str(self.tls_port),
            **settings,
        }
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code + "sys.exit(main(config.load()))"],
                cwd=PROJECT_ROOT,
                env=environ,
                stderr=out,
            )
        wait_for(self.answers, f"the web role answers; see {log}")

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/healthz")
            return connection.getresponse().status in (200, 503)
        return False

    def stop(self) -> int:
        """Asks it to end, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextlib.contextmanager
def running_web(data_dir: Path, log: Path, **settings: str) -> Iterator[Web]:
    """Settings can be given as environment variables (`DEPOTBOX_...`)."""
    server = Web(data_dir, log, **settings)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
