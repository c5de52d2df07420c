"""Closing a completed trip: what is measured, and what follows for its invoice."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import billing, completion
from appliance.config import Settings
from appliance.domain.trip import Event
from appliance.errors import NotFound
from appliance.storage import invoices, payers, times, trips
from appliance.storage.db import Row, rows, value, write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Arrival, Batch, Writer
from tests.cast import NOON, RATE, Cast, arrivals, eastward, new_trip, ride, say

MINUTE = timedelta(minutes=1)
END = NOON + 10 * MINUTE
Close = Any


@pytest.fixture
def trip(depot_db: Database, cast: Cast) -> int:
    """The patient was carried from noon until ten past."""
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, END)
    return id


@pytest.fixture
def close(depot_db: Database, gps_store: Store, depot: Settings) -> Close:
    """`close(trip)` does what the task does, and returns what follows and the trip."""

    def measured_and_closed(trip_id: int, settings: Settings = depot) -> tuple[completion.Closed, Row]:
        measured = completion.measure(depot_db, gps_store, trip_id, settings)
        assert measured is not None
        with write_tx(depot_db) as tx:
            closed = completion.close(tx, trip_id, measured, settings, END)
            found = trips.get(tx, trip_id)
            assert found is not None
            return closed, found

    return measured_and_closed


def bill(db: Database, trip_id: int, settings: Settings) -> dict[str, Any]:
    with write_tx(db) as tx:
        return billing.generate(tx, trip_id, settings, END)[0]


def adjustments(db: Database) -> list[Row]:
    return rows(db, "SELECT old_distance_m, new_distance_m, state FROM adjustments")


STAMPS = {"en_route_at": 1, "arrived_pickup_at": 2, "on_board_at": 3, "arrived_dropoff_at": 4, "completed_at": 5}


@pytest.mark.parametrize(
    ("missing", "start", "end"),
    [
        ([], 3, 4),
        (["on_board_at"], 2, 4),
        (["on_board_at", "arrived_pickup_at"], 1, 4),
        (["arrived_dropoff_at"], 3, 5),
        (["on_board_at", "arrived_pickup_at", "en_route_at", "arrived_dropoff_at"], 5, 5),
    ],
)
def test_the_window_is_from_boarding_to_arrival_as_far_as_it_was_stamped(
    missing: list[str], start: int, end: int
) -> None:
    stamps = {name: None if name in missing else times.text(NOON + n * MINUTE) for name, n in STAMPS.items()}
    assert trips.window(stamps) == (NOON + start * MINUTE, NOON + end * MINUTE)


def test_a_trip_that_ended_before_it_began_has_an_empty_window() -> None:
    """The driver's stamps are the driver's; nothing here may fail over them."""
    stamps = dict.fromkeys(STAMPS) | {"on_board_at": times.text(END), "completed_at": times.text(NOON)}
    assert trips.window(stamps) == (END, END)


def test_only_fixes_of_the_window_and_of_the_position_source_are_measured(
    depot_db: Database, cast: Cast, trip: int, gps_writer: Writer, gps_store: Store, depot: Settings
) -> None:
    way = eastward(NOON - MINUTE, 80)
    tablet = [Arrival(cast.van, cast.other_tracker, fix, fix.at) for fix in eastward(NOON, 60, metres=200)]
    gps_writer.commit(Batch(arrivals(cast, way) + tablet), NOON)
    measured = completion.measure(depot_db, gps_store, trip, depot)
    assert measured is not None
    assert measured.fixes == 61
    assert measured.distance_m == pytest.approx(6000, rel=0.01)
    assert measured.duration_s == 600


def test_a_trip_that_is_not_completed_is_not_measured(
    depot_db: Database, cast: Cast, gps_store: Store, depot: Settings
) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
    assert completion.measure(depot_db, gps_store, id, depot) is None
    with pytest.raises(NotFound, match="trip 99"):
        completion.measure(depot_db, gps_store, 99, depot)


def test_closing_writes_the_trail_and_asks_for_the_invoice(
    close: Close, cast: Cast, trip: int, gps_writer: Writer
) -> None:
    gps_writer.commit(Batch(arrivals(cast, eastward(NOON, 61))), NOON)
    closed, found = close(trip)
    assert found["distance_m"] == pytest.approx(6000, rel=0.01)
    assert (found["fixes"], found["completeness"], found["trail_closed_at"]) == (61, 1.0, times.text(END))
    assert [ask.name for ask in closed.asks] == ["billing.tasks.generate_invoice"]
    assert [(event.kind, event.key) for event in closed.events] == [("trip", str(trip))]


def test_closing_twice_asks_for_one_invoice(close: Close, depot_db: Database, cast: Cast, trip: int) -> None:
    first, second = close(trip)[0], close(trip)[0]
    assert first.asks[0].id == second.asks[0].id


@pytest.mark.parametrize("count", [0, 1])
def test_a_trip_without_fixes_has_no_distance_and_is_not_billed_as_one_of_nothing(
    close: Close, depot_db: Database, cast: Cast, trip: int, gps_writer: Writer, depot: Settings, count: int
) -> None:
    gps_writer.commit(Batch(arrivals(cast, eastward(NOON, count))), NOON)
    _closed, found = close(trip)
    assert found["distance_m"] is None
    assert bill(depot_db, trip, depot) == {"blocked": "no_distance"}
    assert value(depot_db, "SELECT unbilled_reason FROM trips") == "no_distance"


def test_a_vehicle_that_stood_has_a_distance_of_nothing(
    close: Close, depot_db: Database, cast: Cast, trip: int, gps_writer: Writer, depot: Settings
) -> None:
    gps_writer.commit(Batch(arrivals(cast, eastward(NOON, 61, metres=0.0))), NOON)
    assert close(trip)[1]["distance_m"] == 0.0
    assert bill(depot_db, trip, depot)["total_cents"] == RATE.base_cents


def test_a_trip_without_a_tracker_has_no_distance(close: Close, depot_db: Database, cast: Cast, trip: int) -> None:
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE devices SET revoked_at = 'now'")
    assert close(trip)[1]["distance_m"] is None


def test_a_trip_that_was_reopened_while_it_was_measured_is_left_alone(
    depot_db: Database, cast: Cast, trip: int, gps_store: Store, depot: Settings
) -> None:
    measured = completion.measure(depot_db, gps_store, trip, depot)
    assert measured is not None
    with write_tx(depot_db) as tx:
        say(tx, trip, Event.reopen, END)
        before = trips.get(tx, trip)
        closed = completion.close(tx, trip, measured, depot, END)
        assert trips.get(tx, trip) == before
    assert closed == completion.Closed([], [])


class TestLateFixesOfAnInvoicedTrip:
    """The first half of the way came in time and was billed; the rest comes later."""

    @pytest.fixture(autouse=True)
    def invoiced(
        self, close: Close, depot_db: Database, cast: Cast, trip: int, gps_writer: Writer, depot: Settings
    ) -> None:
        gps_writer.commit(Batch(arrivals(cast, eastward(NOON, 31))), NOON)
        close(trip)
        assert bill(depot_db, trip, depot)["total_cents"] == 1500 + 30 * 20

    def late(self, cast: Cast, gps_writer: Writer, count: int, received: datetime = END) -> None:
        gps_writer.commit(Batch(arrivals(cast, eastward(NOON, count)[31:], received)), NOON)

    def test_they_raise_an_adjustment_and_ask_for_no_second_invoice(
        self, close: Close, depot_db: Database, cast: Cast, trip: int, gps_writer: Writer
    ) -> None:
        self.late(cast, gps_writer, 61)
        closed, found = close(trip)
        assert closed.asks == []
        (adjustment,) = adjustments(depot_db)
        assert adjustment["old_distance_m"] == pytest.approx(3000, rel=0.01)
        assert adjustment["new_distance_m"] == found["distance_m"] == pytest.approx(6000, rel=0.01)
        assert adjustment["state"] == "open"
        live = invoices.live_of_trip(depot_db, trip)
        assert live is not None
        assert live["total_cents"] == 2100  # issued is issued

    def test_a_newer_measure_replaces_the_figure_of_the_open_adjustment(
        self, close: Close, depot_db: Database, cast: Cast, trip: int, gps_writer: Writer
    ) -> None:
        for count in (41, 61):
            self.late(cast, gps_writer, count)
            close(trip)
        (adjustment,) = adjustments(depot_db)
        assert adjustment["new_distance_m"] == pytest.approx(6000, rel=0.01)

    def test_a_change_that_costs_nothing_raises_none(
        self, close: Close, depot_db: Database, cast: Cast, trip: int, gps_writer: Writer
    ) -> None:
        extra = eastward(NOON + timedelta(seconds=5), 30)  # between the known ones, on the same way
        between = [Arrival(cast.van, cast.tracker, fix, END) for fix in extra[:1]]
        gps_writer.commit(Batch(between), NOON)
        close(trip)
        assert adjustments(depot_db) == []

    def test_an_adjustment_that_has_lapsed_goes(
        self, close: Close, depot_db: Database, cast: Cast, trip: int, gps_writer: Writer
    ) -> None:
        """A later measure brings the old price back: here the driver corrects the arrival."""
        self.late(cast, gps_writer, 61)
        close(trip)
        with write_tx(depot_db) as tx:
            trips.change(tx, trip, END, arrived_dropoff_at=times.text(NOON + 5 * MINUTE))
        close(trip)
        assert [row["state"] for row in adjustments(depot_db)] == ["lapsed"]

    def test_a_tracker_that_was_taken_away_raises_none(
        self, close: Close, depot_db: Database, cast: Cast, trip: int
    ) -> None:
        """Without its tracker the trip cannot be measured anew; that is no reason to change its price."""
        with write_tx(depot_db) as tx:
            tx.conn.execute("UPDATE devices SET revoked_at = 'now'")
        close(trip)
        assert adjustments(depot_db) == []


def test_a_flat_rate_needs_no_distance(
    close: Close, depot_db: Database, cast: Cast, depot: Settings, gps_writer: Writer
) -> None:
    with write_tx(depot_db) as tx:
        flat = payers.add(tx, "Flat", "facility", NOON)
        payers.add_rate(tx, flat, replace(RATE, per_unit_cents=0), NOON)
        id = new_trip(tx, payer="Flat")
        ride(tx, id, NOON, END)
    close(id)
    assert bill(depot_db, id, depot)["total_cents"] == RATE.base_cents
    with write_tx(depot_db) as tx:  # the pickup was after all a waiting one
        tx.conn.execute("UPDATE rates SET base_cents = 1 WHERE payer_id = ?", (flat,))
    close(id)
    assert [row["new_distance_m"] for row in adjustments(depot_db)] == [0.0]
