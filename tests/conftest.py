"""What all tests share: a depot in a folder of its own, the named cast, the real servers, and a clock to set."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlite_utils import Database

from appliance import clock
from appliance.config import Settings
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Writer
from tests import cast as play
from tests.cast import MEMORY, NOON, Cast, SetClock
from tests.servers import Redis, running_redis


@pytest.fixture(autouse=True)
def logging_put_back() -> Iterator[None]:
    """A command that a test runs in its own process sets the logging up, and the next test knows nothing of it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def depot_dir() -> Iterator[Path]:
    """A folder with a path short enough for the sockets below it, as that of an installed box."""
    folder = Path(tempfile.mkdtemp(prefix="depot-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def depot(depot_dir: Path) -> Settings:
    """The settings of a depot that was set up and knows nobody yet."""
    return play.depot(depot_dir)


@pytest.fixture
def depot_db(depot: Settings) -> Iterator[Database]:
    db = open_depot(depot.paths.depot_db)
    yield db
    db.conn.close()


@pytest.fixture
def cast(depot_db: Database) -> Cast:
    """The van, its tracker, the driver and the payer, in the depot's database."""
    return play.hire(depot_db)


@pytest.fixture
def gps_writer(depot: Settings) -> Iterator[Writer]:
    writer = Writer(depot.paths.gps_dir, late_s=10.0)
    yield writer
    writer.close()


@pytest.fixture
def gps_store(depot: Settings) -> Store:
    return Store(depot.paths.gps_dir)


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """It is noon, and stays noon."""
    made = SetClock(NOON)
    monkeypatch.setattr(clock, "now", made)
    return made


@pytest.fixture
def redis_of_depot(depot: Settings) -> Iterator[Redis]:
    with running_redis(depot) as server:
        yield server
