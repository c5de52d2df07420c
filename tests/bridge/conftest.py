"""What the tests of the bridge share: a depot with a running broker, and clients of it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import clock
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from tests import cast as play
from tests.bridge.mqtt import Broker, Mqtt
from tests.bridge.workbench import Workbench
from tests.cast import Cast
from tests.ports import free_port

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="depot-", dir=play.MEMORY) as folder:
        settings = play.depot(Path(folder), DEPOTBOX_MQTT__PORT=str(free_port()), DEPOTBOX_BILLING__SETTLE_S="60")
        db = open_depot(settings.paths.depot_db)
        play.hire(db, clock.now())
        db.conn.close()
        made = Broker(settings)
        yield made
        made.stop()


@pytest.fixture
def epoch() -> int:
    """A numbering of the test's own."""
    return next(_numbers)


@pytest.fixture
def begin() -> datetime:
    """A span of time of the test's own: no fix of it is that of another test."""
    return clock.now().replace(microsecond=0) - timedelta(hours=2 * next(_numbers))


@pytest.fixture
def loopback(client: Callable[..., Mqtt]) -> Mqtt:
    made = client()
    made.subscribe("depot/v1/vehicles/+/ack/+", "depot/v1/vehicles/+/trip/reply")
    return made


@pytest.fixture
def broker_db(broker: Broker) -> Iterator[Database]:
    db = open_depot(broker.settings.paths.depot_db)
    yield db
    db.conn.close()


@pytest.fixture
def players(broker_db: Database) -> Cast:
    return Cast(1, 1, 2, 2, 1, 1)


@pytest.fixture
def stored(broker: Broker) -> Store:
    return Store(broker.settings.paths.gps_dir)


@pytest.fixture
def bench(broker: Broker, broker_db: Database) -> Iterator[Workbench]:
    """The bridge without its loop, connected."""
    made = Workbench(broker.settings, broker_db)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(broker: Broker) -> Iterator[Callable[..., Mqtt]]:
    """`client()` is the loopback account, `client("VAN-1-1", device=True)` a device."""
    made: list[Mqtt] = []

    def connect(name: str = "loopback", **options: Any) -> Mqtt:
        made.append(Mqtt(broker.settings, name, **options))
        return made[-1]

    yield connect
    for one in made:
        one.close()
