"""Who could take a trip: what does not fit, what overlaps, and what becomes of a driver's trips."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlite_utils import Database

from appliance import crews, dispatch, handover, legs
from appliance.domain.trip import CancelledBy, Event
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import people, shifts, trips, vehicles
from appliance.storage.db import Row, Tx, rows, value, write_tx
from tests.cast import DRIVER, NOON, OTHER_VAN, VAN, Cast, new_trip, say

MINUTE = timedelta(minutes=1)
OTHER_DRIVER = "D2"


@pytest.fixture
def other(depot_db: Database, cast: Cast) -> int:
    """A second driver."""
    with write_tx(depot_db) as tx:
        return people.add_driver(tx, OTHER_DRIVER, "Ed Long", NOON)


def trip_of(db: Database, id: int) -> Row:
    found = trips.get(db, id)
    assert found is not None
    return found


def crew_of(db: Database, id: int) -> tuple[str, str | None, int | None]:
    found = trip_of(db, id)
    return found["state"], vehicles.code_of(db, found["vehicle_id"]), found["driver_id"]


def test_what_does_not_fit_is_refused_and_what_overlaps_is_told(depot_db: Database, cast: Cast, other: int) -> None:
    with write_tx(depot_db) as tx:
        vehicles.add(tx, "VAN-0", NOON)  # for who walks
        shifts.add(tx, cast.other_van, other, NOON - 60 * MINUTE, NOON + 600 * MINUTE, "ann", NOON)
        busy = new_trip(tx, ref="R-1", appointment_at=NOON + 40 * MINUTE)
        new_trip(tx, ref="R-2", pickup_at=NOON + 300 * MINUTE)
        id = new_trip(tx, level="wheelchair", pickup_at=NOON + 30 * MINUTE, vehicle=None, driver=None)
        found = crews.choices(tx, id, NOON)
    assert [(one.code, one.refusal) for one in found.vehicles] == [
        (OTHER_VAN, None), (VAN, None), ("VAN-0", "not fitted for wheelchair"),
    ]  # fmt: skip
    assert [[(clash.trip_id, clash.title) for clash in one.overlaps] for one in found.vehicles] == [
        [], [(busy, "R-1")], [],
    ]  # fmt: skip
    assert [(one.code, one.partner, len(one.overlaps)) for one in found.drivers] == [
        (OTHER_DRIVER, OTHER_VAN, 0), (DRIVER, None, 1),
    ]  # fmt: skip


def test_a_trip_under_way_holds_its_vehicle_until_it_ends(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        late = new_trip(tx)
        say(tx, late, Event.on_board, NOON)
        id = new_trip(tx, pickup_at=NOON + 180 * MINUTE)
        assert crews.overlapping(tx, id, NOON) == []
        assert [clash.trip_id for clash in crews.overlapping(tx, id, NOON + 190 * MINUTE)] == [late]


def test_who_decides_on_a_trip_that_was_changed_meanwhile_is_told(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        seen = trip_of(tx, id)["version"]
        dispatch.must_be(tx, id, seen)
        say(tx, id, Event.on_board, NOON)
        with pytest.raises(Refused, match="changed meanwhile; it is under way now"):
            dispatch.must_be(tx, id, seen)
        dispatch.must_be(tx, id, None)


def test_a_will_call_is_picked_up_when_the_patient_is_ready(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx, will_call=True, vehicle=None, driver=None)
        assert say(tx, id, Event.ready, NOON + 45 * MINUTE, now=NOON).accepted
        assert trip_of(tx, id)["pickup_at"] == "2026-01-26T12:45:00.000Z"
        again = new_trip(tx, will_call=True, vehicle=None, driver=None)
        assert say(tx, again, Event.ready, NOON + timedelta(days=2), now=NOON).reason == "the time is in the future"


def test_a_cancelled_trip_says_who_did_not_want_it_and_forgets_that_when_it_is_reopened(
    depot_db: Database, cast: Cast
) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.cancel, NOON, cancelled_by=CancelledBy.facility, note="clinic closed")
        assert trip_of(tx, id)["cancelled_by"] == "facility"
        say(tx, id, Event.reopen, NOON)
    assert trip_of(depot_db, id)["cancelled_by"] is None
    assert crew_of(depot_db, id) == ("scheduled", None, None)
    assert value(depot_db, "SELECT note FROM trip_events WHERE event = 'cancel'") == "clinic closed"


def test_a_no_show_keeps_how_often_was_called_and_how_long_the_van_waited(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.arrived_pickup, NOON)
        say(tx, id, Event.no_show, NOON + 12 * MINUTE, contact_attempts=2, note="door shut")
    note = value(depot_db, "SELECT note FROM trip_events WHERE event = 'no_show'")
    assert note == "called 2 times, waited 12 min; door shut"


def test_a_return_leg_goes_back_with_the_same_patient_and_payer_and_is_cancelled_with_the_way_there(
    depot_db: Database, cast: Cast
) -> None:
    with write_tx(depot_db) as tx:
        there = new_trip(tx)
        pickup = NOON + 120 * MINUTE
        back = legs.plan_return(tx, there, pickup_at=pickup, will_call=True, now=NOON, who="ann").id
        outbound, leg = trip_of(tx, there), trip_of(tx, back)
        assert (leg["pickup_address"], leg["dropoff_address"]) == ("Royal Hospital", "12 Utting Avenue")
        assert [leg[name] == outbound[name] for name in ("patient_id", "payer_id", "level")] == [True] * 3
        assert (leg["state"], leg["outbound_trip_id"]) == ("will_call", there)
        (outcome,) = legs.cancel_returns(tx, there, by=CancelledBy.patient, now=NOON, who="ann")
        assert outcome.accepted
        assert trip_of(tx, back)["state"] == "cancelled"
        assert legs.cancel_returns(tx, there, by=None, now=NOON, who="ann") == []
        with pytest.raises(InputError, match="after the pickup"):
            legs.plan_return(tx, there, pickup_at=NOON, will_call=False, now=NOON, who="ann")


def two_trips(tx: Tx) -> tuple[int, int]:
    """One that is only assigned, and one under way."""
    waiting, running = new_trip(tx, pickup_at=NOON + 60 * MINUTE), new_trip(tx)
    say(tx, running, Event.on_board, NOON)
    return waiting, running


def test_all_trips_of_an_unavailable_driver_go_to_another_and_come_back(
    depot_db: Database, cast: Cast, other: int
) -> None:
    with write_tx(depot_db) as tx:
        waiting, running = two_trips(tx)
        done = handover.unavailable(tx, DRIVER, OTHER_DRIVER, now=NOON, who="ann")
    assert sorted(done.trips) == [waiting, running]
    assert [ask.name for ask in done.jobs] == ["users.tasks.send_trip_assignment_notification"] * 2
    assert crew_of(depot_db, waiting) == ("assigned", VAN, other)
    assert crew_of(depot_db, running) == ("in_progress", VAN, other)
    assert trip_of(depot_db, running)["on_board_at"] is not None
    with write_tx(depot_db) as tx:
        assert say(tx, waiting, Event.assign, NOON, vehicle=VAN, driver=DRIVER).reason == "driver D1 is unavailable"
        back = handover.undo(tx, done.id, now=NOON + MINUTE, who="ann")
    assert (sorted(back.trips), back.left) == ([waiting, running], [])
    assert crew_of(depot_db, waiting) == ("assigned", VAN, cast.driver)
    assert crew_of(depot_db, running) == ("in_progress", VAN, cast.driver)
    with write_tx(depot_db) as tx:
        assert say(tx, waiting, Event.assign, NOON, vehicle=VAN, driver=DRIVER).accepted
        with pytest.raises(Refused, match="undone already"):
            handover.undo(tx, done.id, now=NOON, who="ann")
    actions = [row["action"] for row in rows(depot_db, "SELECT action FROM audit_log WHERE subject = 'driver'")]
    assert actions == ["driver.unavailable", "driver.handover_undone"]


def test_to_nobody_they_are_unassigned_but_for_one_with_a_patient_on_board(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        waiting, running = two_trips(tx)
        before = trip_of(tx, running)
        done = handover.unavailable(tx, DRIVER, None, now=NOON, who="ann")
        assert (done.trips, done.left) == ([waiting], [running])
        assert crew_of(tx, waiting) == ("scheduled", None, None)
        assert trip_of(tx, running) == before
        assert say(tx, running, Event.completed, NOON + MINUTE).accepted
        back = handover.undo(tx, done.id, now=NOON, who="ann")
    assert back.trips == [waiting]
    assert crew_of(depot_db, waiting) == ("assigned", VAN, cast.driver)


def test_undoing_leaves_alone_what_was_decided_since(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        waiting, _ = two_trips(tx)
        done = handover.unavailable(tx, DRIVER, None, now=NOON, who="ann")
        assert say(tx, waiting, Event.assign, NOON, vehicle=OTHER_VAN).accepted
        back = handover.undo(tx, done.id, now=NOON, who="ann")
        assert (back.trips, back.left) == ([], [waiting])
        assert crew_of(tx, waiting) == ("assigned", OTHER_VAN, None)


def test_a_handover_that_cannot_be_is_refused_by_its_field(depot_db: Database, cast: Cast, other: int) -> None:
    with write_tx(depot_db) as tx:
        for to, error, subject in ((DRIVER, Refused, "to"), ("D9", NotFound, "to")):
            with pytest.raises(error) as refused:
                handover.unavailable(tx, DRIVER, to, now=NOON, who="ann")
            assert refused.value.subject == subject
        handover.unavailable(tx, DRIVER, None, now=NOON, who="ann")
        with pytest.raises(Refused, match="unavailable already"):
            handover.unavailable(tx, DRIVER, None, now=NOON, who="ann")
        with pytest.raises(Refused, match="the driver is unavailable"):
            handover.unavailable(tx, OTHER_DRIVER, DRIVER, now=NOON, who="ann")
        handover.available(tx, DRIVER, now=NOON, who="ann")
        assert say(tx, new_trip(tx), Event.assign, NOON, vehicle=VAN, driver=DRIVER).accepted
