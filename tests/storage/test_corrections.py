"""Times that were told by phone: what they change, what is measured again, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import corrections
from appliance.dispatch import Outcome
from appliance.domain.trip import Event
from appliance.errors import InputError, Refused
from appliance.storage import trips
from appliance.storage.db import Tx, rows, value, write_tx
from tests.cast import NOON, Cast, new_trip, ride, say

MINUTE = timedelta(minutes=1)
LATER = NOON + timedelta(hours=1)


def told(tx: Tx, id: int, said: dict[Event, datetime], **more: Any) -> Outcome:
    return corrections.correct(tx, id, said, now=LATER, who="ann", settle_s=60.0, **more)


def stamps(db: Database, id: int) -> dict[str, str]:
    found = trips.get(db, id)
    assert found is not None
    return {name: found[name][11:16] for name in trips.STAMP_COLUMNS if found[name]}


def test_forgotten_buttons_are_entered_together_and_move_the_trip_on(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        outcome = told(tx, id, {Event.on_board: NOON, Event.completed: NOON + 20 * MINUTE}, note="dead battery")
    assert outcome.state == "completed"
    assert [ask.name for ask in outcome.jobs] == ["trips.tasks.process_trip_completion"]
    assert stamps(depot_db, id) == {"on_board_at": "12:00", "completed_at": "12:20"}
    events = rows(depot_db, "SELECT source, who, note, at, received_at FROM trip_events WHERE event = 'on_board'")
    assert events == [
        {
            "source": "phone",
            "who": "ann",
            "note": "dead battery",
            "at": "2026-01-26T12:00:00.000Z",
            "received_at": "2026-01-26T13:00:00.000Z",
        }
    ]


def test_a_corrected_time_of_a_completed_trip_has_it_measured_again(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, NOON + 20 * MINUTE)
        tx.conn.execute("UPDATE jobs SET state = 'done'")
        outcome = told(tx, id, {Event.on_board: NOON + 5 * MINUTE, Event.completed: NOON + 20 * MINUTE})
    assert outcome.state == "completed"
    assert [ask.name for ask in outcome.jobs] == ["trips.tasks.process_trip_completion"]
    assert stamps(depot_db, id)["on_board_at"] == "12:05"
    said = rows(depot_db, "SELECT who, action, detail FROM audit_log WHERE subject = 'trip'")
    detail = "on_board_at: 2026-01-26T12:00:00.000Z -> 2026-01-26T12:05:00.000Z"
    assert said == [{"who": "ann", "action": "trip.corrected", "detail": detail}]


def test_the_same_times_again_change_nothing(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.on_board, NOON)
        before = trips.get(tx, id)
        assert told(tx, id, {Event.on_board: NOON}).jobs == []
    assert trips.get(depot_db, id) == before
    assert value(depot_db, "SELECT count(*) FROM audit_log WHERE subject = 'trip'") == 0


@pytest.mark.parametrize(
    ("said", "subject", "why"),
    [
        ({Event.arrived_dropoff: NOON - MINUTE}, "arrived_dropoff", "before the trip was marked on board"),
        ({Event.en_route: NOON + MINUTE}, "en_route", "after the trip was marked on board"),
        ({Event.completed: LATER + timedelta(hours=1)}, "completed", "in the future"),
        ({Event.accepted: NOON - timedelta(hours=12)}, "accepted", "more than 12 hours before the pickup"),
        ({Event.arrived_dropoff: NOON + 9 * MINUTE, Event.completed: NOON + MINUTE}, "arrived_dropoff", "after"),
    ],
)
def test_a_time_that_cannot_be_is_refused_by_its_step_and_nothing_is_changed(
    depot_db: Database, cast: Cast, said: dict[Event, datetime], subject: str, why: str
) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.on_board, NOON)
    before = trips.get(depot_db, id)
    with pytest.raises(Refused, match=why) as refused, write_tx(depot_db) as tx:
        told(tx, id, said)
    assert refused.value.subject == subject
    assert trips.get(depot_db, id) == before


def test_a_completed_trip_takes_no_time_of_another_age(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, NOON + 20 * MINUTE)
    before = stamps(depot_db, id)
    for at, error in ((datetime(1, 1, 1, tzinfo=UTC), InputError), (NOON - timedelta(days=365), Refused)):
        with pytest.raises(error), write_tx(depot_db) as tx:
            told(tx, id, {Event.arrived_pickup: at})
    assert stamps(depot_db, id) == before


def test_two_wrong_times_are_corrected_in_one_go(depot_db: Database, cast: Cast) -> None:
    """One after the other each would be refused by the other."""
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.arrived_pickup, NOON)
        say(tx, id, Event.on_board, NOON + 2 * MINUTE)
        told(tx, id, {Event.arrived_pickup: NOON + 10 * MINUTE, Event.on_board: NOON + 12 * MINUTE})
    assert stamps(depot_db, id) == {"arrived_pickup_at": "12:10", "on_board_at": "12:12"}


def test_a_cancelled_trip_keeps_its_times(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.cancel, NOON)
        with pytest.raises(Refused, match="the trip is cancelled"):
            told(tx, id, {Event.on_board: NOON})
