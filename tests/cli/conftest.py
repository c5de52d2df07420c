"""What the tests of the commands share: a data folder that `init` has made, and the commands themselves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import config
from appliance.config import Settings
from appliance.servers import mosquitto
from appliance.storage import schedules
from appliance.storage.db import open_depot, write_tx
from appliance.storage.migrations import migrate


@dataclass(frozen=True)
class Said:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def items(self) -> list[dict[str, Any]]:
        assert self.json["total"] >= len(self.json["items"])
        found: list[dict[str, Any]] = self.json["items"]
        return found


Box = Callable[..., Said]
WaitFor = Callable[..., Any]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A depot as `init` leaves it, in the environment that every command reads."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("DEPOTBOX_") and name != "DEPOTBOX_NATIVE":
            del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    os.environ.update({
        "DEPOTBOX_STORAGE__DATA_DIR": str(folder / "data"),
        "DEPOTBOX_MQTT__PORT": str(port),
        "DEPOTBOX_MQTT__TLS_PORT": "0",
        "DEPOTBOX_MQTT__CERTIFICATE_PORT": "0",
    })  # fmt: skip
    made = config.load()
    made.paths.prepare()
    migrate(made.paths.depot_db)
    mosquitto.make_secrets(made.paths)
    yield made
    os.environ.clear()
    os.environ.update(before)
    shutil.rmtree(folder)


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    opened = open_depot(settings.paths.depot_db)
    with write_tx(opened) as tx:
        schedules.ensure_defaults(tx)
    yield opened
    opened.conn.close()


@pytest.fixture
def box(settings: Settings) -> Box:
    """`box("vehicle", "list")` runs that command in a process of its own, as a person would."""

    def run(*args: str, stdin: bytes = b"") -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", *args], input=stdin, capture_output=True, timeout=60, check=False
        )
        said = Said(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in said.err
        return said

    return run


@pytest.fixture
def wait_for() -> WaitFor:
    """`wait_for(condition)` returns the first true answer of the condition, or fails after the bound."""

    def wait(condition: Callable[[], Any], bound_s: float = 20.0) -> Any:
        end = time.monotonic() + bound_s
        while not (found := condition()):
            assert time.monotonic() < end, f"not within {bound_s} s"
            time.sleep(0.005)
        return found

    return wait


@pytest.fixture
def role(settings: Settings) -> Iterator[Callable[[str], None]]:
    """`role("redis")` starts that role of the box and returns once it is ready."""
    address = settings.paths.data_dir.parent / "notify"
    with contextlib.ExitStack() as cleanup, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(address))
        channel.settimeout(20)

        def begin(name: str) -> None:
            process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "role", name],
                env=os.environ | {"NOTIFY_SOCKET": str(address)},
                stderr=subprocess.DEVNULL,
            )
            cleanup.callback(process.wait)
            cleanup.callback(process.kill)
            while b"READY=1" not in channel.recv(4096):
                pass

        yield begin
