"""A whole box, started as a person starts it, over a data folder of the test's own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from appliance.paths import Paths
from appliance.storage import users
from appliance.storage.db import open_depot, write_tx
from tests.ports import free_port

READY_S = 90.0
# This checkout, or the words that start another program (`make test-binary`: the frozen one, in a bare Debian).
DEPOTBOX = tuple(os.environ.get("DEPOTBOX_PROGRAM", "").split()) or (sys.executable, "-m", "appliance")


def wait_for(done: Callable[[], object], what: str, within_s: float) -> None:
    """Waits until `done()` is true; fails the test, saying what it waited for, when it takes too long."""
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.05)


class RunningBox:
    """`depotbox run` on `data_dir`. Settings can be given as environment variables (`DEPOTBOX_...`)."""

    def __init__(self, data_dir: Path, *options: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.web_port, self.tls_port = free_port(), free_port()
        self.environment: Mapping[str, str] = os.environ | {
            "DEPOTBOX_STORAGE__DATA_DIR": str(data_dir),
            "DEPOTBOX_WEB__PORT": str(self.web_port),
            "DEPOTBOX_WEB__TLS_PORT": str(self.tls_port),
            "DEPOTBOX_MQTT__PORT": str(free_port()),
            "DEPOTBOX_MQTT__TLS_PORT": str(free_port()),
            "DEPOTBOX_MQTT__CERTIFICATE_PORT": str(free_port()),
            "DEPOTBOX_BILLING__SETTLE_S": "2",
            **settings,
        }
        self._options = options
        self.log = data_dir.with_suffix(".log")

    def __enter__(self) -> RunningBox:
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.supervisor = subprocess.Popen(
                [*DEPOTBOX, "run", *self._options], env=self.environment, stdout=log, stderr=log
            )
        try:
            wait_for(self.is_ready, "every role is ready", READY_S)
        except BaseException:
            self.stop()
            print(self.log.read_text()[-6000:])
            raise
        self.start_s = time.monotonic() - began
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        if self.supervisor.poll() is None:
            self.supervisor.send_signal(signal.SIGTERM)
        return self.supervisor.wait(40)

    def run(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Runs a `depotbox` command on this box."""
        return subprocess.run(
            [*DEPOTBOX, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def json(self, *arguments: str, timeout_s: float = 60.0) -> Any:
        done = self.run(*arguments, "--json", timeout_s=timeout_s)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    def token(self, role: str = "administrator", scope: str = "admin") -> dict[str, str]:
        """The header of a program that asks in the name of a user of that role, who is added."""
        db = open_depot(Paths(self.data_dir).depot_db)
        email = f"{role}@depot.example"
        if users.by_email(db, email) is None:  # not by command: that sends a mail
            with write_tx(db) as tx:
                users.add(tx, email, role.capitalize(), role, datetime.now(UTC))
        db.conn.close()
        made = self.json("token", "create", "--user", email, "--scope", scope)
        return {"Authorization": f"Bearer {made['token']}"}

    def roles(self) -> dict[str, dict[str, Any]]:
        """What the status file says, by role."""
        try:
            found = json.loads(Paths(self.data_dir).status_file.read_text())
        except FileNotFoundError:
            return {}
        return {role["name"]: role for role in found["roles"]}

    def is_ready(self) -> bool:
        assert self.supervisor.poll() is None, f"the box ended with {self.supervisor.returncode}"
        roles = self.roles()
        return bool(roles) and all(role["state"] in ("ready", "done") for role in roles.values())

    def kill(self, role: str) -> None:
        """`kill -9` of a role, as soon as it runs (after an earlier kill it may not yet)."""

        def killed() -> bool:
            pid = self.roles()[role]["pid"]
            if pid is None:
                return False
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return False
            return True

        wait_for(killed, f"{role} runs and is killed", 40)

    def query(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        """Reads the depot's database."""
        conn = sqlite3.connect(f"file:{self.data_dir / 'depot.db'}?mode=ro", uri=True, timeout=10)
        try:
            return conn.execute(sql, args).fetchall()
        finally:
            conn.close()

    def processes(self) -> list[psutil.Process]:
        """Every process that belongs to this data folder, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("DEPOTBOX_STORAGE__DATA_DIR") == str(self.data_dir):
                    found.append(process)
            except psutil.Error:
                continue
        return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]
