"""Invoice numbers and the one live invoice of a trip."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

import pytest
from sqlite_utils import Database

from appliance.config import Settings
from appliance.storage import identity, invoices
from appliance.storage.db import open_depot, rows, value, write_tx
from tests.cast import Cast, issue, new_trip


def numbers(db: Database) -> list[str]:
    return [row["number"] for row in rows(db, "SELECT number FROM invoices ORDER BY id")]


def test_numbers_are_consecutive(depot_db: Database, cast: Cast) -> None:
    for _ in range(3):
        with write_tx(depot_db) as tx:
            issue(tx, cast, new_trip(tx))
    assert numbers(depot_db) == ["LIV-2026-A000001", "LIV-2026-A000002", "LIV-2026-A000003"]


def test_an_invoice_that_is_undone_leaves_no_gap(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        first, second = new_trip(tx), new_trip(tx)
        issue(tx, cast, first)
    with pytest.raises(ZeroDivisionError), write_tx(depot_db) as tx:  # noqa: PT012  the transaction is what is tested
        issue(tx, cast, second)
        raise ZeroDivisionError
    assert value(depot_db, "SELECT last FROM invoice_counters") == 1
    with write_tx(depot_db) as tx:
        issue(tx, cast, second)
    assert numbers(depot_db) == ["LIV-2026-A000001", "LIV-2026-A000002"]


def test_each_year_and_each_series_counts_for_itself(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        assert [invoices.next_number(tx, "LIV", year) for year in (2026, 2027, 2026)] == [
            "LIV-2026-A000001",
            "LIV-2027-A000001",
            "LIV-2026-A000002",
        ]
        identity.put(tx, "series", "B")  # restored from a backup: what A has reached since is not known
        assert invoices.next_number(tx, "LIV", 2026) == "LIV-2026-B000001"


def test_two_writers_at_once_never_share_a_number(depot: Settings, depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        trips = [new_trip(tx) for _ in range(20)]

    def bill(mine: list[int]) -> None:
        db = open_depot(depot.paths.depot_db)
        for trip_id in mine:
            with write_tx(db) as tx:
                issue(tx, cast, trip_id)
        db.conn.close()

    threads = [threading.Thread(target=bill, args=(trips[part::2],)) for part in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert numbers(depot_db) == [f"LIV-2026-A{count:06d}" for count in range(1, 21)]


def test_a_trip_never_has_two_live_invoices(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        trip_id = new_trip(tx)
        issue(tx, cast, trip_id)
    with pytest.raises(sqlite3.IntegrityError, match=r"invoices\.trip_id"), write_tx(depot_db) as tx:
        issue(tx, cast, trip_id)
    assert numbers(depot_db) == ["LIV-2026-A000001"]


@pytest.mark.parametrize("state", ["paid", "disputed"])
def test_a_paid_or_disputed_invoice_is_a_live_one(depot_db: Database, cast: Cast, state: str) -> None:
    with write_tx(depot_db) as tx:
        trip_id = new_trip(tx)
        id = issue(tx, cast, trip_id)
        tx.conn.execute("UPDATE invoices SET state = ? WHERE id = ?", (state, id))
        assert (invoices.live_of_trip(tx, trip_id) or {})["id"] == id
        with pytest.raises(sqlite3.IntegrityError):
            issue(tx, cast, trip_id)


def test_a_void_invoice_is_replaced_by_one_that_names_it(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        trip_id = new_trip(tx)
        assert invoices.last_void_of_trip(tx, trip_id) is None
        made = []
        for _ in range(3):
            replaced = invoices.last_void_of_trip(tx, trip_id)
            made.append(issue(tx, cast, trip_id, replaces_id=replaced))
            tx.conn.execute("UPDATE invoices SET state = 'void' WHERE id = ?", (made[-1],))
        assert invoices.live_of_trip(tx, trip_id) is None
        assert invoices.last_void_of_trip(tx, trip_id) == made[-1]
    chain = [row["replaces_id"] for row in rows(depot_db, "SELECT replaces_id FROM invoices ORDER BY id")]
    assert chain == [None, made[0], made[1]]


def test_two_invoices_never_replace_the_same_one(depot_db: Database, cast: Cast) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="replaces_id"), write_tx(depot_db) as tx:  # noqa: PT012
        one, other = new_trip(tx), new_trip(tx)
        id = issue(tx, cast, one)
        tx.conn.execute("UPDATE invoices SET state = 'void'")
        issue(tx, cast, one, replaces_id=id)
        issue(tx, cast, other, replaces_id=id)


def test_the_totals_are_those_of_the_lines(depot_db: Database, cast: Cast) -> None:
    with write_tx(depot_db) as tx:
        found = invoices.get(tx, issue(tx, cast, new_trip(tx)))
    assert found is not None
    assert (found["total_cents"], found["tax_cents"], found["state"]) == (1800, 300, "issued")
    kinds = [row["kind"] for row in rows(depot_db, "SELECT kind FROM invoice_lines ORDER BY position")]
    assert kinds == ["base", "tax"]


def test_sending_is_stamped_once(depot_db: Database, cast: Cast, set_clock: Any) -> None:
    with write_tx(depot_db) as tx:
        id = issue(tx, cast, new_trip(tx))
        invoices.mark_sent(tx, id, set_clock.move(60))
        invoices.mark_sent(tx, id, set_clock.move(60))
    assert value(depot_db, "SELECT sent_at FROM invoices") == "2026-01-26T12:01:00.000Z"
    kinds = [row["kind"] for row in rows(depot_db, "SELECT kind FROM sync_log WHERE stream = 'invoices'")]
    assert kinds[0] == "issued"
