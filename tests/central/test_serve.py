"""`depotbox central` as it is started: commands, the server's process, and what a kill leaves."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, Table, select

from appliance.central import db, migrate
from appliance.central.config import Settings, load
from appliance.central.tables import entries, trips
from appliance.errors import ConfigError
from appliance.paths import PROJECT_ROOT
from tests.central.box import Box, trip
from tests.ports import free_port
from tests.servers import wait_for

QUICK = httpx.Timeout(20)


class Served:
    """`depotbox central`, with a folder of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.port, self.log = free_port(), folder / "serve.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = os.environ | {
            "DEPOTBOX_CENTRAL__DATABASE": url,
            "DEPOTBOX_CENTRAL__DATA_DIR": str(folder),
            "DEPOTBOX_CENTRAL__PORT": str(self.port),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", "central", *words], cwd=PROJECT_ROOT, env=self.environ,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "central", "serve"], cwd=PROJECT_ROOT, env=self.environ, stderr=log
            )
        wait_for(self.answers, f"the centre answers; see {self.log}", 60)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(20)


@pytest.fixture
def served(url: str, tmp_path: Path) -> Iterator[Served]:
    made = Served(url, tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)


def test_killed_at_any_moment_of_a_batch_nothing_is_lost_or_doubled(served: Served, engine: Engine) -> None:
    """Before it is taken, while it is, and when it is on the disk and the answer has not been read: the box, without an
    answer, sends the same bytes to the next process. What was not applied is applied there."""
    served.start()
    code = served.command("depot", "add", "LDS", "Leeds")
    key = Ed25519PrivateKey.generate()
    with httpx.Client(base_url=served.url, timeout=QUICK) as client:
        box = Box(client, key=key)
        assert box.enrol(code).status_code == 201
    moments: list[Callable[[], object]] = [
        lambda: wait_for(lambda: len(shown(engine, entries)) == 500, "the rows are committed"),
        lambda: None,
        lambda: time.sleep(random.uniform(0, 0.1)),
    ]
    for number, moment in enumerate(moments):
        for _ in range(500):
            box.tell("trips", "trip", trip())
        body = box.packed("trips", number * 500 + 1)
        with httpx.Client(base_url=served.url, timeout=QUICK) as client:
            box.client = client
            sending = threading.Thread(target=unheard, args=(box, body))
            sending.start()
            moment()
            assert served.end(signal.SIGKILL) == -signal.SIGKILL
            sending.join()
        served.start()
        with httpx.Client(base_url=served.url, timeout=QUICK) as client:
            box.client = client
            answer = box.send(body)
            assert (answer.status_code, answer.json()["acked_through"]) == (200, (number + 1) * 500)
            assert box.send(body).content == answer.content
    wait_for(lambda: len(shown(engine, trips)) == 1500, "all of it is applied")
    assert served.end(signal.SIGTERM) == 0
    with db.read(engine) as connection:
        kept = db.rows(connection, select(entries.c.seq, entries.c.chain).order_by(entries.c.seq))
    assert [(one["seq"], one["chain"]) for one in kept] == [(row.seq, row.chain) for row in box.rows("trips")]
    assert "Traceback" not in served.log.read_text()


def unheard(box: Box, body: bytes) -> None:
    """Sends, and does not hear the answer."""
    with contextlib.suppress(httpx.HTTPError):
        box.send(body)


def shown(engine: Engine, table: Table) -> list[db.Row]:
    with db.read(engine) as connection:
        return db.rows(connection, select(table.c.depot_id))


def test_the_commands_do_what_they_say(served: Served, tmp_path: Path) -> None:
    assert served.command("migrate") == "The database is of version 0001."
    served.command("depot", "add", "LDS", "Leeds")
    assert '"code": "LDS"' in served.command("depot", "list", "--json")
    assert served.command("token", "create", "--name", "books").startswith("centre_")
    file = tmp_path / "payments.csv"
    file.write_text("number,amount,currency,paid_on\nLDS-2026-A000001,42.00,GBP,2026-01-28\n")
    assert served.command("payment", "import", str(file)).endswith(
        "0 recorded, 1 flagged: depotbox central payment list"
    )
    assert "unknown" in served.command("payment", "list")
    assert served.command("rebuild") == "0 rows were applied anew."


def test_a_migrated_database_is_as_the_tables_say(engine: Engine) -> None:
    with db.read(engine) as connection:
        assert migrate.differences(connection) == []
        assert migrate.version(connection) == migrate.head()


def test_a_database_that_was_not_migrated_says_what_to_do(tmp_path: Path) -> None:
    engine = db.connect(f"sqlite:///{tmp_path / 'new.db'}")
    with pytest.raises(ConfigError, match="depotbox central migrate"), db.read(engine) as connection:
        db.count(connection, trips)
    engine.dispose()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"HOST": "0.0.0.0"}, "central.proxy"),
        ({"PORT": "0"}, "central.port"),
        ({"CERTIFICATE": "/x.pem"}, "central.certificate_key"),
        ({"TIMEZONE": "Mars"}, "central.timezone"),
        ({"DATABASE": "mysql://x"}, "central.database"),
        ({"DATABSE": "x"}, "did you mean database"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(environ={f"DEPOTBOX_CENTRAL__{key}": value for key, value in given.items()})


def test_a_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "central.toml"
    file.write_text('[central]\ndata_dir = "data"\nport = 8081\nname = "North"\n')
    found: Settings = load(file, {"DEPOTBOX_CENTRAL__PORT": "8082", "DEPOTBOX_WEB__PORT": "1"})
    assert (found.data_dir, found.central.port, found.central.name) == (tmp_path / "data", 8082, "North")
    assert found.database == f"sqlite:///{tmp_path / 'data' / 'central.db'}"
    assert load(environ={"DEPOTBOX_CENTRAL__DATABASE": "postgresql://h/d"}).database == "postgresql+psycopg://h/d"
    with pytest.raises(ConfigError):
        load(tmp_path / "none.toml", {})
