"""Creating trips and moving them: what is written, what follows, and what is refused with a reason."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import dispatch, jobs
from appliance.domain.trip import Event
from appliance.errors import InputError, NotFound
from appliance.storage import jobs as job_rows
from appliance.storage import payers, people, trips, vehicles
from appliance.storage.db import Row, rows, value, write_tx
from tests.cast import DRIVER, NOON, OTHER_VAN, VAN, Cast, issue, new_trip, ride, say

MINUTE = timedelta(minutes=1)


def trip_of(db: Database, id: int) -> Row:
    found = trips.get(db, id)
    assert found is not None
    return found


def events_of(db: Database, id: int) -> list[Row]:
    return rows(db, "SELECT * FROM trip_events WHERE trip_id = ? ORDER BY id", id)


def test_a_trip_with_a_vehicle_is_assigned_at_once(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
    found = trip_of(depot_db, id)
    assert (found["state"], found["vehicle_id"], found["driver_id"]) == ("assigned", cast.van, cast.driver)
    assert [event["event"] for event in events_of(depot_db, id)] == ["assign"]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"pickup_at": NOON.replace(tzinfo=None)}, InputError, "pickup_at"),
        ({"appointment_at": NOON.replace(tzinfo=None)}, InputError, "zone"),
        ({"level": "flying"}, InputError, "level 'flying': expected one of ambulatory"),
        ({"payer": "Nobody"}, NotFound, "payer 'Nobody'"),
        ({"vehicle": "VAN-9"}, InputError, "no vehicle 'VAN-9'"),
        ({"driver": "D9"}, InputError, "no driver 'D9'"),
        ({"level": "stretcher"}, InputError, "VAN-1 is not fitted for stretcher"),
        ({"will_call": True}, InputError, "cannot be given to a vehicle"),
    ],
)
def test_a_trip_that_cannot_be_is_refused_by_its_field_and_leaves_nothing(
    depot_db: Database, cast: Cast, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says), write_tx(depot_db) as tx:
        new_trip(tx, **changes)
    assert value(depot_db, "SELECT count(*) FROM trips") == 0
    assert value(depot_db, "SELECT count(*) FROM patients") == 0


def test_a_reference_is_taken_once(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        new_trip(tx, ref="R-1")
        with pytest.raises(InputError, match="already a trip"):
            new_trip(tx, ref="R-1")


def test_an_unknown_patient_is_added_and_a_known_one_found(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        first, second = new_trip(tx), new_trip(tx)
    assert trip_of(depot_db, first)["patient_id"] == trip_of(depot_db, second)["patient_id"]
    assert value(depot_db, "SELECT count(*) FROM patients") == 1


def test_who_pays_for_himself_needs_not_be_named(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        patient = people.add_patient(tx, "Bo Lindqvist", NOON)
        payer = payers.add(tx, "Bo Lindqvist", "patient", NOON, patient_id=patient)
        id = new_trip(tx, patient="Bo Lindqvist", payer=None)
    assert trip_of(depot_db, id)["payer_id"] == payer


def test_each_button_stamps_the_time_at_which_it_happened(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        for n, event in enumerate((Event.accepted, Event.en_route, Event.arrived_pickup, Event.on_board)):
            say(tx, id, event, NOON + n * MINUTE, now=NOON + timedelta(hours=1))
    found = trip_of(depot_db, id)
    stamps = [found[name] for name in ("accepted_at", "en_route_at", "arrived_pickup_at", "on_board_at")]
    assert stamps == [f"2026-01-26T12:0{n}:00.000Z" for n in range(4)]
    assert {event["received_at"] for event in events_of(depot_db, id)[1:]} == {"2026-01-26T13:00:00.000Z"}


def test_a_stamp_can_be_corrected(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.on_board, NOON)
        assert say(tx, id, Event.on_board, NOON - MINUTE).accepted
    assert trip_of(depot_db, id)["on_board_at"] == "2026-01-26T11:59:00.000Z"
    assert [event["at"][11:16] for event in events_of(depot_db, id)[1:]] == ["12:00", "11:59"]


def test_a_refused_event_is_written_with_its_reason_and_changes_nothing(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        before = trip_of(tx, id)
        outcome = say(tx, id, Event.completed, NOON)
    assert not outcome.accepted
    assert outcome.state == "assigned"
    assert outcome.jobs == []
    assert outcome.events == []
    assert trip_of(depot_db, id) == before
    event = events_of(depot_db, id)[-1]
    assert (event["accepted"], event["reason"]) == (0, outcome.reason)
    assert (event["from_state"], event["to_state"]) == ("assigned", "assigned")


def test_an_event_for_a_trip_that_does_not_exist_is_refused_and_kept(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        outcome = say(tx, 99, Event.completed, NOON, event_id="e1")
        again = say(tx, 99, Event.completed, NOON, event_id="e1")
    assert outcome == again
    assert outcome.reason == "there is no such trip"
    assert value(depot_db, "SELECT count(*) FROM trip_events WHERE trip_id IS NULL") == 1


@pytest.mark.parametrize("event", [Event.on_board, Event.completed])
def test_the_same_event_id_again_changes_nothing_and_has_the_same_answer(
    depot_db: Database, cast: Cast, event: Event
) -> None:
    """Also a refused one, and also when the trip has moved on since."""
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        first = say(tx, id, event, NOON, event_id="e1")
        for later in (Event.on_board, Event.completed):
            say(tx, id, later, NOON + MINUTE)
        before = trip_of(tx, id)
        again = say(tx, id, event, NOON + 9 * MINUTE, event_id="e1")
        assert trip_of(tx, id) == before
    assert (again.accepted, again.reason, again.state) == (first.accepted, first.reason, first.state)
    assert again.jobs == []
    assert len(events_of(depot_db, id)) == 4


@pytest.mark.parametrize("event_id", ["", "e1"])
def test_another_event_under_the_same_id_is_refused_and_not_taken_for_the_first(
    depot_db: Database, cast: Cast, event_id: str
) -> None:
    """Two tablets that number their events 1, 2, 3: neither driver must be told that the other's button was theirs."""
    with write_tx(depot_db) as tx:
        one, other = new_trip(tx), new_trip(tx, vehicle=OTHER_VAN)
        assert say(tx, one, Event.on_board, NOON, event_id=event_id).accepted
        for trip_id, event in ((other, Event.on_board), (one, Event.completed)):
            outcome = say(tx, trip_id, event, NOON, event_id=event_id)
            assert outcome.reason == "another event was sent under this event_id"
    assert trip_of(depot_db, other)["state"] == "assigned"


def test_completing_asks_once_for_the_closing_after_the_settling_time(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        outcome = ride(tx, id, NOON, NOON + MINUTE, settle_s=60.0)
        again = dispatch.ask_to_close(tx, id, now=NOON + MINUTE, delay_s=60.0)
    (asked,) = outcome.jobs
    assert not asked.due
    assert again.id == asked.id
    found = job_rows.get(depot_db, asked.id)
    assert found is not None
    assert found["due_at"] == "2026-01-26T12:02:00.000Z"
    assert json.loads(found["arguments"]) == {"trip_id": id}


def test_an_assignment_is_told_to_both_vehicles_and_to_the_driver(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        outcome = say(tx, id, Event.assign, NOON, vehicle=OTHER_VAN, driver=DRIVER)
    assert [(event.kind, event.key) for event in outcome.events] == [
        ("trip", str(id)), ("assignment", VAN), ("assignment", OTHER_VAN),
    ]  # fmt: skip
    assert [ask.name for ask in outcome.jobs] == ["users.tasks.send_trip_assignment_notification"]
    assert jobs.TASKS[outcome.jobs[0].name] == "normal"


def test_what_follows_from_an_event_names_no_person(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        outcome = ride(tx, id, NOON, NOON + MINUTE)
    text = str(outcome.events) + str(rows(depot_db, "SELECT arguments, key FROM jobs"))
    assert "Ada" not in text
    assert "Utting" not in text


def test_an_unassigned_trip_has_neither_vehicle_nor_driver_nor_stamps(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.accepted, NOON)
        assert say(tx, id, Event.unassign, NOON).accepted
    found = trip_of(depot_db, id)
    assert found["state"] == "scheduled"
    assert [found[name] for name in ("vehicle_id", "driver_id", "accepted_at")] == [None, None, None]


def test_a_disabled_vehicle_or_driver_gets_no_trip(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE vehicles SET disabled_at = 'now' WHERE code = ?", (OTHER_VAN,))
        tx.conn.execute("UPDATE drivers SET disabled_at = 'now'")
        id = new_trip(tx, vehicle=None, driver=None)
        assert say(tx, id, Event.assign, NOON, vehicle=OTHER_VAN).reason == "there is no vehicle 'VAN-2'"
        assert say(tx, id, Event.assign, NOON, vehicle=VAN, driver=DRIVER).reason == "there is no driver 'D1'"
        assert say(tx, id, Event.assign, NOON, vehicle=None).reason == "there is no vehicle None"
        assert say(tx, id, Event.assign, NOON, vehicle=VAN).accepted


def test_a_completed_trip_is_reopened_until_it_is_invoiced(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, NOON + MINUTE)
        assert say(tx, id, Event.reopen, NOON).accepted
        assert trip_of(tx, id)["completed_at"] is None
        assert trip_of(tx, id)["on_board_at"] is not None
        say(tx, id, Event.completed, NOON + MINUTE)
        issue(tx, cast, id)
        refused = say(tx, id, Event.reopen, NOON)
        assert refused.reason == "the trip is invoiced; void the invoice before it is reopened"
        assert trip_of(tx, id)["state"] == "completed"
        tx.conn.execute("UPDATE invoices SET state = 'void'")
        assert say(tx, id, Event.reopen, NOON).accepted


@pytest.mark.parametrize(
    ("arrived", "at", "more", "says"),
    [
        (None, NOON, {"contact_attempts": 1}, "the arrival at the pickup is not marked"),
        (NOON, NOON + 11 * MINUTE, {"contact_attempts": 0}, "the patient was called 0 of 1 times"),
        (NOON, NOON + 9 * MINUTE, {"contact_attempts": 1}, "the vehicle has waited 9 of 10 minutes"),
        (NOON, NOON - MINUTE, {"contact_attempts": 1}, "the vehicle has waited 0 of 10 minutes"),
        (NOON, NOON + 9 * MINUTE, {"contact_attempts": 1, "waited_s": 9999.0}, "has waited 9 of 10"),
        (NOON, NOON + 10 * MINUTE, {"contact_attempts": 1}, None),
        (None, NOON, {"contact_attempts": 1, "waited_s": 600.0}, None),
    ],
)
def test_a_no_show_needs_a_call_and_a_wait(
    depot_db: Database, cast: Cast, arrived: datetime | None, at: datetime, more: dict[str, Any], says: str | None
) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        if arrived:
            say(tx, id, Event.arrived_pickup, arrived)
        outcome = say(tx, id, Event.no_show, at, **more)
    if says:
        assert says in str(outcome.reason)
        return
    found = trip_of(depot_db, id)
    assert (found["state"], found["contact_attempts"]) == ("no_show", 1)


def test_a_vehicles_code_must_fit_into_a_topic(depot_db: Database) -> None:
    with write_tx(depot_db) as tx:
        for code in ("", "a/b", "a+", "#", "a b", "x" * 33, "ä"):
            with pytest.raises(InputError):
                vehicles.add(tx, code, NOON)


def test_a_patient_who_was_on_board_is_no_no_show(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.arrived_pickup, NOON)
        say(tx, id, Event.on_board, NOON + MINUTE)
        outcome = say(tx, id, Event.no_show, NOON + 60 * MINUTE, contact_attempts=3, waited_s=5000)
    assert (outcome.accepted, outcome.reason) == (False, "the patient was on board")


def test_nobody_arrives_before_boarding(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.on_board, NOON)
        outcome = say(tx, id, Event.arrived_dropoff, NOON - 10 * MINUTE, now=NOON)
    assert (outcome.accepted, outcome.reason) == (False, "the time is before the patient was on board")
