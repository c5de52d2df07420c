"""Payers and rates: what is decided about them, and what it means for trips and invoices."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import billing, payer_desk, rate_desk
from appliance.config import Settings
from appliance.domain.trip import LevelOfService
from appliance.errors import InputError, NotFound, Refused
from appliance.jobs import Ask
from appliance.payer_desk import NewPayer, PayerDetails
from appliance.rate_desk import NewRate
from appliance.storage import payers, people, trips
from appliance.storage.db import row, rows, value, write_tx
from tests.cast import NOON, PAYER, Cast, new_trip, ride

TODAY = NOON.date()
DAY = timedelta(days=1)


def completed(db: Database, **changes: Any) -> int:
    with write_tx(db) as tx:
        trip = new_trip(tx, **changes)
        ride(tx, trip, NOON, NOON + timedelta(minutes=20))
        trips.change(tx, trip, NOON, distance_m=4210.0)
    return trip


def bill(db: Database, trip: int, depot: Settings) -> dict[str, Any]:
    with write_tx(db) as tx:
        return billing.generate(tx, trip, depot, NOON)[0]


def add_rate(db: Database, payer: int, depot: Settings, **changes: Any) -> list[Ask]:
    given: dict[str, Any] = {"level": LevelOfService.ambulatory, "valid_from": TODAY, "base_cents": 2000}
    with write_tx(db) as tx:
        return rate_desk.add(tx, payer, NewRate(**given | changes), depot, who="ann", now=NOON)[1]


def add_payer(db: Database, depot: Settings, **given: Any) -> tuple[int, list[Ask]]:
    with write_tx(db) as tx:
        return payer_desk.add(tx, NewPayer(**given), depot, who="ann", now=NOON)


def days(db: Database, payer: int) -> list[tuple[str, str | None]]:
    return [(one["valid_from"], one["valid_to"]) for one in payers.rate_rows(db, payer)]


def test_a_new_rate_ends_the_one_before_on_the_day_before(depot_db: Database, cast: Cast, depot: Settings) -> None:
    add_rate(depot_db, cast.payer, depot, valid_from=TODAY + DAY)
    assert days(depot_db, cast.payer) == [("2020-01-01", "2026-01-26"), ("2026-01-27", None)]
    add_rate(depot_db, cast.payer, depot, valid_from=TODAY, level=LevelOfService.stretcher)
    assert len(days(depot_db, cast.payer)) == 3
    logged = row(depot_db, "SELECT snapshot FROM sync_log WHERE kind = 'rate' AND snapshot LIKE '%2026-01-26%'")
    assert logged is not None
    found = row(depot_db, "SELECT who, subject, detail FROM audit_log WHERE action = 'rate.added' ORDER BY id")
    assert found == {"who": "ann", "subject": "payer", "detail": "ambulatory from 2026-01-27"}


@pytest.mark.parametrize(("begins", "ends"), [
    (date(2019, 1, 1), None), (date(2020, 1, 1), None), (date(2019, 1, 1), date(2020, 1, 1)),
])  # fmt: skip
def test_rates_that_overlap_are_refused(
    depot_db: Database, cast: Cast, depot: Settings, begins: date, ends: date | None
) -> None:
    with pytest.raises(Refused, match="overlaps with the one from 2020-01-01 on"):
        add_rate(depot_db, cast.payer, depot, valid_from=begins, valid_to=ends)
    assert days(depot_db, cast.payer) == [("2020-01-01", None)]
    add_rate(depot_db, cast.payer, depot, valid_from=date(2019, 1, 1), valid_to=date(2019, 12, 31))
    assert len(days(depot_db, cast.payer)) == 2


def test_a_day_that_was_billed_keeps_its_rate(depot_db: Database, cast: Cast, depot: Settings) -> None:
    number = bill(depot_db, completed(depot_db), depot)["number"]
    with pytest.raises(Refused, match=f"{number} was billed by the rate before"):
        add_rate(depot_db, cast.payer, depot, valid_from=TODAY)
    add_rate(depot_db, cast.payer, depot, valid_from=TODAY + DAY)
    assert days(depot_db, cast.payer)[0] == ("2020-01-01", "2026-01-26")


@pytest.mark.parametrize("wrong", [
    {"base_cents": -1}, {"tax_bp": 10_001}, {"free_units": -0.5}, {"valid_to": TODAY - DAY},
])  # fmt: skip
def test_a_wrong_rate_is_refused_whoever_made_it(
    depot_db: Database, cast: Cast, depot: Settings, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InputError):
        add_rate(depot_db, cast.payer, depot, **wrong)
    with pytest.raises(NotFound):
        add_rate(depot_db, 99, depot)
    assert len(days(depot_db, cast.payer)) == 1


def test_a_rate_is_of_this_age(depot_db: Database, cast: Cast, depot: Settings) -> None:
    """The day before the first of all days, and the one after the last, are none."""
    for changes in (
        {"valid_from": date(1, 1, 1)}, {"valid_from": date(9999, 12, 31)}, {"valid_to": date(9999, 12, 31)},
    ):  # fmt: skip
        with pytest.raises(InputError, match="expected a day between 2000 and 2099"):
            add_rate(depot_db, cast.payer, depot, **changes)
    rate = value(depot_db, "SELECT id FROM rates")
    with pytest.raises(InputError, match="expected a day between 2000 and 2099"):
        end(depot_db, rate, date(9999, 12, 31))


def test_a_trip_that_waited_for_a_rate_is_billed_by_it(depot_db: Database, cast: Cast, depot: Settings) -> None:
    trip = completed(depot_db, level="wheelchair")
    assert bill(depot_db, trip, depot) == {"blocked": "no_rate"}
    asks = add_rate(depot_db, cast.payer, depot, level=LevelOfService.wheelchair, valid_from=TODAY)
    assert [ask.name for ask in asks] == ["billing.tasks.generate_invoice"]
    assert bill(depot_db, trip, depot)["total_cents"] == 2000


def test_trips_of_a_patient_who_pays_from_now_on_are_the_patients(
    depot_db: Database, cast: Cast, depot: Settings
) -> None:
    trip = completed(depot_db, payer=None)
    assert bill(depot_db, trip, depot) == {"blocked": "no_payer"}
    patient = value(depot_db, "SELECT patient_id FROM trips WHERE id = ?", trip)
    payer, asks = add_payer(depot_db, depot, kind="patient", patient_id=patient, delivery="print")
    assert asks == []
    asks = add_rate(depot_db, payer, depot)
    assert len(asks) == 1
    assert bill(depot_db, trip, depot)["total_cents"] == 2000
    with pytest.raises(Refused, match="payer already"):
        add_payer(depot_db, depot, kind="patient", patient_id=patient)


def test_a_payer_is_changed_and_its_invoices_are_not(depot_db: Database, cast: Cast, depot: Settings) -> None:
    bill(depot_db, completed(depot_db), depot)
    before = value(depot_db, "SELECT document FROM invoices")
    with write_tx(depot_db) as tx:
        details = PayerDetails(name="County Desk", address=" 1  High Street \n\n Town ", terms_days=7)
        payer_desk.change(tx, cast.payer, details, who="ann", now=NOON)
        payer_desk.change(tx, cast.payer, details, who="ann", now=NOON)
    found = payers.get(depot_db, cast.payer)
    assert found is not None
    assert (found["name"], found["address"], found["terms_days"]) == ("County Desk", "1 High Street\nTown", 7)
    assert value(depot_db, "SELECT document FROM invoices") == before
    audited = rows(depot_db, "SELECT detail FROM audit_log WHERE action = 'payer.changed'")
    assert audited == [{"detail": "address, name, terms_days"}]
    with pytest.raises(NotFound), write_tx(depot_db) as tx:
        payer_desk.change(tx, 99, details, who="ann", now=NOON)


@pytest.mark.parametrize("wrong", [
    {"kind": "broker"}, {"kind": "broker", "name": PAYER}, {"kind": "patient"},
    {"kind": "broker", "name": "X", "patient_id": 1}, {"kind": "patient", "patient_id": 1, "name": "X"},
    {"kind": "facility", "name": "X", "terms_days": 366}, {"kind": "facility", "name": "X", "email": "nobody"},
])  # fmt: skip
def test_a_wrong_payer_is_refused(depot_db: Database, cast: Cast, depot: Settings, wrong: dict[str, Any]) -> None:
    with write_tx(depot_db) as tx:
        people.add_patient(tx, "Ada Marsh", NOON)
    with pytest.raises(InputError):
        add_payer(depot_db, depot, **wrong)
    with pytest.raises(NotFound):
        add_payer(depot_db, depot, kind="patient", patient_id=99)
    assert value(depot_db, "SELECT count(*) FROM payers") == 1


def correct(db: Database, id: int, depot: Settings, **changes: Any) -> list[Ask]:
    given: dict[str, Any] = {"level": LevelOfService.ambulatory, "valid_from": date(2020, 1, 1), "base_cents": 2000}
    with write_tx(db) as tx:
        return rate_desk.correct(tx, id, NewRate(**given | changes), depot, who="ann", now=NOON)


def end(db: Database, id: int, day: date) -> None:
    with write_tx(db) as tx:
        rate_desk.end(tx, id, day, who="ann", now=NOON)


def test_a_rate_that_nothing_was_billed_by_is_corrected(depot_db: Database, cast: Cast, depot: Settings) -> None:
    trip = completed(depot_db, level="wheelchair")
    bill(depot_db, trip, depot)
    asks = correct(depot_db, 1, depot, level=LevelOfService.wheelchair, valid_from=TODAY)
    assert [ask.name for ask in asks] == ["billing.tasks.generate_invoice"]
    number = bill(depot_db, trip, depot)["number"]
    with pytest.raises(Refused, match=f"{number} was billed by it"):
        correct(depot_db, 1, depot)
    with pytest.raises(NotFound):
        correct(depot_db, 99, depot)
    found = value(depot_db, "SELECT detail FROM audit_log WHERE action = 'rate.corrected'")
    assert found == "ambulatory from 2020-01-01: wheelchair from 2026-01-26"


def test_a_corrected_rate_overlaps_with_no_other(depot_db: Database, cast: Cast, depot: Settings) -> None:
    add_rate(depot_db, cast.payer, depot, valid_from=TODAY)
    for begins in (date(2020, 1, 1), TODAY + DAY):
        with pytest.raises(Refused, match="overlaps with the one from 2026-01-26 on"):
            correct(depot_db, 1, depot, valid_from=begins)
    correct(depot_db, 1, depot, valid_to=TODAY - DAY)
    assert days(depot_db, cast.payer) == [("2020-01-01", "2026-01-25"), ("2026-01-26", None)]


def test_a_rate_ends_after_what_was_billed_by_it(depot_db: Database, cast: Cast, depot: Settings) -> None:
    number = bill(depot_db, completed(depot_db), depot)["number"]
    with pytest.raises(Refused, match=f"{number} was billed by it after that day"):
        end(depot_db, 1, TODAY - DAY)
    with pytest.raises(InputError, match="not before the first"):
        end(depot_db, 1, date(2019, 1, 1))
    end(depot_db, 1, TODAY)
    assert days(depot_db, cast.payer) == [("2020-01-01", "2026-01-26")]
    add_rate(depot_db, cast.payer, depot, valid_from=TODAY + DAY)
    with pytest.raises(Refused, match="overlaps with the one from 2026-01-27 on"):
        end(depot_db, 1, TODAY + DAY)


def test_payers_are_found_by_name_and_patients_by_none(depot_db: Database, cast: Cast, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        patient = people.add_patient(tx, "Ada County", NOON)
    add_payer(depot_db, depot, kind="patient", patient_id=patient)
    assert [one["name"] for one in payers.listed(depot_db, q="cOUNTy")] == [PAYER]
    assert payers.count(depot_db, q="county") == 1
    assert [one["kind"] for one in payers.listed(depot_db)] == ["broker", "patient"]
    assert payers.count(depot_db, "patient") == 1
    assert payers.listed(depot_db, limit=1, offset=1)[0]["kind"] == "patient"
