"""What a person decides about invoices: what is unbilled and why, asking again, making one void."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest
from sqlite_utils import Database

from appliance import billing, dispatch, invoice_desk, invoice_mail
from appliance.config import Settings
from appliance.domain.trip import Event
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import invoices, jobs, payers, reminders, trips
from appliance.storage.db import row, rows, value, write_tx
from tests.cast import NOON, RATE, Cast, issue, new_trip, ride, say


@pytest.fixture
def trip(depot_db: Database, cast: Cast) -> int:
    with write_tx(depot_db) as tx:
        id = new_trip(tx, ref="R-1")
        ride(tx, id, NOON, NOON + timedelta(minutes=20))
        trips.change(tx, id, NOON, distance_m=4210.0)
    return id


def bill(db: Database, trip_id: int, depot: Settings) -> dict[str, object]:
    with write_tx(db) as tx:
        return billing.generate(tx, trip_id, depot, NOON)[0]


def void(db: Database, id: int, *, replace: bool = False, reason: str = "wrong payer") -> list[str]:
    with write_tx(db) as tx:
        return [ask.name for ask in invoice_desk.void(tx, id, reason, replace=replace, who="ann", now=NOON)[0]]


def reasons(db: Database, depot: Settings) -> dict[int, str]:
    return {trip["id"]: trip["reason"] for trip in invoice_desk.unbilled(db, depot)}


def test_a_finished_trip_is_unbilled_until_it_has_an_invoice(depot_db: Database, trip: int, depot: Settings) -> None:
    assert reasons(depot_db, depot) == {trip: "waiting"}
    bill(depot_db, trip, depot)
    assert reasons(depot_db, depot) == {}


def test_an_unbilled_trip_says_why(depot_db: Database, trip: int, depot: Settings) -> None:
    nameless = msgspec.structs.replace(depot, depot=msgspec.structs.replace(depot.depot, legal_name=""))
    bill(depot_db, trip, nameless)
    assert reasons(depot_db, depot) == {trip: "issuer_incomplete"}


def test_a_trip_whose_invoice_job_has_failed_says_so(depot_db: Database, trip: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        ask = dispatch.ask_for_invoice(tx, trip, now=NOON)
        assert jobs.claim(tx, ask.id, "w", NOON)
        assert jobs.fail(tx, ask.id, 1, "OSError: disk", "Traceback", NOON, failures=3)
    assert reasons(depot_db, depot) == {trip: "job_failed"}


def test_while_the_clock_is_not_trusted_that_is_the_reason(
    depot_db: Database, trip: int, depot: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.clock.trusted", lambda _settings: False)
    assert reasons(depot_db, depot) == {trip: "clock_untrusted"}


def test_a_patient_who_pays_is_not_named(depot_db: Database, trip: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        found = trips.get(tx, trip)
        assert found is not None
        payer = payers.add(tx, "Ada Marsh", "patient", NOON, patient_id=found["patient_id"])
        trips.change(tx, trip, NOON, payer_id=payer)
    (found,) = invoice_desk.unbilled(depot_db, depot)
    assert found["payer"] is None


def test_when_the_missing_rate_is_there_the_invoice_is_asked_for(
    depot_db: Database, trip: int, depot: Settings
) -> None:
    with write_tx(depot_db) as tx:
        payer = payers.add(tx, "New Broker", "broker", NOON)
        trips.change(tx, trip, NOON, payer_id=payer)
    assert bill(depot_db, trip, depot) == {"blocked": "no_rate"}
    with write_tx(depot_db) as tx:
        assert invoice_desk.ask_for_unblocked(tx, depot, NOON) == []
        payers.add_rate(tx, payer, RATE, NOON)
        (ask,) = invoice_desk.ask_for_unblocked(tx, depot, NOON)
        assert invoice_desk.ask_for_unblocked(tx, depot, NOON) == [ask]
    found = jobs.get(depot_db, ask.id)
    assert found is not None
    assert (ask.name, json.loads(found["arguments"])) == ("billing.tasks.generate_invoice", {"trip_id": trip})


def test_a_void_invoice_is_replaced_once_by_one_that_names_it(depot_db: Database, trip: int, depot: Settings) -> None:
    first = bill(depot_db, trip, depot)
    assert void(depot_db, 1) == []
    assert reasons(depot_db, depot) == {trip: "voided"}
    second = bill(depot_db, trip, depot)
    assert bill(depot_db, trip, depot) == second
    assert second["number"] != first["number"]
    found = invoices.get(depot_db, 2)
    assert found is not None
    assert found["replaces_id"] == 1
    old = invoices.get(depot_db, 1)
    assert old is not None
    assert (old["state"], old["void_reason"]) == ("void", "wrong payer")


def test_voiding_with_replacement_asks_for_the_new_invoice(depot_db: Database, trip: int, depot: Settings) -> None:
    bill(depot_db, trip, depot)
    assert void(depot_db, 1, replace=True) == ["billing.tasks.generate_invoice"]


def test_a_void_invoice_is_not_billed_again_by_itself(depot_db: Database, trip: int, depot: Settings) -> None:
    bill(depot_db, trip, depot)
    void(depot_db, 1)
    with write_tx(depot_db) as tx:
        assert invoice_desk.ask_for_unblocked(tx, depot, NOON) == []
        assert invoice_desk.ask_again(tx, trip, NOON).name == "billing.tasks.generate_invoice"


def test_nothing_of_a_void_invoice_is_mailed(depot_db: Database, trip: int, depot: Settings) -> None:
    bill(depot_db, trip, depot)
    void(depot_db, 1)
    with write_tx(depot_db) as tx:
        assert invoice_mail.prepare(tx, 1, depot, NOON, "job") is None
    assert reminders.get(depot_db, 1) is None
    assert invoices.unpaid(depot_db) == []


def test_the_centre_and_the_audit_log_learn_of_it(depot_db: Database, trip: int, depot: Settings) -> None:
    bill(depot_db, trip, depot)
    void(depot_db, 1)
    bill(depot_db, trip, depot)
    logged = [
        json.loads(found["snapshot"])
        for found in rows(depot_db, "SELECT snapshot FROM sync_log WHERE stream = 'invoices' ORDER BY seq")
    ]
    assert [(one["state"], one["replaces"]) for one in logged] == [
        ("issued", None), ("void", None), ("issued", "LIV-2026-A000001"),
    ]  # fmt: skip
    found = row(depot_db, "SELECT * FROM audit_log WHERE action = 'invoice.voided'")
    assert found is not None
    assert (found["who"], found["detail"]) == ("ann", "wrong payer")


def test_what_cannot_be_void_is_refused(depot_db: Database, cast: Cast, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
        say(tx, id, Event.cancel, NOON)
        paid = issue(tx, cast, id)
        tx.conn.execute(
            "INSERT INTO payments (uid, invoice_id, amount_cents, paid_on, origin, recorded_by, recorded_at)"
            " VALUES ('P', ?, 100, '2026-01-26', 'depot', 'ann', '')",
            (paid,),
        )
    with pytest.raises(Refused, match="something was paid"):
        void(depot_db, paid)
    with pytest.raises(NotFound, match="no such invoice"):
        void(depot_db, 99)
    with pytest.raises(InputError, match="reason"):
        void(depot_db, paid, reason="  ")
    assert value(depot_db, "SELECT count(*) FROM audit_log WHERE action = 'invoice.voided'") == 0


def test_a_trip_that_is_billed_is_not_asked_for_again(depot_db: Database, trip: int, depot: Settings) -> None:
    bill(depot_db, trip, depot)
    with pytest.raises(Refused, match="LIV-2026-A000001"), write_tx(depot_db) as tx:
        invoice_desk.ask_again(tx, trip, NOON)
    with pytest.raises(NotFound), write_tx(depot_db) as tx:
        invoice_desk.ask_again(tx, 99, NOON)
