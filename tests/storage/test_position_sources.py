"""A trip's trail is that of the tracker of its own time."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from appliance.storage import devices, times, vehicles
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


@given(st.lists(st.integers(0, 12), max_size=5), st.integers(0, 12), st.integers(0, 12))
def test_a_span_is_divided_among_the_devices_as_each_instant_of_it_is(since: list[int], start: int, end: int) -> None:
    """Wherever the changes lie, in whatever order (the clock may go back): of those that had come to be the last one
    counts; before all of them the first."""
    ms = timedelta(milliseconds=1)
    db = Database(memory=True)
    db.conn.execute("CREATE TABLE position_sources (id INTEGER PRIMARY KEY, vehicle_id, device_id, since)")
    for device, n in enumerate(since):
        db["position_sources"].insert({"vehicle_id": 1, "device_id": device, "since": times.text(NOON + n * ms)})
    found = devices.position_sources(db, 1, NOON + start * ms, NOON + end * ms)
    each = [
        (source.start + n * ms, source.device) for source in found for n in range((source.end - source.start) // ms + 1)
    ]
    expected = [max((device for device, n in enumerate(since) if n <= at), default=0) for at in range(start, end + 1)]
    assert each == [(NOON + (start + n) * ms, device) for n, device in enumerate(expected) if since]


def test_a_vehicle_without_a_tracker_has_no_source(depot_db: Database) -> None:
    """Nothing to measure by."""
    with write_tx(depot_db) as tx:
        van = vehicles.add(tx, "V9", NOON)
    assert devices.position_source_at(depot_db, van, NOON) is None
