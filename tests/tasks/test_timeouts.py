"""A trip that runs for too long is flagged once, and the dispatchers are told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from appliance.storage import trips, users
from appliance.storage.db import rows, write_tx
from tasks.box import Box
from tasks.trips import check_trip_timeouts
from tests.cast import NOON, Cast, SetClock


@pytest.mark.usefixtures("eager")
def test_a_trip_under_way_for_more_than_six_hours_is_flagged_once(box: Box, hired: Cast, set_clock: SetClock) -> None:
    """One flag and one notification for each dispatcher, however often it is looked at."""
    with write_tx(box.db) as tx:
        for number, role in enumerate(("dispatcher", "dispatcher", "biller")):
            users.add(tx, f"user{number}@depot.example", "U", role, NOON)
        for hours in (5, 7):
            trips.add(
                tx, NOON, state="in_progress", pickup_at="2026-01-26T05:00:00.000Z", pickup_address="a",
                dropoff_address="b", vehicle_id=hired.van,
                on_board_at=(NOON - timedelta(hours=hours)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            )  # fmt: skip
    assert check_trip_timeouts.apply().result == 1
    assert check_trip_timeouts.apply().result == 0
    told = rows(box.db, "SELECT arguments FROM jobs WHERE name = 'users.tasks.send_notification'")
    assert len(told) == 2
    assert len(rows(box.db, "SELECT id FROM trips WHERE flagged_at IS NOT NULL")) == 1
