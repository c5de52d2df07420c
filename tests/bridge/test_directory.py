"""The bridge's directory of devices: who published a message."""

from __future__ import annotations

from appliance import clock
from appliance.config import Settings
from appliance.domain.fix import Rejection
from appliance.storage import devices, vehicles
from appliance.storage.db import open_depot, write_tx
from mqtt_bridge.directory import Directory, Publisher
from mqtt_bridge.topics import Address


def test_the_first_message_of_a_new_device_is_its_own_however_soon_it_comes(depot: Settings) -> None:
    mine, others = open_depot(depot.paths.depot_db), open_depot(depot.paths.depot_db)
    directory = Directory(mine)
    for number in range(5):
        address = Address("gps", f"NEW-{number}", None)
        assert isinstance(directory.find(address), Rejection)
        with write_tx(others) as tx:
            vehicle = vehicles.add(tx, f"NEW-{number}", clock.now())
            devices.add(tx, vehicle, f"NEW-{number}-1", "no password", clock.now())
        assert isinstance(directory.find(address), Publisher)
    mine.conn.close()
    others.conn.close()
