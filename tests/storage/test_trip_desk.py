"""Changing what is planned of a trip: what may be changed when, and what follows from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import trip_desk
from appliance.dispatch import Outcome
from appliance.domain.trip import CancelledBy, Event
from appliance.errors import DepotError, InputError, NotFound, Refused
from appliance.storage import trips, vehicles
from appliance.storage.db import Row, rows, write_tx
from appliance.trip_desk import TripDetails
from tests.cast import DRIVER, NOON, PAYER, Cast, issue, new_trip, ride, say

LATER = NOON + timedelta(minutes=50)


def change(db: Database, trip_id: int, **given: Any) -> Outcome:
    with write_tx(db) as tx:
        return trip_desk.change(tx, trip_id, TripDetails(**given), now=NOON, who="ann")


def trip_of(db: Database, trip_id: int) -> Row:
    found = trips.get(db, trip_id)
    assert found is not None
    return found


def planned(db: Database, **given: Any) -> int:
    with write_tx(db) as tx:
        return new_trip(tx, **given)


def test_what_is_given_is_changed_and_the_vehicle_is_told(depot_db: Database, cast: Cast) -> None:
    id = planned(depot_db, pickup_lat=53.4, pickup_lon=-2.9)
    before = trip_of(depot_db, id)
    outcome = change(depot_db, id, pickup_at=LATER, pickup_address="2 Low Road")
    after = trip_of(depot_db, id)
    assert (after["pickup_address"], after["pickup_lat"], after["version"]) == (
        "2 Low Road",
        None,
        before["version"] + 1,
    )
    assert after["dropoff_address"] == before["dropoff_address"]
    assert {event.kind for event in outcome.events} == {"trip", "assignment"}
    (told,) = rows(depot_db, "SELECT detail FROM audit_log WHERE action = 'trip.changed'")
    assert told["detail"] == "pickup_address, pickup_at"


def test_the_same_again_changes_nothing(depot_db: Database, cast: Cast) -> None:
    id = planned(depot_db)
    before = trip_of(depot_db, id)
    change(depot_db, id, pickup_address=before["pickup_address"], pickup_at=NOON + timedelta(minutes=10))
    assert trip_of(depot_db, id) == before


@pytest.mark.parametrize(
    ("given", "error", "subject"),
    [
        ({"pickup_address": " "}, InputError, "pickup_address"),
        ({"pickup_at": NOON.replace(year=1999)}, InputError, "pickup_at"),
        ({"level": "flying"}, InputError, "level"),
        ({"payer": "Nobody"}, NotFound, "payer"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    depot_db: Database, cast: Cast, given: dict[str, Any], error: type[DepotError], subject: str
) -> None:
    id = planned(depot_db)
    with pytest.raises(error) as caught:
        change(depot_db, id, **given)
    assert caught.value.subject.startswith(subject)


def test_a_level_that_its_vehicle_does_not_carry_is_refused(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        vehicles.add(tx, "SEATS", NOON, levels=("ambulatory",))
        id = new_trip(tx, vehicle="SEATS", driver=DRIVER)
    with pytest.raises(Refused, match="vehicle SEATS is not fitted for stretcher"):
        change(depot_db, id, level="stretcher")


def test_what_is_over_or_invoiced_stays_as_it_is(depot_db: Database, cast: Cast) -> None:
    gone = planned(depot_db)
    with write_tx(depot_db) as tx:
        say(tx, gone, Event.cancel, NOON, cancelled_by=CancelledBy.patient)
        billed = new_trip(tx, ref="B-2")
        ride(tx, billed, NOON, LATER)
        issue(tx, cast, billed)
    for id, said in ((gone, "cancelled.*reopen"), (billed, "invoiced.*void")):
        with pytest.raises(Refused, match=said):
            change(depot_db, id, level="wheelchair")
    with pytest.raises(NotFound):
        change(depot_db, 999, level="wheelchair")


def test_a_finished_trip_that_had_no_payer_is_billed_when_it_gets_one(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx, payer=None, patient=None)
        ride(tx, id, NOON, LATER)
        trips.note_unbilled(tx, id, "no_payer")
    (ask,) = change(depot_db, id, payer=PAYER).jobs
    assert ask.name == "billing.tasks.generate_invoice"
