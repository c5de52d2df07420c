"""The CSV for the accounts: a row a booking, sums that hold, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import pytest
from sqlite_utils import Database

from appliance import accounts_export, credit_desk, invoice_desk
from appliance.config import Settings
from appliance.errors import InputError
from appliance.storage import payers
from appliance.storage.db import write_tx
from tests.cast import NOON, Cast, issue, new_trip
from tests.storage.test_credit_notes import DOCUMENT

JANUARY, FEBRUARY = (date(2026, 1, 1), date(2026, 1, 31)), (date(2026, 2, 1), date(2026, 2, 28))


def exported(db: Database, depot: Settings, span: tuple[date, date]) -> list[dict[str, str]]:
    found = accounts_export.text(accounts_export.rows(db, depot, *span, lambda row: row["payer"]))
    return list(csv.DictReader(io.StringIO(found)))


@pytest.fixture
def billed(depot_db: Database, cast: Cast) -> list[int]:
    with write_tx(depot_db) as tx:
        return [issue(tx, cast, new_trip(tx, ref=f"R-{n}"), document=DOCUMENT) for n in range(3)]


def test_an_invoice_is_a_row_with_its_amounts(depot_db: Database, billed: list[int], depot: Settings) -> None:
    with write_tx(depot_db) as tx:
        invoice_desk.pay(tx, billed[0], 500, NOON.date(), "", "ann", NOON, today=NOON.date())
    first = exported(depot_db, depot, JANUARY)[0]
    assert first == {
        "date": "2026-01-26", "kind": "invoice", "number": "LIV-2026-A000001", "invoice": "", "due": "2026-01-26",
        "payer": "County Care", "payer_kind": "broker", "trip": "R-0", "state": "issued", "currency": "GBP",
        "net": "15.00", "tax": "3.00", "gross": "18.00", "paid": "5.00", "credited": "0.00", "balance": "13.00",
        "reason": "",
    }  # fmt: skip


def test_what_was_exported_does_not_change_when_it_is_taken_back_later(
    depot_db: Database, billed: list[int], depot: Settings
) -> None:
    amounts = ("date", "kind", "number", "net", "tax", "gross")
    before = [[one[name] for name in amounts] for one in exported(depot_db, depot, JANUARY)]
    with write_tx(depot_db) as tx:
        later = NOON + timedelta(days=10)
        invoice_desk.void(tx, billed[0], "wrong payer", replace=False, who="ann", now=later)
        credit_desk.issue(tx, billed[1], 600, "van was late", depot, who="ann", now=later)
    assert [[one[name] for name in amounts] for one in exported(depot_db, depot, JANUARY)] == before
    found = exported(depot_db, depot, FEBRUARY)
    assert [(one["kind"], one["invoice"], one["net"], one["tax"], one["gross"], one["reason"]) for one in found] == [
        ("void", "LIV-2026-A000001", "-15.00", "-3.00", "-18.00", "wrong payer"),
        ("credit", "LIV-2026-A000002", "-5.00", "-1.00", "-6.00", "van was late"),
    ]
    balances = {one["number"]: one["balance"] for one in exported(depot_db, depot, JANUARY)}
    assert balances["LIV-2026-A000001"] == "0.00"
    assert balances["LIV-2026-A000002"] == "12.00"


@pytest.mark.parametrize("name", ["=1+1", "+44 151", "-2+3", "@SUM(A1)"])
def test_a_spreadsheet_runs_no_cell(
    depot_db: Database, cast: Cast, billed: list[int], depot: Settings, name: str
) -> None:
    with write_tx(depot_db) as tx:
        payers.change(tx, cast.payer, NOON, name=name)
    assert exported(depot_db, depot, JANUARY)[0]["payer"] == f"'{name}"


def test_days_the_wrong_way_round_are_refused(depot_db: Database, depot: Settings) -> None:
    with pytest.raises(InputError, match="not before the first"):
        exported(depot_db, depot, (date(2026, 2, 1), date(2026, 1, 1)))
