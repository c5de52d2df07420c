"""The print list: what waits on it, all of it as one file, and marking what was printed."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from pypdf import PdfReader
from sqlite_utils import Database

from appliance import billing, credit_desk, credit_mail, invoice_mail, invoice_pdf, print_desk
from appliance.config import Settings
from appliance.errors import NotFound
from appliance.storage import invoices, payers, trips
from appliance.storage.db import value, write_tx
from tests.cast import NOON, Cast, new_trip, ride


@pytest.fixture
def listed(depot_db: Database, cast: Cast, depot: Settings) -> list[int]:
    """Two invoices that wait to be printed."""
    made = []
    with write_tx(depot_db) as tx:
        payers.change(tx, cast.payer, NOON, delivery="print")
        for ref in ("R-1", "R-2"):
            trip = new_trip(tx, ref=ref)
            ride(tx, trip, NOON, NOON + timedelta(minutes=20))
            trips.change(tx, trip, NOON, distance_m=4210.0)
            made.append(billing.generate(tx, trip, depot, NOON)[0]["invoice_id"])
            invoice_mail.prepare(tx, made[-1], depot, NOON, "job")
    return made


def on_list(db: Database) -> list[str]:
    return [one["number"] for one in print_desk.waiting(db)[0]]


def test_the_oldest_comes_first_and_a_credit_note_too(depot_db: Database, listed: list[int], depot: Settings) -> None:
    later = NOON + timedelta(hours=1)
    with write_tx(depot_db) as tx:
        id, _, _ = credit_desk.issue(tx, listed[0], 100, "van was late", depot, who="ann", now=later)
        credit_mail.prepare(tx, id, depot, later, "job")
    assert on_list(depot_db) == ["LIV-2026-A000001", "LIV-2026-A000002", "LIV-2026-CN-A000001"]
    assert print_desk.waiting(depot_db)[1] == 3


def test_one_file_has_them_all_and_each_counts_its_own_pages(
    depot_db: Database, listed: list[int], depot: Settings
) -> None:
    found, _ = print_desk.waiting(depot_db)
    longer = json.loads(found[0]["document"])
    longer["lines"] = longer["lines"] * 40
    found[0] |= {"document": json.dumps(longer)}
    pages = PdfReader(io.BytesIO(print_desk.pdf(found, lambda document, _kind: document, NOON))).pages
    said = [page.extract_text() for page in pages]
    alone = len(PdfReader(io.BytesIO(invoice_pdf.render(longer))).pages)
    assert alone > 1
    assert len(said) == alone + 1
    for number in range(alone):
        assert f"Page {number + 1} of {alone}" in said[number]
        assert "LIV-2026-A000001" in said[number]
    assert "Page 1 of 1" in said[-1]
    assert "LIV-2026-A000002" in said[-1]


def test_what_was_printed_leaves_the_list_once(depot_db: Database, listed: list[int]) -> None:
    with write_tx(depot_db) as tx:
        assert print_desk.mark_printed(tx, listed[:1], [], "ann", NOON) == 1
        assert print_desk.mark_printed(tx, listed[:1], [], "ann", NOON) == 0
    assert on_list(depot_db) == ["LIV-2026-A000002"]
    assert value(depot_db, "SELECT count(*) FROM audit_log WHERE action = 'invoice.printed'") == 1
    with pytest.raises(NotFound), write_tx(depot_db) as tx:
        print_desk.mark_printed(tx, [listed[1], 99], [], "ann", NOON)
    assert on_list(depot_db) == ["LIV-2026-A000002"]


def test_a_void_invoice_is_not_printed(depot_db: Database, listed: list[int]) -> None:
    with write_tx(depot_db) as tx:
        invoices.void(tx, listed[0], "wrong payer", NOON)
        assert print_desk.mark_printed(tx, listed[:1], [], "ann", NOON) == 0
    assert on_list(depot_db) == ["LIV-2026-A000002"]
