"""An invoice on paper: what it says, that it is always the same file, and that nothing people type breaks it."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from appliance import invoice_pdf, paths
from appliance.errors import ConfigError

DOCUMENT: dict[str, Any] = {
    "number": "LIV-2026-A000012",
    "issued_on": "2026-01-27",
    "due_on": "2026-02-26",
    "currency": "GBP",
    "issuer": {
        "name": "Liverpool Patient Transport Ltd",
        "address": "1 Example Yard\nLiverpool L1 0AA",
        "tax_id": "GB 123 4567 89",
        "bank_details": "Example Bank\nSort code 12-34-56\nAccount 87654321",
    },
    "payer": {"name": "Merseyside Care Broker", "address": "Accounts Payable\n44 Water Street\nLiverpool L2 0RG"},
    "trip": {
        "reference": "MCB-88213",
        "pickup": "2026-01-26T15:57+00:00",
        "from": "12 Acacia Avenue, Wirral CH45 1AA",
        "to": "Royal Liverpool University Hospital, Mount Vernon Street, Liverpool",
        "level": "wheelchair",
        "patient": "Margaret O'Neill",
        "distance": "7.6 mile",
    },
    "lines": [
        {"kind": "base", "text": "Base fare, wheelchair", "quantity": "1", "unit": "", "unit_cents": 124500,
         "amount_cents": 124500},
        {"kind": "distance", "text": "Distance", "quantity": "7.6", "unit": "mile", "unit_cents": 210,
         "amount_cents": 1596},
        {"kind": "tax", "text": "Tax 20 %", "quantity": "20", "unit": "%", "unit_cents": 126096,
         "amount_cents": 25219},
    ],
    "total_cents": 151315,
    "tax_cents": 25219,
}  # fmt: skip


def document(**parts: Any) -> dict[str, Any]:
    """The sample with other values; a part that is itself a mapping is merged."""
    made = copy.deepcopy(DOCUMENT)
    for name, value in parts.items():
        made[name] = made[name] | value if isinstance(value, dict) else value
    return made


def read(content: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(content))


def text(content: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in read(content).pages).split())


def many_lines(count: int) -> list[dict[str, Any]]:
    return [dict(DOCUMENT["lines"][1], text=f"Leg {number} of the journey") for number in range(count)]


def test_all_that_a_biller_looks_for_is_on_the_page() -> None:
    said = text(invoice_pdf.render(DOCUMENT))
    for expected in (
        "LIV-2026-A000012", "27 January 2026", "26 February 2026", "GB 123 4567 89",
        "Liverpool Patient Transport Ltd", "Merseyside Care Broker", "44 Water Street",
        "MCB-88213", "26 January 2026, 15:57", "12 Acacia Avenue", "Royal Liverpool University Hospital",
        "Wheelchair", "7.6 miles", "Margaret O'Neill", "Page 1 of 1",
    ):  # fmt: skip
        assert expected in said, expected


def test_net_tax_and_total_are_written_out() -> None:
    said = text(invoice_pdf.render(DOCUMENT))
    assert "Net 1,260.96" in said
    assert "Tax 20 % 252.19" in said
    assert "Total GBP 1,513.15" in said
    assert "Amount due GBP 1,513.15" in said


def test_how_to_pay_names_amount_day_bank_and_reference() -> None:
    said = text(invoice_pdf.render(DOCUMENT))
    assert "Please pay GBP 1,513.15 by 26 February 2026 to:" in said
    assert "Example Bank Sort code 12-34-56 Account 87654321" in said
    assert "Payment reference: LIV-2026-A000012" in said


def test_an_invoice_of_nothing_asks_for_no_payment() -> None:
    said = text(invoice_pdf.render(document(total_cents=0, tax_cents=0, lines=[])))
    assert "Nothing is to be paid" in said
    assert "Please pay" not in said


def test_a_currency_without_cents_has_none() -> None:
    said = text(invoice_pdf.render(document(currency="JPY")))
    assert "Total JPY 151,315" in said
    assert "Amount, JPY" in said


def test_two_renders_are_the_same_bytes() -> None:
    assert invoice_pdf.render(DOCUMENT) == invoice_pdf.render(copy.deepcopy(DOCUMENT))


def test_another_process_at_another_time_renders_the_same_bytes() -> None:
    program = (
        "import hashlib, json, sys; from appliance import invoice_pdf;"
        "print(hashlib.sha256(invoice_pdf.render(json.load(sys.stdin))).hexdigest())"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(DOCUMENT),
        env=os.environ | {"PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == hashlib.sha256(invoice_pdf.render(DOCUMENT)).hexdigest()


def test_the_file_is_dated_by_the_invoice() -> None:
    information = read(invoice_pdf.render(DOCUMENT)).metadata
    assert information is not None
    assert information.creation_date is not None
    assert information.creation_date.date().isoformat() == "2026-01-27"
    assert information.title == "Invoice LIV-2026-A000012"


def test_a_patient_who_pays_is_not_named_a_second_time() -> None:
    content = invoice_pdf.render(document(trip={"patient": None}))
    assert "Margaret" not in text(content)
    assert "Patient " not in text(content).replace("Patient Transport", "")


def test_forty_lines_make_two_pages_with_heads_and_numbers_and_lose_nothing() -> None:
    pages = read(invoice_pdf.render(document(lines=many_lines(40)))).pages
    assert len(pages) == 2
    first, second = (page.extract_text() for page in pages)
    assert "Page 1 of 2" in first
    assert "Page 2 of 2" in second
    assert "Invoice LIV-2026-A000012, continued" in second
    assert "Description" in second
    found = re.findall(r"Leg (\d+) of", first + second)
    assert [int(number) for number in found] == list(range(40))


@pytest.mark.parametrize("count", range(12, 32))
def test_the_total_and_how_to_pay_are_never_torn_apart(count: int) -> None:
    pages = read(invoice_pdf.render(document(lines=many_lines(count)))).pages
    (closing,) = [page.extract_text() for page in pages if "Net" in page.extract_text()]
    assert "Payment reference" in closing


def test_long_addresses_leave_the_total_on_the_page() -> None:
    long = "\n".join(f"Line {number} of an address that goes on and on for ever" for number in range(40))
    content = invoice_pdf.render(
        document(
            issuer={"name": "The Very Long Name of a Patient Transport Company " * 6, "address": long},
            payer={"name": "x" * 400, "address": long},
            trip={"from": "Nursing home " * 80, "to": "y" * 900},
        )
    )
    assert "Total GBP 1,513.15" in text(content)
    assert len(read(content).pages) <= 2


def test_a_long_payer_ends_above_the_trip() -> None:
    long = "\n".join(f"Line {number}" for number in range(10))
    heights: dict[str, float] = {}

    def remember(said: str, _ctm: Any, matrix: Any, _font: Any, _size: Any) -> None:
        if said.strip():
            heights.setdefault(said.strip(), matrix[5])

    page = read(invoice_pdf.render(document(payer={"name": "Payer", "address": long}))).pages[0]
    page.extract_text(visitor_text=remember)
    assert heights["Line 9"] > heights["Trip"] + 10


def test_names_that_are_not_latin_are_printed() -> None:
    names = "Κωνσταντίνος Фёдор Łukasz Đặng Şükrü"
    assert names in text(invoice_pdf.render(document(payer={"name": names})))


def test_hebrew_is_printed_from_right_to_left() -> None:
    # pypdf turns what stands from right to left on the page back into the order in which it is read.
    assert "משה כהן" in text(invoice_pdf.render(document(payer={"name": "משה כהן"})))


def test_letters_that_the_font_lacks_are_marked_and_do_not_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    said = text(invoice_pdf.render(document(payer={"name": "王小明 Wang"})))
    assert "\ufffd\ufffd\ufffd Wang" in said
    assert not caplog.records


def test_missing_fonts_are_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "VENDOR_DIR", tmp_path)
    with pytest.raises(ConfigError, match=r"DejaVuSans\.ttf: font not found \(run `make setup`\)"):
        invoice_pdf.render(DOCUMENT)


@settings(max_examples=25, deadline=None)
@given(name=st.text(max_size=80), address=st.text(max_size=400), line=st.text(max_size=200))
def test_nothing_that_people_type_breaks_it(name: str, address: str, line: str) -> None:
    content = invoice_pdf.render(
        document(
            payer={"name": name, "address": address},
            issuer={"name": name, "address": address, "bank_details": address},
            trip={"from": address, "to": line, "patient": name, "reference": line},
            lines=[dict(DOCUMENT["lines"][0], text=line), DOCUMENT["lines"][2]],
        )
    )
    assert len(read(content).pages) >= 1
