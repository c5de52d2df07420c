"""Lists of invoices in a generated depot: they have what they should, and are read from indexes alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance import reminders
from appliance.config import Settings
from appliance.domain.invoice import Bucket, aging_bucket, due_between
from appliance.storage import ledger
from appliance.storage.db import open_depot, rows, value
from appliance.storage.ledger import Which
from tests import big_depot
from tests.cast import MEMORY, NOON

TODAY = NOON.date()
OVERDUE = due_between(Bucket.days_1_30, TODAY)


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="depot-", dir=MEMORY))
    yield big_depot.make(folder / "data", NOON, trips=6000)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def db(settings: Settings) -> Iterator[Database]:
    opened = open_depot(settings.paths.depot_db)
    yield opened
    opened.conn.close()


@pytest.mark.parametrize(("which", "condition"), [
    (Which(), "1"),
    (Which(state="paid"), "state = 'paid'"),
    (Which(payer_id=3, state="issued"), "payer_id = 3 AND state = 'issued'"),
    (Which(due=OVERDUE), "state = 'issued' AND owed_cents > 0 AND due_on BETWEEN '2025-12-27' AND '2026-01-25'"),
    (Which(due=OVERDUE, payer_id=4, q="2026"), "0"),
    (Which(q="-a00012"), "number LIKE '%-A00012%'"),
    (Which(q="BK-0012"), "trip_id IN (SELECT id FROM trips WHERE ref LIKE 'BK-0012%')"),
    (Which(q="payer 39"), "payer_id = 39"),
    (Which(q="Patient 1"), "0"),
    (Which(q="payer 39", state="paid"), "payer_id = 39 AND state = 'paid'"),
    (Which(delivery="print"), "print_listed_at IS NOT NULL AND printed_at IS NULL AND state <> 'void'"),
    (Which(delivery="none"), "0"),
])  # fmt: skip
def test_a_list_has_what_it_should_newest_first(db: Database, which: Which, condition: str) -> None:
    order = "due_on, id" if which.due else "issued_on DESC, id DESC"
    expected = [one["id"] for one in rows(db, f"SELECT id FROM invoices WHERE {condition} ORDER BY {order}")]
    found, total = ledger.invoices(db, which, 30, 20)
    assert total == len(expected)
    assert bool(total) == (condition != "0")
    assert [one["id"] for one in found] == expected[20:50]


@pytest.mark.parametrize("which", [
    Which(), Which(state="issued"), Which(payer_id=3), Which(payer_id=3, state="paid"), Which(due=OVERDUE),
    Which(due=OVERDUE, payer_id=3), Which(q="2026"), Which(q="2026", state="paid"),
], ids=str)  # fmt: skip
def test_the_row_of_an_invoice_is_read_for_the_page_only(db: Database, which: Which) -> None:
    """What is counted and put in order stands in one index: a row is long, and there are 100,000."""
    asked: list[str] = []
    db.conn.set_trace_callback(asked.append)
    ledger.invoices(db, which, 50, 0)
    db.conn.set_trace_callback(None)
    plans = [[one["detail"] for one in rows(db, f"EXPLAIN QUERY PLAN {sql}")] for sql in asked]
    (counted,) = (plan for sql, plan in zip(asked, plans, strict=True) if sql.startswith("SELECT count"))
    assert " i USING COVERING INDEX " in counted[0]
    assert not [step for plan in plans for step in plan if step.startswith("SCAN") and "INDEX" not in step
                and "payers" not in step]  # fmt: skip


def test_aging_is_that_of_each_invoice(db: Database, settings: Settings) -> None:
    expected = dict.fromkeys(Bucket, (0, 0))
    for one in rows(db, "SELECT due_on, owed_cents FROM invoices WHERE state = 'issued'"):
        bucket = aging_bucket(date.fromisoformat(one["due_on"]), TODAY)
        count, cents = expected[bucket]
        expected[bucket] = (count + 1, cents + one["owed_cents"])
    assert reminders.aging(db, settings, NOON) == expected
    assert all(count for bucket, (count, _) in expected.items() if bucket is not Bucket.over_90)


def test_what_payers_owe_is_what_is_owed(db: Database, settings: Settings) -> None:
    owed = ledger.owed_by_payer(db)
    assert sum(cents for _, cents in owed.values()) == ledger.owed(db, date.min, date.max)[1]
    counts = ledger.counts(db)
    assert sum(counts.values()) == value(db, "SELECT count(*) FROM invoices")


def test_the_buckets_leave_no_day_out_and_none_twice() -> None:
    for days in range(-400, 400):
        due = TODAY - timedelta(days=days)
        inside = [bucket for bucket in Bucket if due_between(bucket, TODAY)[0] <= due <= due_between(bucket, TODAY)[1]]
        assert inside == [aging_bucket(due, TODAY)]
