"""Issuing the invoice of a trip: once, complete, or not at all and with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlite_utils import Database

from appliance import billing, clock, invoice_desk
from appliance.config import Settings
from appliance.domain.trip import Event, LevelOfService
from appliance.errors import NotFound, Transient
from appliance.storage import jobs as job_rows
from appliance.storage import payers, people, times, trips
from appliance.storage.db import Row, row, rows, value, write_tx
from tests.cast import NOON, RATE, Cast, new_trip, ride, say

MINUTE = timedelta(minutes=1)
Answer = dict[str, Any]


def with_depot(settings: Settings, section: str, **changes: Any) -> Settings:
    changed = msgspec.structs.replace(getattr(settings, section), **changes)
    return msgspec.structs.replace(settings, **{section: changed})


@pytest.fixture
def trip(depot_db: Database, cast: Cast) -> int:
    """Waited from noon, on board ten minutes later, 4.2 km, measured."""
    with write_tx(depot_db) as tx:
        id = new_trip(tx, ref="R-1")
        say(tx, id, Event.arrived_pickup, NOON)
        ride(tx, id, NOON + 10 * MINUTE, NOON + 20 * MINUTE)
        trips.change(tx, id, NOON, distance_m=4210.0)
    return id


def bill(db: Database, trip_id: int, settings: Settings, now: datetime = NOON) -> Answer:
    with write_tx(db) as tx:
        return billing.generate(tx, trip_id, settings, now)[0]


def only(db: Database, table: str) -> Row:
    (found,) = rows(db, f"SELECT * FROM {table}")
    return found


def test_an_invoice_says_who_pays_what_until_when(depot_db: Database, trip: int, depot: Settings) -> None:
    assert bill(depot_db, trip, depot) == {
        "invoice_id": 1, "number": "LIV-2026-A000001", "total_cents": 1500 + 42 * 20, "currency": "GBP",
    }  # fmt: skip
    found = only(depot_db, "invoices")
    assert (found["issued_on"], found["due_on"], found["state"]) == ("2026-01-26", "2026-02-09", "issued")


def test_the_answer_is_the_same_the_second_time(depot_db: Database, trip: int, depot: Settings) -> None:
    first = bill(depot_db, trip, depot)
    later = with_depot(depot, "depot", currency="EUR", legal_name="")
    with write_tx(depot_db) as tx:
        again, asks, events = billing.generate(tx, trip, later, NOON + timedelta(days=400))
    assert again == first
    assert asks == []
    assert events == []
    assert value(depot_db, "SELECT last FROM invoice_counters") == 1


def test_an_invoice_asks_for_its_mail_and_tells_the_pages(depot_db: Database, trip: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        answer, asks, events = billing.generate(tx, trip, depot, NOON)
    (ask,) = asks
    found = job_rows.get(depot_db, ask.id)
    assert found is not None
    assert (ask.name, json.loads(found["arguments"])) == ("billing.tasks.send_invoice_email", {"invoice_id": 1})
    assert [(event.kind, event.key, event.data["number"]) for event in events] == [("invoice", "1", answer["number"])]


def test_the_day_and_the_year_of_an_invoice_are_the_depots(depot_db: Database, trip: int, depot: Settings) -> None:
    """In Auckland the new year has begun."""
    auckland = with_depot(depot, "depot", timezone="Pacific/Auckland")
    answer = bill(depot_db, trip, auckland, datetime(2026, 12, 31, 12, tzinfo=UTC))
    assert answer["number"] == "LIV-2027-A000001"
    assert only(depot_db, "invoices")["issued_on"] == "2027-01-01"


BLOCKED: dict[str, dict[str, Any]] = {
    "no_payer": {"sql": "UPDATE trips SET payer_id = NULL"},
    "no_rate": {"sql": "DELETE FROM rates"},
    "no_distance": {"sql": "UPDATE trips SET distance_m = NULL, trail_closed_at = created_at"},
    "implausible_times": {"sql": "UPDATE trips SET arrived_pickup_at = '2025-01-01T00:00:00.000Z'"},
    "not_finished": {"sql": "UPDATE trips SET state = 'in_progress'"},
    "issuer_incomplete": {"depot": {"bank_details": ""}},
    "not_released": {"billing": {"release": "review"}},
}


def test_a_ride_of_more_than_a_day_waits_until_its_times_are_corrected(
    depot_db: Database, trip: int, depot: Settings
) -> None:
    def complete_at(at: datetime) -> None:
        with write_tx(depot_db) as tx:
            trips.change(tx, trip, NOON, completed_at=times.text(at))

    complete_at(NOON + timedelta(days=1, minutes=11))
    assert bill(depot_db, trip, depot) == {"blocked": "implausible_times"}
    complete_at(NOON + timedelta(days=1, minutes=10))
    assert bill(depot_db, trip, depot)["number"] == "LIV-2026-A000001"


@pytest.mark.parametrize("reason", BLOCKED)
def test_what_cannot_be_billed_has_its_reason_on_the_trip_and_takes_no_number(
    depot_db: Database, trip: int, depot: Settings, reason: str
) -> None:
    harm = dict(BLOCKED[reason])
    settings = depot
    if sql := harm.pop("sql", None):
        depot_db.conn.execute(sql)
    for section, changes in harm.items():
        settings = with_depot(settings, section, **changes)
    assert bill(depot_db, trip, settings) == {"blocked": reason}
    noted = None if reason == "not_finished" else reason  # a trip that goes on is no unbilled one
    assert value(depot_db, "SELECT unbilled_reason FROM trips") == noted
    assert value(depot_db, "SELECT count(*) FROM invoices") == 0
    assert value(depot_db, "SELECT count(*) FROM invoice_counters") == 0


@pytest.mark.parametrize("missing", ["legal_name", "address", "tax_id", "bank_details"])
def test_nothing_is_issued_before_the_depot_is_complete(
    depot_db: Database, trip: int, depot: Settings, missing: str
) -> None:
    assert bill(depot_db, trip, with_depot(depot, "depot", **{missing: ""})) == {"blocked": "issuer_incomplete"}
    assert "number" in bill(depot_db, trip, depot)
    assert value(depot_db, "SELECT unbilled_reason FROM trips") is None


def test_a_clock_that_is_not_trusted_dates_no_invoice(
    depot_db: Database, trip: int, depot: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is tried again later, by itself; an invoice that was issued is still told."""
    synchronized = tmp_path / "synchronized"
    monkeypatch.setattr(clock, "SYNCHRONIZED", synchronized)
    careful = with_depot(depot, "clock", trust="synchronized")
    with pytest.raises(Transient, match="clock is not trusted"):
        bill(depot_db, trip, careful)
    assert value(depot_db, "SELECT count(*) FROM invoice_counters") == 0
    synchronized.touch()
    issued = bill(depot_db, trip, careful)
    synchronized.unlink()
    assert bill(depot_db, trip, careful) == issued


def test_a_trip_that_does_not_exist_is_not_found(depot_db: Database, depot: Settings) -> None:
    with pytest.raises(NotFound, match="trip 9"):
        bill(depot_db, 9, depot)


def test_a_released_trip_is_billed_also_in_review(depot_db: Database, trip: int, depot: Settings) -> None:
    review = with_depot(depot, "billing", release="review")
    assert bill(depot_db, trip, review) == {"blocked": "not_released"}
    with write_tx(depot_db) as tx:
        assert invoice_desk.release(tx, trip, "ann", NOON)
        assert not invoice_desk.release(tx, trip, "ann", NOON)
    assert "number" in bill(depot_db, trip, review)
    assert value(depot_db, "SELECT who FROM audit_log WHERE action = 'release'") == "ann"


def test_a_no_show_asks_for_its_invoice_and_pays_its_fee_without_a_distance(
    depot_db: Database, cast: Cast, depot: Settings
) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.arrived_pickup, NOON)
        outcome = say(tx, id, Event.no_show, NOON + 15 * MINUTE, contact_attempts=2)
    assert [ask.name for ask in outcome.jobs] == ["billing.tasks.generate_invoice"]
    assert bill(depot_db, id, depot)["total_cents"] == RATE.no_show_cents


def test_the_rate_is_that_of_the_level_and_of_the_local_day_of_the_pickup(
    depot_db: Database, cast: Cast, depot: Settings
) -> None:
    """23:30 UTC on 30 June is the first of July in London."""
    at = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
    with write_tx(depot_db) as tx:
        july = replace(RATE, valid_from=datetime(2026, 7, 1, tzinfo=UTC).date(), base_cents=9900, per_unit_cents=0)
        payers.add_rate(tx, cast.payer, july, NOON)
        payers.add_rate(tx, cast.payer, replace(july, level=LevelOfService.stretcher, base_cents=1), NOON)
        id = new_trip(tx, at)
        ride(tx, id, at, at + 5 * MINUTE)
        trips.change(tx, id, at, trail_closed_at=times.text(at))
    assert bill(depot_db, id, depot, at)["total_cents"] == 9900


def test_waiting_is_from_the_arrival_to_boarding(depot_db: Database, trip: int, cast: Cast, depot: Settings) -> None:
    depot_db.conn.execute("UPDATE rates SET wait_per_min_cents = 50, free_wait_min = 4")
    assert bill(depot_db, trip, depot)["total_cents"] == 1500 + 42 * 20 + 6 * 50


def test_boarding_before_the_arrival_is_no_wait(depot_db: Database, trip: int, depot: Settings) -> None:
    depot_db.conn.execute("UPDATE rates SET wait_per_min_cents = 50")
    depot_db.conn.execute("UPDATE trips SET arrived_pickup_at = ?", (times.text(NOON + 15 * MINUTE),))
    assert bill(depot_db, trip, depot)["total_cents"] == 1500 + 42 * 20


def test_the_document_is_all_that_the_invoice_shows_and_stays_as_it_was(
    depot_db: Database, trip: int, depot: Settings
) -> None:
    bill(depot_db, trip, depot)
    depot_db.conn.execute("UPDATE payers SET name = 'Renamed', address = 'Moved'")
    document = json.loads(only(depot_db, "invoices")["document"])
    assert document["issuer"] == {
        "name": "Test Patient Transport Ltd", "address": "1 Test Yard", "tax_id": "GB 1", "bank_details": "Test Bank 1",
    }  # fmt: skip
    assert document["payer"] == {"name": "County Care", "address": ""}
    assert document["trip"] == {
        "reference": "R-1", "pickup": "2026-01-26T12:00+00:00", "from": "12 Utting Avenue", "to": "Royal Hospital",
        "level": "ambulatory", "patient": "Ada Marsh", "distance": "4.2 km",
    }  # fmt: skip
    assert [(line["kind"], line["quantity"], line["amount_cents"]) for line in document["lines"]] == [
        ("base", "1", 1500), ("distance", "4.2", 840),
    ]  # fmt: skip
    assert (document["total_cents"], document["tax_cents"]) == (2340, 0)
    assert (document["number"], document["issued_on"], document["due_on"]) == (
        "LIV-2026-A000001", "2026-01-26", "2026-02-09",
    )  # fmt: skip


def test_the_lines_are_rows_and_add_up(depot_db: Database, trip: int, depot: Settings) -> None:
    depot_db.conn.execute("UPDATE rates SET tax_bp = 2000")
    total = bill(depot_db, trip, depot)["total_cents"]
    found = rows(depot_db, "SELECT kind, amount_cents FROM invoice_lines ORDER BY position")
    assert [one["kind"] for one in found] == ["base", "distance", "tax"]
    assert sum(one["amount_cents"] for one in found) == total == 2340 + 468
    assert only(depot_db, "invoices")["tax_cents"] == 468


def test_a_void_invoice_is_replaced_and_the_new_one_names_it(depot_db: Database, trip: int, depot: Settings) -> None:
    first = bill(depot_db, trip, depot)
    depot_db.conn.execute("UPDATE invoices SET state = 'void'")
    second = bill(depot_db, trip, depot)
    assert second["number"] == "LIV-2026-A000002"
    found = row(depot_db, "SELECT replaces_id FROM invoices WHERE id = ?", second["invoice_id"])
    assert found == {"replaces_id": first["invoice_id"]}


class TestWhoGetsTheMail:
    def patient(self, db: Database, consents: list[bool], email: str = "ada@example.org") -> str | None:
        with write_tx(db) as tx:
            id = people.add_patient(tx, "Ada Marsh", NOON, email=email)
            payer = payers.add(tx, "Ada Marsh", "patient", NOON, patient_id=id, email=email)
            for given in consents:
                people.record_consent(tx, id, given, "ann", NOON)
            found = payers.get(tx, payer)
            assert found is not None
            return billing.recipient(tx, found)

    @pytest.mark.parametrize("consents", [[], [False], [True, False]])
    def test_a_patient_without_consent_is_printed(self, depot_db: Database, consents: list[bool]) -> None:
        assert self.patient(depot_db, consents) is None

    def test_a_patient_who_agreed_at_last_is_mailed(self, depot_db: Database) -> None:
        assert self.patient(depot_db, [False, True]) == "ada@example.org"

    def test_a_patient_who_agreed_but_has_no_address_is_printed(self, depot_db: Database) -> None:
        assert self.patient(depot_db, [True], email="") is None

    def test_a_broker_needs_no_consent(self, depot_db: Database, cast: Cast) -> None:
        with write_tx(depot_db) as tx:
            assert billing.recipient(tx, payers.get(tx, cast.payer) or {}) == "bills@county.example"

    def test_who_wants_paper_gets_paper(self, depot_db: Database, cast: Cast) -> None:
        depot_db.conn.execute("UPDATE payers SET delivery = 'print'")
        with write_tx(depot_db) as tx:
            assert billing.recipient(tx, payers.get(tx, cast.payer) or {}) is None
