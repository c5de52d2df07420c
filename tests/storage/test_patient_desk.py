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
from appliance.storage import mails, notifications, payers, people, trips, users
from appliance.storage.db import Row, rows, value, write_tx
from tests.cast import NOON, Cast, new_trip, ride, say

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
        notifications.add(tx, user, "note", f"{NAME} called from {PHONE}.", "key", NOON)
        notifications.add(tx, user, "note", " ".join([NAME] * 1000), "pages", NOON)  # some pages become free
        job = jobs.enqueue(tx, "users.tasks.send_notification", now=NOON, user_id=user,
                           notification_type="note", message=f"Call {NAME}")  # fmt: skip
        message_id = mailer.message_id("invoice", "uid", depot)
        mails.mark_sending(tx, kind="invoice", key="uid", message_id=message_id, recipient=EMAIL.upper(),
                           subject="Invoice", job_id=job.id, now=NOON)  # fmt: skip
    mail = mailer.message(
        settings=depot, message_id=message_id, recipient=EMAIL, subject="Invoice", text=f"Dear {NAME}", date=NOON
    )
    mailer.send(depot, mail)
    assert left(depot)
    patient_desk.erase(depot_db, depot, patient, who="ann", now=NOON)
    assert left(depot) == []
    assert value(depot_db, "SELECT message FROM notifications WHERE key = 'key'") == "(erased) called from (erased)."
    arguments = value(depot_db, "SELECT arguments FROM jobs WHERE id = ?", job.id)
    assert arguments == f'{{"user_id": {user}, "notification_type": "note", "message": "Call (erased)"}}'
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


def test_a_number_that_looks_like_the_phone_stays_a_number(depot_db: Database, cast: Cast, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        patient = patient_desk.add(tx, PatientDetails(name="Ada Marsh", phone="12"), who="ann", now=NOON)
        job = jobs.enqueue(tx, "billing.tasks.generate_invoice", now=NOON, trip_id=12)
    patient_desk.erase(depot_db, depot, patient, who="ann", now=NOON)
    assert value(depot_db, "SELECT arguments FROM jobs WHERE id = ?", job.id) == '{"trip_id": 12}'
