"""`depotbox invoice credit`, `print` and `export`."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from sqlite_utils import Database

from appliance import billing
from appliance.config import Settings
from appliance.errors import InputError, Refused
from appliance.storage import invoices, trips
from appliance.storage.db import write_tx
from tests.cast import NOON, hire, new_trip, ride


@pytest.fixture
def number(db: Database, depot: Settings) -> str:
    """An issued invoice of 23.40 that waits to be printed."""
    hire(db)
    with write_tx(db) as tx:
        id = new_trip(tx)
        ride(tx, id, NOON, NOON + timedelta(minutes=20))
        trips.change(tx, id, NOON, distance_m=4210.0)
        found = billing.generate(tx, id, depot, NOON)[0]
        invoices.mark_print_listed(tx, found["invoice_id"], NOON)
    return str(found["number"])


def test_a_part_of_an_invoice_is_credited(box: Any, number: str) -> None:
    said = box("invoice", "credit", number, "12.50", "--reason", "van was late")
    assert said.code == 0
    assert re.fullmatch(rf"DEMO-\d+-CN-A000001 is issued; {number} is issued\.\n", said.out)
    again = box("invoice", "credit", number, "12.50", "--reason", "van was late")
    assert again.code == InputError.exit_code
    assert "not above GBP 10.90" in again.err


def test_more_than_is_owed_is_recorded_when_it_is_said_and_no_more_goes_back(box: Any, number: str) -> None:
    over = box("invoice", "pay", number, "24.00", "--on", "2026-01-26")
    assert over.code == Refused.exit_code
    assert "amount: it is more than the GBP 23.40 that is owed" in over.err
    paid = box("invoice", "pay", number, "24.00", "--on", "2026-01-26", "--overpaid")
    assert paid.out == f"{number}: the payment is recorded; the invoice is paid.\n"
    back = box("invoice", "pay", "--on", "2026-01-26", number, "--", "-24.01")
    assert back.code == InputError.exit_code
    assert "GBP 24.00 was paid" in back.err
    assert "has come" in box("invoice", "pay", number, "1.00", "--on", "2099-01-01", "--overpaid").err


def test_the_print_list_is_one_file_and_leaves_the_list_when_marked(box: Any, number: str, tmp_path: Path) -> None:
    file = tmp_path / "letters.pdf"
    assert box("invoice", "print", str(file)).out == f"{file}: 1 of 1.\n"
    assert number in PdfReader(io.BytesIO(file.read_bytes())).pages[0].extract_text()
    assert box("invoice", "print", str(file), "--mark").out == f"{file}: 1 of 1, which left the list.\n"
    assert box("invoice", "print", str(file)).out == "Nothing waits to be printed.\n"


def test_the_accounts_get_a_csv(box: Any, number: str) -> None:
    out = box("invoice", "export", "--from", "2026-01-01", "--to", "2026-01-31").out
    (found,) = csv.DictReader(io.StringIO(out))
    assert (found["number"], found["gross"], found["balance"]) == (number, "23.40", "23.40")
    assert "date" in out
    wrong = box("invoice", "export", "--from", "2026-02-01", "--to", "2026-01-31")
    assert wrong.code == InputError.exit_code
