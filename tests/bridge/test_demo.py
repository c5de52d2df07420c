"""The demonstration's fleet goes on whatever people do to its depot."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from sqlite_utils import Database

from appliance import handover
from appliance.config import Settings
from appliance.events import Publisher
from appliance.sender import Sender
from appliance.storage.db import value, write_tx
from mqtt_bridge import demo_depot
from mqtt_bridge.demo import Demo
from mqtt_bridge.tracker import Fleet
from tests.cast import NOON, SetClock


class Silent:
    """Takes what the fleet says, and tells nobody."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_more: None


def test_a_van_whose_driver_cannot_drive_stands_and_the_others_go_on(
    depot: Settings, depot_db: Database, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set_clock() == NOON
    monkeypatch.setattr("mqtt_bridge.demo_depot.access.refresh", lambda _settings: None)
    demo_depot.prepare(depot_db, depot, NOON)
    drivers = [row[0] for row in depot_db.conn.execute("SELECT code FROM drivers ORDER BY code")]
    with write_tx(depot_db) as tx:
        handover.unavailable(tx, drivers[0], None, now=NOON, who="ann")
    silent = Silent()
    demo = Demo(depot_db, cast(Fleet, silent), cast(Sender, silent), cast(Publisher, silent))
    demo.begin(NOON)
    for second in range(60):
        demo.step(NOON + timedelta(seconds=second))
    driven = "SELECT count(DISTINCT vehicle_id) FROM trips WHERE vehicle_id IS NOT NULL"
    assert value(depot_db, driven) == len(demo_depot.VANS) - 1
