"""Mailing an invoice once: what is mailed, what goes on the print list, and what a crash in the middle leaves."""

from __future__ import annotations

import email
import email.policy
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from sqlite_utils import Database

from appliance import billing, config, dispatch, invoice_desk, invoice_mail, jobs, post
from appliance.config import Settings
from appliance.dispatch import NewTrip
from appliance.domain.fare import Rate
from appliance.domain.trip import Event, LevelOfService
from appliance.errors import Busy, NotFound, Permanent, Transient
from appliance.storage import invoices, mails, payers, people, trips, vehicles
from appliance.storage import jobs as job_rows
from appliance.storage.db import open_depot, write_tx
from appliance.storage.migrations import migrate

NOW = datetime(2026, 1, 27, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
PATIENT, HOME, CLINIC = "Margaret O'Neill", "12 Acacia Avenue", "Royal Hospital"


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    made = config.load(environ={
        "DEPOTBOX_STORAGE__DATA_DIR": str(data_dir),
        "DEPOTBOX_DEPOT__CODE": "LIV",
        "DEPOTBOX_DEPOT__TIMEZONE": "Europe/London",
        "DEPOTBOX_DEPOT__LEGAL_NAME": "Liverpool Patient Transport Ltd",
        "DEPOTBOX_DEPOT__ADDRESS": "1 Example Yard",
        "DEPOTBOX_DEPOT__TAX_ID": "GB 123",
        "DEPOTBOX_DEPOT__BANK_DETAILS": "Example Bank 12-34-56",
        "DEPOTBOX_CLOCK__TRUST": "system",
    })  # fmt: skip
    made.paths.prepare()
    return made


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    migrate(settings.paths.depot_db)
    opened = open_depot(settings.paths.depot_db)
    yield opened
    opened.conn.close()


def issue(db: Database, settings: Settings, *, consent: bool = False, **payer: Any) -> int:
    """An invoice for a driven trip; its payer is a broker with a mail address unless the test says otherwise."""
    given: dict[str, Any] = {"kind": "broker", "email": "bills@broker.example"} | payer
    with write_tx(db) as tx:
        vehicles.add(tx, "V1", NOW)
        if given["kind"] == "patient":
            given["patient_id"] = people.add_patient(tx, PATIENT, NOW)
            people.record_consent(tx, given["patient_id"], consent, "test", NOW)
        payer_id = payers.add(tx, PATIENT if given["kind"] == "patient" else "Care Broker", now=NOW, **given)
        rate = Rate(LevelOfService.ambulatory, date(2026, 1, 1), None, base_cents=4500, per_unit_cents=0, tax_bp=2000)
        payers.add_rate(tx, payer_id, rate, NOW)
        trip = NewTrip(
            pickup_at=NOW - timedelta(days=1), pickup_address=HOME, dropoff_address=CLINIC, vehicle="V1",
            patient=PATIENT, payer=None if given["kind"] == "patient" else "Care Broker",
        )  # fmt: skip
        trip_id = dispatch.create_trip(tx, trip, now=NOW, who="test").id
        for event in (Event.on_board, Event.arrived_dropoff, Event.completed):
            assert dispatch.apply(tx, trip_id, event, at=NOW, now=NOW, source="driver", who="test").accepted
        trips.change(tx, trip_id, NOW, distance_m=5000.0)
        answer, _, _ = billing.generate(tx, trip_id, settings, NOW)
    return int(answer["invoice_id"])


def prepare(
    db: Database, invoice_id: int, settings: Settings, job: str = "job-1", copy: int = 0
) -> invoice_mail.Letter | None:
    with write_tx(db) as tx:
        return invoice_mail.prepare(tx, invoice_id, settings, NOW, job, copy)


def letter_of(db: Database, invoice_id: int, settings: Settings) -> invoice_mail.Letter:
    letter = prepare(db, invoice_id, settings)
    assert letter is not None
    return letter


def invoice(db: Database, invoice_id: int) -> dict[str, Any]:
    found = invoices.get(db, invoice_id)
    assert found is not None
    return found


def mail(db: Database, invoice_id: int) -> dict[str, Any]:
    found = mails.find(db, "invoice", invoice(db, invoice_id)["uid"])
    assert found is not None
    return found


def test_the_row_says_sending_before_anything_is_sent(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings)
    letter = letter_of(db, invoice_id, settings)
    assert letter.recipient == "bills@broker.example"
    assert letter.subject == "Invoice LIV-2026-A000001 from Liverpool Patient Transport Ltd"
    assert letter.document["number"] == "LIV-2026-A000001"
    assert (mail(db, invoice_id)["state"], mail(db, invoice_id)["attempts"]) == ("sending", 1)
    assert invoice(db, invoice_id)["sent_at"] is None


def test_a_delivered_letter_is_never_prepared_again(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings)
    letter = letter_of(db, invoice_id, settings)
    with write_tx(db) as tx:
        invoice_mail.delivered(tx, letter, LATER)
    assert mail(db, invoice_id)["state"] == "sent"
    assert invoice(db, invoice_id)["sent_at"] == "2026-01-27T09:35:00.000Z"
    assert prepare(db, invoice_id, settings) is None


def test_a_copy_goes_out_once_as_a_mail_of_its_own(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings)
    first = letter_of(db, invoice_id, settings)
    with write_tx(db) as tx:
        invoice_mail.delivered(tx, first, NOW)
        payers.change(tx, invoice(db, invoice_id)["payer_id"], NOW, email="new@broker.example")
        tx.conn.execute("UPDATE jobs SET state = 'done'")
    with write_tx(db) as tx:
        ask = invoice_desk.send(tx, invoice_id, "ann", NOW)
        assert invoice_desk.send(tx, invoice_id, "ann", NOW) == ask
    asked = job_rows.get(db, ask.id)
    assert asked is not None
    assert json.loads(asked["arguments"]) == {"invoice_id": invoice_id, "copy": 1}
    copy = prepare(db, invoice_id, settings, "job-2", 1)
    assert copy is not None
    assert (copy.recipient, copy.subject[:23]) == ("new@broker.example", "Copy of invoice LIV-202")
    assert copy.message_id != first.message_id
    with write_tx(db) as tx:
        invoice_mail.delivered(tx, copy, LATER)
    assert prepare(db, invoice_id, settings, "job-2", 1) is None
    assert invoice(db, invoice_id)["sent_at"] == "2026-01-27T09:30:00.000Z"
    assert mails.copies(db, "invoice", invoice(db, invoice_id)["uid"]) == 1


def test_a_printed_invoice_goes_on_the_print_list_again_when_asked_for(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings, delivery="print")
    assert prepare(db, invoice_id, settings) is None
    with write_tx(db) as tx:
        tx.conn.execute("UPDATE jobs SET state = 'done'")
        assert invoices.mark_printed(tx, invoice_id, NOW)
        assert not invoices.mark_printed(tx, invoice_id, NOW)
        invoice_desk.send(tx, invoice_id, "ann", NOW)
    assert prepare(db, invoice_id, settings) is None
    assert invoice(db, invoice_id)["printed_at"] is not None
    assert prepare(db, invoice_id, settings, "job-2", 1) is None
    assert invoice(db, invoice_id)["printed_at"] is None


def test_what_is_mailed_after_all_need_not_be_printed(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings, delivery="print")
    assert prepare(db, invoice_id, settings) is None
    with write_tx(db) as tx:
        payers.change(tx, invoice(db, invoice_id)["payer_id"], NOW, delivery="mail")
    letter = prepare(db, invoice_id, settings, "job-2", 1)
    assert letter is not None
    with write_tx(db) as tx:
        invoice_mail.delivered(tx, letter, LATER)
    assert invoice(db, invoice_id)["print_listed_at"] is None


def test_after_a_crash_while_sending_the_same_message_goes_out_again(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings)
    first = letter_of(db, invoice_id, settings)
    assert letter_of(db, invoice_id, settings) == first
    assert mail(db, invoice_id)["attempts"] == 2


def test_a_failed_letter_is_tried_again_and_a_parked_one_when_a_person_asks(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings)
    for error, state in ((Transient("greylisted"), "pending"), (Permanent("no such user"), "parked")):
        letter = letter_of(db, invoice_id, settings)
        with write_tx(db) as tx:
            post.failed(tx, letter, error)
        assert (mail(db, invoice_id)["state"], mail(db, invoice_id)["last_error"]) == (state, str(error))
    assert letter_of(db, invoice_id, settings).message_id == letter.message_id


def test_two_jobs_do_not_send_the_same_mail_at_once(db: Database, settings: Settings) -> None:
    """While one job that runs is sending it, the other is told to come back."""
    invoice_id = issue(db, settings)
    with write_tx(db) as tx:
        jobs.enqueue(tx, "billing.tasks.send_invoice_email", now=NOW, id="job-1", invoice_id=invoice_id)
        assert job_rows.claim(tx, "job-1", "worker", NOW)
    assert prepare(db, invoice_id, settings, "job-1")
    with pytest.raises(Busy):
        prepare(db, invoice_id, settings, "job-2")
    with write_tx(db) as tx:
        assert job_rows.wait(tx, "job-1", 1, NOW, "the worker died", failures=1)
    assert prepare(db, invoice_id, settings, "job-2")


def test_an_address_corrected_at_the_payer_is_used_for_the_next_try(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings)
    first = letter_of(db, invoice_id, settings)
    db.conn.execute("UPDATE payers SET email = 'new@broker.example'")
    second = letter_of(db, invoice_id, settings)
    assert second.recipient == mail(db, invoice_id)["recipient"] == "new@broker.example"
    assert second.message_id == first.message_id


def test_a_void_invoice_is_not_mailed(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings)
    db.conn.execute("UPDATE invoices SET state = 'void'")
    assert prepare(db, invoice_id, settings) is None
    assert mails.find(db, "invoice", invoice(db, invoice_id)["uid"]) is None


@pytest.mark.parametrize(
    ("payer", "consent"),
    [({"delivery": "print"}, False), ({"email": ""}, False), ({"kind": "patient"}, False)],
    ids=["payer wants print", "no address", "patient without consent"],
)
def test_what_may_not_be_mailed_goes_on_the_print_list_once(
    db: Database, settings: Settings, payer: dict[str, Any], consent: bool
) -> None:
    invoice_id = issue(db, settings, consent=consent, **payer)
    assert prepare(db, invoice_id, settings) is None
    assert prepare(db, invoice_id, settings) is None
    assert invoice(db, invoice_id)["print_listed_at"]
    assert mails.find(db, "invoice", invoice(db, invoice_id)["uid"]) is None
    (logged,) = db.query("SELECT count(*) AS n FROM sync_log WHERE kind = 'print_listed'")
    assert logged["n"] == 1


def test_a_patient_with_recorded_consent_gets_mail(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings, consent=True, kind="patient", email="margaret@home.example")
    assert letter_of(db, invoice_id, settings).recipient == "margaret@home.example"


def test_a_payer_who_wants_print_now_gets_no_second_try_by_mail(db: Database, settings: Settings) -> None:
    invoice_id = issue(db, settings)
    letter_of(db, invoice_id, settings)
    db.conn.execute("UPDATE payers SET delivery = 'print'")
    assert prepare(db, invoice_id, settings) is None
    assert invoice(db, invoice_id)["print_listed_at"]
    assert mail(db, invoice_id)["state"] == "parked"


def test_an_unknown_invoice_is_an_error(db: Database, settings: Settings) -> None:
    with pytest.raises(NotFound, match="invoice 99"):
        prepare(db, 99, settings)


def test_what_is_delivered_is_the_invoice_and_no_more_about_the_patient_than_that(
    db: Database, settings: Settings
) -> None:
    invoice_id = issue(db, settings)
    letter = letter_of(db, invoice_id, settings)
    invoice_mail.deliver(letter, settings)
    invoice_mail.deliver(letter, settings)
    (file,) = settings.outbox_dir.iterdir()
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body()
    assert body is not None
    text = body.get_content()
    for expected in ("LIV-2026-A000001", "GBP 54.00", "26 February 2026", "27 January 2026"):
        assert expected in text
    assert text.splitlines()[-2:] == ["-- ", "Liverpool Patient Transport Ltd"]
    shown = "\n".join(f"{name}: {value}" for name, value in message.items()) + text
    for kept_back in (PATIENT, "O'Neill", HOME, CLINIC):
        assert kept_back not in shown
    (pdf,) = message.iter_attachments()
    assert pdf.get_filename() == "LIV-2026-A000001.pdf"
    assert "GBP 54.00" in PdfReader(io.BytesIO(pdf.get_content())).pages[0].extract_text()
