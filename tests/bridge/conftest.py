"""What the tests of the bridge share: a depot with a running broker, and clients of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import clock
from appliance.config import Settings
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from tests import cast as play
from tests.bridge.mqtt import Mqtt
from tests.bridge.workbench import Workbench
from tests.cast import Cast
from tests.servers import Role, free_port


class Broker:
    """mosquitto as the box starts it, over a depot with the cast in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._role = Role(settings, "mosquitto")

    def restart(self) -> None:
        """`kill -9`, and what was in it is gone."""
        self._role.kill()
        self._role = Role(self.settings, "mosquitto")

    def stop(self) -> None:
        self._role.kill()


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="depot-") as folder:
        settings = play.depot(Path(folder), DEPOTBOX_MQTT__PORT=str(free_port()), DEPOTBOX_BILLING__SETTLE_S="60")
        db = open_depot(settings.paths.depot_db)
        play.hire(db, clock.now())
        db.conn.close()
        made = Broker(settings)
        yield made
        made.stop()


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
