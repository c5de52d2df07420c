"""What each vehicle is told of its trips: only what changed, nothing personal, all of it again after a broker's end."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlite_utils import Database

from appliance.domain.trip import Event
from appliance.storage.db import write_tx
from mqtt_bridge.assignments import Assignments
from tests.cast import NOON, OTHER_VAN, VAN, Cast, new_trip, say


class Broker:
    """What was published, in order; it can be away."""

    def __init__(self) -> None:
        self.there = True
        self.said: list[tuple[str, list[dict[str, object]]]] = []

    def publish(self, topic: str, payload: bytes) -> bool:
        if self.there:
            self.said.append((topic.split("/")[3], json.loads(payload)["trips"]))
        return self.there


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def assignments(depot_db: Database, cast: Cast, broker: Broker) -> Assignments:
    return Assignments(depot_db, broker.publish)


def test_each_vehicle_is_told_once_also_that_it_has_nothing(assignments: Assignments, broker: Broker) -> None:
    assert assignments.step() == 2
    assert broker.said == [(VAN, []), (OTHER_VAN, [])]
    assert assignments.step() == 0


def test_only_the_vehicles_whose_trips_changed_are_told(
    assignments: Assignments, broker: Broker, depot_db: Database
) -> None:
    assignments.step()
    with write_tx(depot_db) as tx:
        trip = new_trip(tx)
    assert assignments.step() == 1
    with write_tx(depot_db) as tx:
        say(tx, trip, Event.assign, NOON, vehicle=OTHER_VAN)
    assert assignments.step() == 2
    assert [vehicle for vehicle, _ in broker.said[2:]] == [VAN, VAN, OTHER_VAN]
    assert [len(trips) for _, trips in broker.said[2:]] == [1, 0, 1]


def test_an_assignment_has_ids_times_and_the_level_and_no_name_or_address(
    assignments: Assignments, broker: Broker, depot_db: Database
) -> None:
    with write_tx(depot_db) as tx:
        new_trip(tx, level="wheelchair", appointment_at=NOON + timedelta(hours=1))
    assignments.step()
    assert broker.said[0][1] == [
        {"trip_id": 1, "state": "assigned", "level": "wheelchair", "pickup_at": "2026-01-26T12:10:00.000Z",
         "appointment_at": "2026-01-26T13:00:00.000Z"}
    ]  # fmt: skip


def test_trips_come_in_the_order_of_their_pickup_and_go_when_they_are_over(
    assignments: Assignments, broker: Broker, depot_db: Database
) -> None:
    with write_tx(depot_db) as tx:
        later, sooner = (new_trip(tx, pickup_at=NOON + timedelta(hours=n)) for n in (2, 1))
    assignments.step()
    assert [trip["trip_id"] for trip in broker.said[0][1]] == [sooner, later]
    with write_tx(depot_db) as tx:
        say(tx, sooner, Event.cancel, NOON)
    assignments.step()
    assert [trip["trip_id"] for trip in broker.said[-1][1]] == [later]


def test_what_could_not_be_published_is_published_later(assignments: Assignments, broker: Broker) -> None:
    broker.there = False
    assert assignments.step() == 0
    broker.there = True
    assert assignments.step() == 2


def test_after_a_brokers_end_all_of_it_is_published_again(assignments: Assignments, broker: Broker) -> None:
    assignments.step()
    assignments.forget()
    assert assignments.step() == 2


def test_a_vehicle_that_is_disabled_keeps_no_old_trips(
    assignments: Assignments, broker: Broker, depot_db: Database
) -> None:
    """Its retained message would say for ever that the trip is still its own."""
    with write_tx(depot_db) as tx:
        trip = new_trip(tx)
    assignments.step()
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE vehicles SET disabled_at = 'now' WHERE code = ?", (VAN,))
        say(tx, trip, Event.unassign, NOON)
    assignments.step()
    assert broker.said[-1] == (VAN, [])
