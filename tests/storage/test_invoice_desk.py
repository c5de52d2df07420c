"""What a person decides about invoices: what is unbilled and why, asking again, making one void."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest
from sqlite_utils import Database

from appliance import billing, completion, dispatch, invoice_desk, invoice_mail
from appliance.config import Settings
from appliance.domain.trail import Trail
from appliance.domain.trip import Event
from appliance.errors import Busy, InputError, NotFound, Refused
from appliance.storage import invoices, jobs, ledger, payers, reminders, trips, users
from appliance.storage.db import row, rows, value, write_tx
from appliance.storage.ledger import Which
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
        assert invoice_desk.ask_again(tx, trip, "ann", NOON).name == "billing.tasks.generate_invoice"


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
        invoice_desk.ask_again(tx, trip, "ann", NOON)
    with pytest.raises(NotFound), write_tx(depot_db) as tx:
        invoice_desk.ask_again(tx, 99, "ann", NOON)


def test_a_void_invoice_stays_so_when_its_trip_is_measured_again(
    depot_db: Database, trip: int, depot: Settings
) -> None:
    """A late fix closes the trip anew, and nobody has asked for another invoice."""
    bill(depot_db, trip, depot)
    void(depot_db, 1)
    measured = Trail(distance_m=4300.0, duration_s=1200.0, stops=0, fixes=100, outliers=0, completeness=1.0)
    with write_tx(depot_db) as tx:
        assert completion.close(tx, trip, measured, depot, NOON).asks == []
    assert reasons(depot_db, depot) == {trip: "voided"}


def test_a_reopened_trip_is_billed_by_its_new_measure_only(depot_db: Database, trip: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE jobs SET state = 'done'")
        assert dispatch.apply(tx, trip, Event.reopen, at=NOON, now=NOON, source="dispatcher", who="ann").accepted
        say(tx, trip, Event.completed, NOON + timedelta(hours=1))
    found = trips.get(depot_db, trip)
    assert found is not None
    assert (found["distance_m"], found["trail_closed_at"]) == (None, None)
    with pytest.raises(Busy, match="not closed yet"):
        bill(depot_db, trip, depot)


def test_a_purged_closing_is_said_and_asked_for_again(depot_db: Database, trip: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        trips.change(tx, trip, NOON, distance_m=None)
        tx.conn.execute("UPDATE jobs SET state = 'discarded'")
    assert reasons(depot_db, depot) == {trip: "job_discarded"}
    with write_tx(depot_db) as tx:
        assert invoice_desk.ask_again(tx, trip, "ann", NOON).name == "trips.tasks.process_trip_completion"
    assert reasons(depot_db, depot) == {trip: "waiting"}


def test_an_invoice_whose_mail_was_purged_is_listed_and_sent(
    depot_db: Database, trip: int, depot: Settings, cast: Cast
) -> None:
    bill(depot_db, trip, depot)
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE jobs SET state = 'discarded'")
    assert [one["id"] for one in ledger.invoices(depot_db, Which(delivery="none"), 10, 0)[0]] == [1]
    with write_tx(depot_db) as tx:
        assert invoice_desk.send(tx, 1, "ann", NOON).name == "billing.tasks.send_invoice_email"
        invoices.mark_print_listed(tx, 1, NOON)
        payers.change(tx, cast.payer, NOON, delivery="print")
        with pytest.raises(Refused, match="on the print list already"):
            invoice_desk.send(tx, 1, "ann", NOON)
    assert [one["id"] for one in ledger.invoices(depot_db, Which(delivery="print"), 10, 0)[0]] == [1]


def test_payments_in_part_and_in_full_and_a_returned_one(depot_db: Database, trip: int, depot: Settings) -> None:
    bill(depot_db, trip, depot)
    total = int(value(depot_db, "SELECT total_cents FROM invoices"))

    def pay(cents: int) -> object:
        with write_tx(depot_db) as tx:
            return invoice_desk.pay(tx, 1, cents, NOON.date(), "bank", "ann", NOON, today=NOON.date()).data["state"]

    assert pay(1000) == "issued"
    assert pay(total - 1000) == "paid"
    assert pay(-1000) == "issued"
    assert [one["owed_cents"] for one in invoices.unpaid(depot_db)] == [1000]
    kinds = [one["kind"] for one in rows(depot_db, "SELECT kind FROM sync_log WHERE stream = 'invoices' ORDER BY seq")]
    assert kinds == ["issued", "payment", "payment", "paid", "payment", "unpaid"]
    for wrong in (0, 10**13):
        with pytest.raises(InputError):
            pay(wrong)


def test_an_invoice_that_takes_the_place_of_another_may_have_been_paid_before_its_own_day(
    depot_db: Database, trip: int, depot: Settings
) -> None:
    bill(depot_db, trip, depot)
    later = NOON + timedelta(days=9)
    with write_tx(depot_db) as tx:
        invoice_desk.void(tx, 1, "wrong address", replace=True, who="ann", now=later)
        id = billing.generate(tx, trip, depot, later)[0]["invoice_id"]
        with pytest.raises(InputError, match="when it was issued"):
            invoice_desk.pay(tx, id, 100, NOON.date() - timedelta(days=1), "", "ann", later, today=later.date())
        invoice_desk.pay(tx, id, 100, NOON.date(), "", "ann", later, today=later.date())
    assert invoices.paid_cents(depot_db, id) == 100


def test_a_dispute_stops_reminders_until_it_is_settled(depot_db: Database, trip: int, depot: Settings) -> None:
    bill(depot_db, trip, depot)
    with write_tx(depot_db) as tx:
        assert invoice_desk.dispute(tx, 1, "no ride", "ann", NOON).data["state"] == "disputed"
    assert invoices.unpaid(depot_db) == []
    with pytest.raises(Refused, match="it is disputed"), write_tx(depot_db) as tx:
        invoice_desk.dispute(tx, 1, "no ride", "ann", NOON)
    with write_tx(depot_db) as tx:
        assert invoice_desk.settle(tx, 1, "ann", NOON).data["state"] == "issued"
    assert len(invoices.unpaid(depot_db)) == 1


def test_a_trip_that_goes_on_is_neither_released_nor_billed(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx)
    for decide in (invoice_desk.release, invoice_desk.ask_again):
        with pytest.raises(Refused, match="it is assigned"), write_tx(depot_db) as tx:
            decide(tx, id, "ann", NOON)


def test_patients_on_board_at_the_same_time_share_the_distance(
    depot_db: Database, trip: int, depot: Settings, cast: Cast
) -> None:
    with write_tx(depot_db) as tx:
        other = new_trip(tx, ref="R-2")
        ride(tx, other, NOON + timedelta(minutes=15), NOON + timedelta(minutes=30))
        later = new_trip(tx, ref="R-3")
        ride(tx, later, NOON + timedelta(minutes=30), NOON + timedelta(minutes=40))
    bill(depot_db, trip, depot)
    assert value(depot_db, "SELECT text FROM invoice_lines WHERE kind = 'distance'").startswith("Distance, shared by 2")


def test_users_are_told_of_completed_and_unbillable_trips_once(depot_db: Database, trip: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        users.add(tx, "d@example.org", "Dan", "dispatcher", NOON)
        users.add(tx, "b@example.org", "Bea", "biller", NOON)
        tx.conn.execute("DELETE FROM rates")
    measured = Trail(distance_m=4300.0, duration_s=1200.0, stops=0, fixes=100, outliers=0, completeness=0.9)
    for _ in range(2):
        with write_tx(depot_db) as tx:
            completion.close(tx, trip, measured, depot, NOON)
        bill(depot_db, trip, depot)
    told = rows(
        depot_db, "SELECT email, type, message FROM notifications JOIN users ON users.id = user_id ORDER BY type"
    )
    assert [(one["email"], one["type"]) for one in told] == [
        ("d@example.org", "trip_completed"), ("b@example.org", "trip_unbilled"),
    ]  # fmt: skip
    assert told[0]["message"] == f"Trip {trip} is completed: 4.3 km, 90% of the time covered."
