"""A tracker that is swapped while its vehicle drives: trail, distance and bill are those of the whole way."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from sqlite_utils import Database

from appliance import completion, trails
from appliance.config import Settings
from appliance.domain.fix import Fix, Limits
from appliance.domain.trail import close
from appliance.storage import devices
from appliance.storage.db import value, write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Arrival, Batch, Writer
from tests.cast import NOON, VAN, Cast, eastward, new_trip, ride

MINUTE = timedelta(minutes=1)
SWAP, END = NOON + 5 * MINUTE, NOON + 10 * MINUTE
WAY = eastward(NOON, 61)
WHOLE_M = close(WAY, NOON, END, Limits()).distance_m


@pytest.fixture
def new_tracker(depot_db: Database, cast: Cast) -> int:
    """It is fitted at five past noon, on the way of a trip that runs from noon to ten past."""
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, END)
        username = devices.add(tx, cast.van, VAN, "x", NOON)
        devices.make_source(tx, username, SWAP)
        return int(value(tx, "SELECT id FROM devices WHERE username = ?", username))


def of(van: int, device: int, fixes: list[Fix]) -> list[Arrival]:
    return [Arrival(van, device, fix, fix.at) for fix in fixes]


def both(cast: Cast, new_tracker: int) -> list[Arrival]:
    """Each tracker for its own half of the way, the swap's instant the new one's, and both astray in the other's."""
    first, second = WAY[:30], WAY[30:]
    astray = [Fix(fix.at, fix.lat + 0.001, fix.lon) for fix in WAY]
    return [
        *of(cast.van, cast.tracker, first + astray[30:]),
        *of(cast.van, new_tracker, astray[:30] + second),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_is_that_of_the_whole_way_in_whatever_order_the_fixes_come(
    depot_db: Database, cast: Cast, new_tracker: int, gps_writer: Writer, gps_store: Store, depot: Settings, seed: int
) -> None:
    chance = random.Random(seed)
    arrived = both(cast, new_tracker)
    chance.shuffle(arrived)
    while arrived:
        count = chance.randint(1, 40)
        gps_writer.commit(Batch(arrived[:count]), NOON)
        arrived = arrived[count:]
    found = completion.measure(depot_db, gps_store, 1, depot)
    assert found is not None
    assert (found.fixes, found.outliers, found.completeness) == (61, 0, 1.0)
    assert found.distance_m == pytest.approx(WHOLE_M, abs=1)
    for track in (
        trails.of_trip(depot_db, gps_store, depot, 1, END),
        trails.of_vehicle(depot_db, gps_store, depot, VAN, NOON - MINUTE, END + MINUTE),
    ):
        assert [(fix.at, round(fix.lat, 4)) for fix in track.fixes] == [(fix.at, 53.4094) for fix in WAY]


def test_late_fixes_of_the_first_tracker_count_up_to_the_swap(
    depot_db: Database, cast: Cast, new_tracker: int, gps_writer: Writer, gps_store: Store, depot: Settings
) -> None:
    """Those of the device that was not the source then change nothing."""

    def distance_m() -> float:
        found = completion.measure(depot_db, gps_store, 1, depot)
        assert found is not None
        return found.distance_m

    gps_writer.commit(Batch(of(cast.van, new_tracker, WAY[30:])), NOON)
    assert distance_m() == pytest.approx(WHOLE_M / 2, abs=1)
    gps_writer.commit(Batch(of(cast.van, new_tracker, WAY[:30]) + of(cast.van, cast.tracker, WAY[30:])), END)
    assert distance_m() == pytest.approx(WHOLE_M / 2, abs=1)
    gps_writer.commit(Batch(of(cast.van, cast.tracker, WAY[:30])), END)
    assert distance_m() == pytest.approx(WHOLE_M, abs=1)


def test_a_stop_over_the_swap_is_one(
    depot_db: Database, cast: Cast, new_tracker: int, gps_writer: Writer, gps_store: Store, depot: Settings
) -> None:
    stood = eastward(NOON, 61, metres=0.0)
    gps_writer.commit(Batch(of(cast.van, cast.tracker, stood[:30]) + of(cast.van, new_tracker, stood[30:])), NOON)
    (stop,) = trails.of_trip(depot_db, gps_store, depot, 1, END).stops
    assert (stop.start, stop.end) == (NOON, END)
