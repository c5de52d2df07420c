"""Credit notes: what they take back, what stays as it was, and what is refused."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import msgspec
import pytest
from pypdf import PdfReader
from sqlite_utils import Database

from appliance import credit_desk, credit_mail, credit_pdf, invoice_desk, reminders
from appliance.config import Settings
from appliance.domain.invoice import Bucket
from appliance.errors import InputError, NotFound, Refused, Transient
from appliance.storage import credit_notes, invoices, payers
from appliance.storage.db import row, rows, value, write_tx
from tests.cast import NOON, Cast, issue, new_trip

TOTAL, TAX = 1800, 300


@pytest.fixture
def billed(depot_db: Database, cast: Cast) -> int:
    """An invoice of 18.00, 3.00 of it tax."""
    with write_tx(depot_db) as tx:
        return issue(tx, cast, new_trip(tx), document=DOCUMENT)


DOCUMENT = {
    "payer": {"name": "County Care", "address": "1 Pier Head"},
    "trip": {"reference": "R-1"},
    "lines": [{"kind": "tax", "text": "Tax 20 %"}],
}


def credit(db: Database, invoice_id: int, cents: int, depot: Settings, reason: str = "van was late") -> int:
    with write_tx(db) as tx:
        return credit_desk.issue(tx, invoice_id, cents, reason, depot, who="ann", now=NOON)[0]


def pay(db: Database, invoice_id: int, cents: int) -> None:
    with write_tx(db) as tx:
        invoice_desk.pay(tx, invoice_id, cents, NOON.date(), "", "ann", NOON, today=NOON.date())


def standing(db: Database, invoice_id: int) -> tuple[str, int]:
    found = invoices.get(db, invoice_id)
    assert found is not None
    return found["state"], found["owed_cents"]


def test_a_part_is_taken_back_and_the_invoice_stays_as_it_was(depot_db: Database, billed: int, depot: Settings) -> None:
    before = value(depot_db, "SELECT document || total_cents FROM invoices")
    credit(depot_db, billed, 600, depot)
    assert standing(depot_db, billed) == ("issued", 1200)
    assert value(depot_db, "SELECT document || total_cents FROM invoices") == before
    found = row(depot_db, "SELECT number, amount_cents, tax_cents, reason, issued_by FROM credit_notes")
    assert found == {
        "number": "LIV-2026-CN-A000001", "amount_cents": 600, "tax_cents": 100, "reason": "van was late",
        "issued_by": "ann",
    }  # fmt: skip
    assert value(depot_db, "SELECT detail FROM audit_log WHERE action = 'invoice.credited'").endswith("van was late")


def test_aging_and_reminders_go_by_what_is_left(depot_db: Database, billed: int, depot: Settings) -> None:
    late = NOON + timedelta(days=80)
    credit(depot_db, billed, 600, depot)
    assert reminders.aging(depot_db, depot, late)[Bucket.days_61_90] == (1, 1200)
    credit(depot_db, billed, 1200, depot)
    assert standing(depot_db, billed) == ("credited", 0)
    assert sum(count for count, _ in reminders.aging(depot_db, depot, late).values()) == 0
    assert invoices.unpaid(depot_db) == []


def test_credits_and_payments_together_pay_an_invoice(depot_db: Database, billed: int, depot: Settings) -> None:
    pay(depot_db, billed, 1000)
    credit(depot_db, billed, 800, depot)
    assert standing(depot_db, billed) == ("paid", 0)
    credit(depot_db, billed, 1000, depot)
    assert standing(depot_db, billed) == ("paid", -1000)
    pay(depot_db, billed, -1000)
    assert standing(depot_db, billed) == ("credited", 0)


def test_a_dispute_lasts_while_something_is_owed(depot_db: Database, billed: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        invoice_desk.dispute(tx, billed, "no ride", "ann", NOON)
    credit(depot_db, billed, 600, depot)
    assert standing(depot_db, billed) == ("disputed", 1200)
    credit(depot_db, billed, 1200, depot)
    assert standing(depot_db, billed) == ("credited", 0)


def test_no_more_is_taken_back_than_was_billed(depot_db: Database, billed: int, depot: Settings) -> None:
    credit(depot_db, billed, 600, depot)
    for wrong in (0, -1, 1201):
        with pytest.raises(InputError, match=r"not above GBP 12\.00"):
            credit(depot_db, billed, wrong, depot)
    credit(depot_db, billed, 1200, depot)
    with pytest.raises(Refused, match="all of it is credited already"):
        credit(depot_db, billed, 1, depot)
    assert value(depot_db, "SELECT sum(tax_cents) FROM credit_notes") == TAX


def test_what_cannot_be_credited_says_why(
    depot_db: Database, billed: int, depot: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="reason"):
        credit(depot_db, billed, 100, depot, reason=" ")
    with pytest.raises(NotFound, match="no such invoice"):
        credit(depot_db, 99, 100, depot)
    nameless = msgspec.structs.replace(depot, depot=msgspec.structs.replace(depot.depot, legal_name=""))
    with pytest.raises(Refused, match="legal details"):
        credit(depot_db, billed, 100, nameless)
    with monkeypatch.context() as patch:
        patch.setattr("appliance.clock.trusted", lambda _settings: False)
        with pytest.raises(Transient, match="clock"):
            credit(depot_db, billed, 100, depot)
    with write_tx(depot_db) as tx:
        invoice_desk.void(tx, billed, "wrong payer", replace=False, who="ann", now=NOON)
    with pytest.raises(Refused, match="it is void"):
        credit(depot_db, billed, 100, depot)
    assert value(depot_db, "SELECT count(*) FROM credit_notes") == 0
    assert value(depot_db, "SELECT count(*) FROM invoice_counters WHERE series LIKE 'CN-%'") == 0


def test_an_invoice_with_a_credit_note_is_not_made_void(depot_db: Database, billed: int, depot: Settings) -> None:
    credit(depot_db, billed, 100, depot)
    with pytest.raises(Refused, match="a credit note stands against it"), write_tx(depot_db) as tx:
        invoice_desk.void(tx, billed, "wrong payer", replace=False, who="ann", now=NOON)


def test_the_centre_learns_of_the_credit_and_of_the_state(depot_db: Database, billed: int, depot: Settings) -> None:
    credit(depot_db, billed, TOTAL, depot)
    logged = rows(depot_db, "SELECT kind, snapshot FROM sync_log WHERE stream = 'invoices' ORDER BY seq")
    assert [one["kind"] for one in logged] == ["issued", "credit", "credited"]
    found = json.loads(logged[1]["snapshot"])
    assert (found["invoice"], found["amount_cents"], found["tax_cents"]) == ("LIV-2026-A000001", TOTAL, TAX)


def test_it_is_mailed_once_with_its_number(depot_db: Database, billed: int, depot: Settings) -> None:
    id = credit(depot_db, billed, 600, depot)
    with write_tx(depot_db) as tx:
        letter = credit_mail.prepare(tx, id, depot, NOON, "job")
    assert letter is not None
    assert letter.recipient == "bills@county.example"
    assert letter.subject == "Credit note LIV-2026-CN-A000001 from Test Patient Transport Ltd"
    assert "GBP 6.00" in letter.text
    with write_tx(depot_db) as tx:
        credit_mail.delivered(tx, letter, NOON)
        assert credit_mail.prepare(tx, id, depot, NOON, "job") is None


def test_a_payer_without_mail_gets_it_on_paper(depot_db: Database, cast: Cast, billed: int, depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        payers.change(tx, cast.payer, NOON, delivery="print")
    id = credit(depot_db, billed, 600, depot)
    with write_tx(depot_db) as tx:
        assert credit_mail.prepare(tx, id, depot, NOON, "job") is None
    found = credit_notes.get(depot_db, id)
    assert found is not None
    assert found["print_listed_at"] is not None


def test_the_paper_names_both_numbers_the_reason_and_the_tax(depot_db: Database, billed: int, depot: Settings) -> None:
    found = credit_notes.get(depot_db, credit(depot_db, billed, 600, depot))
    assert found is not None
    pdf = credit_pdf.render(json.loads(found["document"]))
    assert pdf == credit_pdf.render(json.loads(found["document"]))
    (page,) = PdfReader(io.BytesIO(pdf)).pages
    text = page.extract_text()
    for shown in ("Credit note", "LIV-2026-CN-A000001", "LIV-2026-A000001", "van was late", "GBP 6.00", "Tax 20 %",
                  "County Care", "GBP 18.00"):  # fmt: skip
        assert shown in text
