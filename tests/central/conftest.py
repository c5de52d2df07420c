"""The central office over both databases: each test runs against SQLite and against a real PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient
from sqlalchemy import Engine

from appliance.central import config, db, enrol, identity, migrate
from appliance.central.config import Settings
from tests.central import postgres
from tests.central.box import Box
from web.central.app import create_app
from web.central.main import build
from web.central.parts import Centre

NOON = datetime(2026, 1, 27, 12, tzinfo=UTC)
BOTH = ("sqlite", "postgresql")
_numbers = itertools.count()


class Clock:
    """The centre's own."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def forward(self, by: timedelta) -> None:
        self.at += by


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a server with a migrated database `made`, to be copied."""
    with postgres.running() as url:
        made = db.connect(postgres.create(url, "made"))
        migrate.migrate(made, NOON)
        made.dispose()
        yield url


@pytest.fixture(scope="session")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, to be copied."""
    file = tmp_path_factory.mktemp("centre") / "central.db"
    made = db.connect(f"sqlite:///{file}")
    migrate.migrate(made, NOON)
    made.dispose()
    return file


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database of this test's own."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_file"), tmp_path / "central.db")
        yield f"sqlite:///{tmp_path / 'central.db'}"
        return
    server, name = request.getfixturevalue("postgresql"), f"test{next(_numbers)}"
    yield postgres.create(server, name, template="made")
    postgres.drop(server, name)


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Settings:
    found = config.load(environ={"DEPOTBOX_CENTRAL__DATA_DIR": str(tmp_path), "DEPOTBOX_CENTRAL__DATABASE": url})
    identity.make_signing_key(found)
    return found


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = db.connect(url)
    yield made
    made.dispose()


@pytest.fixture
def now() -> Clock:
    return Clock()


@pytest.fixture
def received() -> list[int]:
    """The batches that the server has said were there to apply."""
    return []


@pytest.fixture
def centre(settings: Settings, engine: Engine, now: Clock, received: list[int]) -> Centre:
    built = build(settings, engine, lambda batch_id, _stream: received.append(batch_id))
    return Centre(**{name: getattr(built, name) for name in built.__slots__} | {"now": now})


@pytest.fixture
def client(centre: Centre) -> Iterator[TestClient]:
    with TestClient(create_app(centre), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def box(client: TestClient, centre: Centre) -> Box:
    """Of the depot LDS, enrolled."""
    return enrolled(client, centre, "LDS")


def enrolled(client: TestClient, centre: Centre, code: str) -> Box:
    made = Box(client, code)
    answer = made.enrol(one_time_code(centre, code))
    assert answer.status_code == 201, answer.text
    return made


def one_time_code(centre: Centre, code: str) -> str:
    with db.write_tx(centre.engine) as tx:
        return enrol.add(tx, code, code.title(), centre.settings, who="test", now=centre.now())


def with_settings(centre: Centre, **central: object) -> Centre:
    """The same centre with other settings."""
    changed = msgspec.structs.replace(centre.settings.central, **central)
    settings = msgspec.structs.replace(centre.settings, central=changed)
    return Centre(**{name: getattr(centre, name) for name in centre.__slots__} | {"settings": settings})
