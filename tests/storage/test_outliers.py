"""Fixes that the others of a trip contradict: they are shown with the reason, and a person can keep one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlite_utils import Database

from appliance import completion, fix_desk, trails
from appliance.config import Settings
from appliance.errors import NotFound
from appliance.storage import jobs
from appliance.storage.db import rows, write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Batch, Writer
from tests.cast import NOON, Cast, arrivals, eastward, new_trip, ride

MINUTE = timedelta(minutes=1)
END = NOON + 10 * MINUTE
WAY = eastward(NOON, 61)
BAD = replace(WAY[30], lat=WAY[30].lat + 0.1)  # 11 km to the north


@pytest.fixture(autouse=True)
def trip(depot_db: Database, cast: Cast, gps_writer: Writer) -> int:
    """From noon to ten past; its closing is done. A receiver that was wrong, or a tunnel that the map does not know."""
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, END)
        tx.conn.execute("UPDATE jobs SET state = 'done'")
    gps_writer.commit(Batch(arrivals(cast, [*WAY[:30], BAD, *WAY[31:]])), NOON)
    return id


def measured(db: Database, store: Store, depot: Settings) -> tuple[int, int, int]:
    found = completion.measure(db, store, 1, depot)
    assert found is not None
    return found.fixes, found.outliers, round(found.distance_m / 1000)


def test_an_outlier_is_listed_with_what_speaks_against_it(
    depot_db: Database, gps_store: Store, depot: Settings
) -> None:
    (found,) = trails.outliers(depot_db, gps_store, depot, 1, END)
    assert (found.at, round(found.lat, 4), found.overruled_by) == (BAD.at, 53.5094, None)
    assert (found.reason, found.value, found.bound) == ("implied_speed", "3996 km/h", "at most 250 km/h")


def test_one_that_is_overruled_counts_until_that_is_undone(
    depot_db: Database, gps_store: Store, depot: Settings
) -> None:
    def overrule(*, undo: bool = False) -> list[str] | None:
        asks = fix_desk.overrule(depot_db, depot, 1, BAD.at, "ann", END, undo=undo)
        return None if asks is None else [ask.name for ask in asks]

    closing = ["trips.tasks.process_trip_completion"]
    assert overrule(undo=True) is None
    assert measured(depot_db, gps_store, depot) == (60, 1, 6)
    assert overrule() == closing
    assert overrule() is None
    assert measured(depot_db, gps_store, depot) == (61, 0, 28)
    assert len(trails.of_trip(depot_db, gps_store, depot, 1, END).fixes) == 61
    assert [one.overruled_by for one in trails.outliers(depot_db, gps_store, depot, 1, END)] == ["ann"]
    assert overrule(undo=True) == closing
    assert measured(depot_db, gps_store, depot) == (60, 1, 6)
    assert len(jobs.unfinished(depot_db, END + timedelta(seconds=60))) == 1  # it settles first
    said = rows(depot_db, "SELECT who, action, subject, detail FROM audit_log WHERE action LIKE 'outlier%'")
    assert [(one["who"], one["action"]) for one in said] == [
        ("ann", "outlier.overruled"), ("ann", "outlier.overruling_undone"),
    ]  # fmt: skip
    assert said[0]["detail"] == "2026-01-26T12:05:00.000Z 3996 km/h, at most 250 km/h"


def test_each_completed_trip_of_the_time_is_measured_again(depot_db: Database, depot: Settings) -> None:
    """Patients who rode together; one who rode later is not concerned."""
    with write_tx(depot_db) as tx:
        for start in (NOON, END):
            ride(tx, new_trip(tx), start, start + 10 * MINUTE)
        tx.conn.execute("UPDATE jobs SET state = 'done'")
    asks = fix_desk.overrule(depot_db, depot, 1, BAD.at, "ann", END)
    found = [jobs.get(depot_db, ask.id) for ask in asks or []]
    assert [job and jobs.arguments(job)["trip_id"] for job in found] == [1, 2]


def test_what_is_no_outlier_of_the_trip_is_not_found(depot_db: Database, depot: Settings) -> None:
    for trip_id, at in ((1, NOON), (2, BAD.at)):
        with pytest.raises(NotFound):
            fix_desk.overrule(depot_db, depot, trip_id, at, "ann", END)
    assert rows(depot_db, "SELECT 1 FROM overruled") == []
