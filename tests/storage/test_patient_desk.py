"""Patients: who looked at and changed a record is known; who was erased is gone from everything that may be changed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlite_utils import Database

from appliance import billing, jobs, mailer, patient_desk, payer_desk
from appliance.config import Settings
from appliance.domain.trip import Event
from appliance.errors import InputError, NotFound, Refused
from appliance.patient_desk import PatientDetails
from appliance.payer_desk import NewPayer, PayerDetails
from appliance.storage import invoices, mails, notifications, payers, people, trips, users
from appliance.storage.db import Row, rows, value, write_tx
from tests.cast import NOON, Cast, issue, new_trip, ride, say

NAME, HOME, PHONE, EMAIL = "Zyxquilla Quorvé", "77 Unmistakable Lane", "+44 151 496 0177", "zq-mail@example.org"
MARKS = ("Zyxquilla", "Zyx-7", "Quorv", "Unmistakable", "496 0177", "zq-mail")
DETAILS = PatientDetails(name=NAME, address=HOME, phone=PHONE, email=EMAIL, needs="Zyx-7 oxygen")


@pytest.fixture
def patient(depot_db: Database, cast: Cast) -> int:
    with write_tx(depot_db) as tx:
        return patient_desk.add(tx, DETAILS, who="ann", now=NOON)


def audited(db: Database) -> list[tuple[str, str]]:
    found = rows(db, "SELECT action, detail FROM audit_log WHERE subject = 'patient' ORDER BY id")
    return [(one["action"], one["detail"]) for one in found]


def searched(db: Database, query: str) -> list[Row]:
    with write_tx(db) as tx:
        return patient_desk.search(tx, query, who="ann", now=NOON)[0]


def change(db: Database, id: int, **given: str) -> None:
    with write_tx(db) as tx:
        patient_desk.change(tx, id, PatientDetails(**given), who="ann", now=NOON)


def test_every_view_and_change_is_in_the_audit_log_and_no_name_is(depot_db: Database, patient: int) -> None:
    with write_tx(depot_db) as tx:
        assert patient_desk.view(tx, patient, who="bea", now=NOON)["email_consent"] is False
        patient_desk.consent(tx, patient, True, who="ann", now=NOON)
    assert [one["email_consent"] for one in searched(depot_db, "QUORVÉ lane")] == [True]
    assert searched(depot_db, "quorvé street") == []
    change(depot_db, patient, phone="+44 1", email=EMAIL)
    assert audited(depot_db) == [
        ("patient.added", ""), ("patient.viewed", ""), ("patient.consent", "given"), ("patient.viewed", "search"),
        ("patient.changed", "phone"),
    ]  # fmt: skip
    logs = str(rows(depot_db, "SELECT * FROM audit_log")) + str(rows(depot_db, "SELECT * FROM sync_log"))
    assert not [mark for mark in MARKS if mark in logs]


def test_two_patients_of_one_name_are_refused_because_trips_know_them_by_it(depot_db: Database, patient: int) -> None:
    with write_tx(depot_db) as tx:
        other = patient_desk.add(tx, PatientDetails(name="Ada Marsh"), who="ann", now=NOON)
    for attempt in (lambda tx: patient_desk.add(tx, DETAILS, who="ann", now=NOON),
                    lambda tx: patient_desk.change(tx, other, DETAILS, who="ann", now=NOON)):  # fmt: skip
        with pytest.raises(InputError, match="already a patient"), write_tx(depot_db) as tx:
            attempt(tx)
    with pytest.raises(NotFound):
        change(depot_db, 99, phone="1")


def test_a_name_in_other_capitals_is_the_same_and_can_be_corrected(depot_db: Database, patient: int) -> None:
    with pytest.raises(InputError, match="already a patient"), write_tx(depot_db) as tx:
        patient_desk.add(tx, PatientDetails(name=NAME.upper()), who="ann", now=NOON)
    change(depot_db, patient, name=NAME.upper())
    assert value(depot_db, "SELECT name FROM patients WHERE id = ?", patient) == NAME.upper()


def test_a_patient_who_pays_is_billed_under_the_new_name(depot_db: Database, patient: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        payer, _ = payer_desk.add(tx, NewPayer(kind="patient", patient_id=patient), depot, who="ann", now=NOON)
        payer_desk.change(tx, payer, PayerDetails(address="The son's address"), who="ann", now=NOON)
    change(depot_db, patient, name="Ada Marsh", address="5 Sandy Lane", email="ada@example.org")
    found = payers.get(depot_db, payer)
    assert found is not None
    assert (found["name"], found["address"], found["email"]) == ("Ada Marsh", "The son's address", "ada@example.org")


def test_an_erased_patient_is_in_no_file_of_the_box(depot_db: Database, patient: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        user = users.add(tx, "bea@example.org", "Bea", "biller", NOON)
        trip = new_trip(tx, patient=NAME, payer=None, pickup_address=HOME, pickup_lat=53.4, pickup_lon=-2.9)
        assert say(tx, trip, Event.cancel, NOON).accepted
        payer, _ = payer_desk.add(tx, NewPayer(kind="patient", patient_id=patient), depot, who="ann", now=NOON)
        patient_desk.consent(tx, patient, True, who="ann", now=NOON)
        key = f"completed:{trip}"
        notifications.add(tx, user, "note", f"{NAME} called from {PHONE}.", key, NOON)
        notifications.add(tx, user, "note", " ".join([NAME] * 1000), f"unbilled:{trip}:x", NOON)  # pages become free
        job = jobs.enqueue(tx, "billing.tasks.generate_invoice", now=NOON, trip_id=trip, note=f"Call {NAME}")
        message_id = mailer.message_id("invoice", "uid", depot)
        mails.mark_sending(tx, kind="invoice", key="uid", message_id=message_id, recipient=EMAIL.upper(),
                           subject="Invoice", job_id=job.id, now=NOON)  # fmt: skip
    mail = mailer.message(
        settings=depot, message_id=message_id, recipient=EMAIL, subject="Invoice", text=f"Dear {NAME}", date=NOON
    )
    mailer.send(depot, mail)
    assert left(depot)
    assert patient_desk.erase(depot_db, depot, patient, who="ann", now=NOON) == []
    assert left(depot) == []
    assert value(depot_db, "SELECT message FROM notifications WHERE key = ?", key) == "(erased) called from (erased)."
    arguments = value(depot_db, "SELECT arguments FROM jobs WHERE id = ?", job.id)
    assert arguments == f'{{"trip_id": {trip}, "note": "Call (erased)"}}'
    kept = trips.get(depot_db, trip)
    assert kept is not None
    assert (kept["pickup_address"], kept["pickup_lat"], kept["patient_id"]) == ("(erased)", None, patient)
    found = payers.get(depot_db, payer)
    assert found is not None
    assert (found["name"], found["email"], found["delivery"]) == ("(erased)", "", "print")
    assert not people.consents_to_email(depot_db, patient)
    assert audited(depot_db)[-1] == ("patient.erased", "")
    with pytest.raises(Refused, match="was erased"):
        patient_desk.erase(depot_db, depot, patient, who="ann", now=NOON)
    with pytest.raises(Refused, match="was erased"):
        change(depot_db, patient, phone="1")
    assert searched(depot_db, "") == []


def left(depot: Settings) -> list[str]:
    """The files of the box in which something of the patient stands."""
    files = [file for file in depot.paths.data_dir.rglob("*") if file.is_file()]
    return [file.name for file in files if any(mark.encode() in file.read_bytes() for mark in MARKS)]


def test_an_invoice_keeps_what_it_showed(depot_db: Database, patient: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        trip = new_trip(tx, patient=NAME, pickup_address=HOME)
        ride(tx, trip, NOON, NOON + timedelta(minutes=20))
        trips.change(tx, trip, NOON, distance_m=4210.0)
    with pytest.raises(Refused, match=f"trip {trip} waits for its invoice"):
        patient_desk.erase(depot_db, depot, patient, who="ann", now=NOON)
    with write_tx(depot_db) as tx:
        billing.generate(tx, trip, depot, NOON)
    before = value(depot_db, "SELECT document FROM invoices")
    patient_desk.erase(depot_db, depot, patient, who="ann", now=NOON)
    assert value(depot_db, "SELECT document FROM invoices") == before
    assert HOME in before


def test_a_patient_with_a_trip_ahead_is_not_erased(depot_db: Database, patient: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        trip = new_trip(tx, patient=NAME)
    with pytest.raises(Refused, match=f"trip {trip} is assigned"):
        patient_desk.erase(depot_db, depot, patient, who="ann", now=NOON)
    assert value(depot_db, "SELECT name FROM patients WHERE id = ?", patient) == NAME


def test_a_name_that_is_a_word_takes_nothing_from_others(depot_db: Database, cast: Cast, depot: Settings) -> None:
    """Trip and 2 stand in most of what the box says."""
    with write_tx(depot_db) as tx:
        user = users.add(tx, "bea@example.org", "Bea", "biller", NOON)
        patient = patient_desk.add(tx, PatientDetails(name="Trip Marsh", phone="2"), who="ann", now=NOON)
        own, other = (new_trip(tx, patient=name) for name in ("Trip Marsh", "Edith Marlowe"))
        for trip, note in ((own, "Mrs Marsh rings twice, 2 flats"), (other, "Trip Marsh is her neighbour")):
            assert say(tx, trip, Event.cancel, NOON, note=note).accepted
        invoice = issue(tx, cast, other)
        invoices.add_payment(tx, invoice, 100, NOON.date(), "Marsh giro 2", "ann", NOON)
        for trip in (own, other):
            notifications.add(tx, user, "note", f"Trip {trip} is over. Trip Marsh, 2.", f"completed:{trip}", NOON)
        job = jobs.enqueue(tx, "billing.tasks.generate_invoice", now=NOON, trip_id=own, count=2, note="trip marsh, 2")
    found = patient_desk.erase(depot_db, depot, patient, who="ann", now=NOON)
    notes = rows(depot_db, "SELECT note FROM trip_events WHERE event = 'cancel' ORDER BY id")
    assert [one["note"] for one in notes] == ["Mrs (erased) rings twice, 2 flats", "Trip Marsh is her neighbour"]
    assert value(depot_db, "SELECT reference FROM payments") == "Marsh giro 2"
    assert [one["message"] for one in rows(depot_db, "SELECT message FROM notifications ORDER BY id")] == [
        f"Trip {own} is over. (erased), 2.", f"Trip {other} is over. Trip Marsh, 2."
    ]  # fmt: skip
    assert value(depot_db, "SELECT arguments FROM jobs WHERE id = ?", job.id) == (
        f'{{"trip_id": {own}, "count": 2, "note": "(erased), 2"}}'
    )
    told = {one.title: (one.count, one.about) for one in found}
    assert told["notes of what happened to a trip"] == (1, [f"trip {other}"])
    assert told["references of payments"] == (1, [value(depot_db, "SELECT number FROM invoices")])
    assert told["notifications"] == (2, ["notification 1", "notification 2"])


def test_a_mail_to_an_address_that_two_share_stays_unless_it_is_about_the_patient(
    depot_db: Database, cast: Cast, depot: Settings
) -> None:
    home = "office@care-home.example"
    with write_tx(depot_db) as tx:
        patient = patient_desk.add(tx, PatientDetails(name="Ada Marsh", email=home), who="ann", now=NOON)
        patient_desk.add(tx, PatientDetails(name="Edith Marlowe", email=home), who="ann", now=NOON)
        ids = {}
        for name in ("Ada Marsh", "Edith Marlowe"):
            trip = new_trip(tx, patient=name)
            assert say(tx, trip, Event.cancel, NOON).accepted
            uid = value(tx, "SELECT uid FROM invoices WHERE id = ?", issue(tx, cast, trip))
            message_id = mailer.message_id("reminder", uid, depot)
            ids[name] = mails.mark_sending(tx, kind="reminder", key=f"{uid}.30", message_id=message_id, recipient=home,
                                           subject="Reminder", job_id="j", now=NOON)  # fmt: skip
    patient_desk.erase(depot_db, depot, patient, who="ann", now=NOON)
    told = {one["id"]: one["recipient"] for one in rows(depot_db, "SELECT id, recipient FROM mails")}
    assert told == {ids["Ada Marsh"]: "(erased)", ids["Edith Marlowe"]: home}
