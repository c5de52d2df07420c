"""The cast of the web tests: a depot with a day of trips, a real Redis, and a client that speaks to localhost."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlite_utils import Database

from appliance.events import Publisher
from appliance.storage.db import open_depot
from tests.web import world
from tests.web.serving import Redis, running_redis
from web.app import create_app

NOON = datetime(2026, 1, 26, 12, 0, tzinfo=UTC)
Client = TestClient[Litestar]
NEW_TRIP = {"pickup_at": "2026-01-26T15:00:00Z", "pickup_address": "1 High Street", "dropoff_address": "Day Clinic"}


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's configuration."""
    for name in [name for name in os.environ if name.startswith("DEPOTBOX_") and name != "DEPOTBOX_NATIVE"]:
        monkeypatch.delenv(name)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder whose path is short enough for the sockets below it."""
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def depot(data_dir: Path) -> world.World:
    """The invented depot on a Monday at noon."""
    return world.make(data_dir, NOON)


@pytest.fixture
def redis_server(depot: world.World) -> Iterator[Redis]:
    with running_redis(depot.settings.paths) as server:
        Publisher(depot.settings.paths.redis_socket).publish(*depot.live)
        yield server


@pytest.fixture
def client(depot: world.World, redis_server: Redis) -> Iterator[Client]:
    """The whole application over the depot, with Redis, at noon; the administrator is logged in."""
    app = create_app(depot.settings, now=lambda: depot.now)
    with TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False) as made:
        sign_in(made, depot)
        yield made


def sign_in(client: Client, depot: world.World, role: str = "administrator") -> None:
    """From here on the client is somebody else."""
    signed_in = world.as_user(depot.settings, role)
    sign_out(client)
    put_cookie(client, "depot", signed_in.session)
    client.headers.update(signed_in.headers)


def put_cookie(client: Client, name: str, value: str) -> None:
    """In the place of the one that a server would set, not beside it."""
    client.cookies.set(name, value, domain="127.0.0.1")


def sign_out(client: Client) -> None:
    """From here on the client is nobody."""
    client.cookies.clear()
    client.headers.pop("X-CSRF-Token", None)


@pytest.fixture
def depot_db(depot: world.World) -> Iterator[Database]:
    """The depot's database, to look into it."""
    db = open_depot(depot.settings.paths.depot_db)
    yield db
    db.conn.close()


def problem(answer: Any, status: int) -> str:
    """Asserts that an answer is a problem document with this status, and returns its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["type"] == "about:blank"
    return str(document["detail"])
