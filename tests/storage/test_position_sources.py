"""A trip's trail is that of the tracker of its own time."""

from __future__ import annotations

from datetime import timedelta

from sqlite_utils import Database

from appliance.storage import devices, vehicles
from appliance.storage.db import write_tx
from tests.cast import NOON


def test_a_replaced_tracker_stays_the_source_of_its_own_time(depot_db: Database) -> None:
    """Before the first one, the first; between the first and the second, the first; then the second."""
    hour = timedelta(hours=1)
    with write_tx(depot_db) as tx:
        van = vehicles.add(tx, "V9", NOON)
        first = devices.add(tx, van, "V9", "x", NOON)
        devices.add(tx, van, "V9", "x", NOON + hour)
        devices.revoke(tx, first, NOON + 2 * hour)
    ids = {device["username"]: device["id"] for device in devices.listed(depot_db)}
    found = [devices.position_source_at(depot_db, van, NOON + hours * hour) for hours in (-1, 0, 1.5, 3)]
    assert found == [ids["V9-1"], ids["V9-1"], ids["V9-1"], ids["V9-2"]]


def test_a_vehicle_without_a_tracker_has_no_source(depot_db: Database) -> None:
    """Nothing to measure by."""
    with write_tx(depot_db) as tx:
        van = vehicles.add(tx, "V9", NOON)
    assert devices.position_source_at(depot_db, van, NOON) is None
