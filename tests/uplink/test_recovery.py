"""A box that was restored from a backup asks the centre what it lacks, and takes its money back before it bills."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance import backup, billing, credit_desk, invoice_desk, uplink, uplink_desk
from appliance.config import Settings
from appliance.domain.trip import Event
from appliance.errors import Refused, Transient
from appliance.storage import adjustments, identity, sync_log, trips, vehicles
from appliance.storage import uplink as line
from appliance.storage.db import Row, open_depot, rows, value, write_tx
from tests.cast import NOON, Cast, issue, new_trip, ride, say
from tests.uplink.fake_centre import FakeCentre

END = NOON + timedelta(minutes=10)
MONEY = {
    "invoices": "uid, number, state, issued_on, due_on, total_cents, tax_cents, owed_cents, sent_at, void_reason",
    "payments": "uid, amount_cents, paid_on, origin, reference",
    "credit_notes": "uid, number, amount_cents, tax_cents, reason",
    "adjustments": "uid, state, new_total_cents",
    "trips": "uid, ref, state, completed_at, distance_m",
    "vehicles": "uid, code, plate",
    "rates": "uid, base_cents",
}
Restore = Callable[[], Database]


def money(db: Database) -> dict[str, list[Row]]:
    return {table: rows(db, f"SELECT {columns} FROM {table} ORDER BY uid") for table, columns in MONEY.items()}


@pytest.fixture
def restore(enrolled: Settings, depot_db: Database, before: tuple[int, int], tmp_path: Path) -> Restore:
    """Takes a backup now; the answer puts it back and returns the new database."""
    file = tmp_path / "a.tar.gz"
    backup.create(enrolled, file, NOON)

    def back() -> Database:
        shutil.move(enrolled.paths.depot_db, tmp_path / "lost.db")
        for left in enrolled.paths.data_dir.glob("depot.db-*"):
            left.unlink()
        backup.stage(enrolled, file, who="ann", now=NOON)
        backup.finish(enrolled.paths)
        return open_depot(enrolled.paths.depot_db)

    return back


@pytest.fixture
def before(enrolled: Settings, depot_db: Database, cast: Cast) -> tuple[int, int]:
    """A trip that is over and not billed, and one with an invoice: both are in the backup."""
    with write_tx(depot_db) as tx:
        first, second = new_trip(tx, ref="R-1"), new_trip(tx, ref="R-2")
        for id in (first, second):
            ride(tx, id, NOON, END)
            trips.change(tx, id, END, distance_m=4210.0)
        issue(tx, cast, second)
    return first, second


def after(settings: Settings, db: Database, cast: Cast, first: int) -> None:
    """What the backup does not know: the first is billed and paid, a new trip is billed, credited and made void."""
    with write_tx(db) as tx:
        id = billing.generate(tx, first, settings, END)[0]["invoice_id"]
        invoice_desk.pay(tx, id, 500, date(2026, 1, 26), "bank", "ann", END, today=END.date())
        credit_desk.issue(tx, id, 100, "late", settings, who="ann", now=END)
        adjustments.open_for(tx, id, 1000.0, 1200.0, 9900, END)
        new = new_trip(tx, ref="R-3", patient="Somebody New")
        ride(tx, new, NOON, END)
        trips.change(tx, new, END, distance_m=2000.0)
        void = issue(tx, cast, new)
        invoice_desk.void(tx, void, "wrong payer", replace=False, who="ann", now=END)
        replaced = billing.generate(tx, new, settings, END)[0]
        assert "invoice_id" in replaced
        vehicles.add(tx, "VAN-9", END, plate="DX 9")


def test_what_was_lost_comes_back_and_is_billed_once(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, before: tuple[int, int], restore: Restore
) -> None:
    after(enrolled, depot_db, cast, before[0])
    uplink.push(enrolled, depot_db)
    here, log = money(depot_db), rows(depot_db, "SELECT epoch, stream, seq, snapshot, hash, chain FROM sync_log")
    depot_db.conn.close()
    db = restore()
    assert money(db) != here
    with write_tx(db) as tx:
        assert billing.generate(tx, before[0], enrolled, END)[0] == {"blocked": "not_recovered"}
    (listed,) = [one for one in invoice_desk.unbilled(db, enrolled) if one["id"] == before[0]]
    assert listed["reason"] == "not_recovered"
    assert uplink.push(enrolled, db).whole
    assert money(db) == here
    assert rows(db, "SELECT epoch, stream, seq, snapshot, hash, chain FROM sync_log WHERE epoch = 1") == log
    assert invoice_desk.unbilled(db, enrolled) == []
    with write_tx(db) as tx:
        number = billing.generate(tx, before[0], enrolled, END)[0]["number"]
        assert number == "LIV-2026-A000002"
        assert trips.by_ref(tx, "R-3") is not None
        fresh = new_trip(tx, ref="R-4")
        ride(tx, fresh, NOON, END)
        trips.change(tx, fresh, END, distance_m=2000.0)
        assert billing.generate(tx, fresh, enrolled, END)[0]["number"] == "LIV-2026-B000001"
    assert uplink.push(enrolled, db).whole
    assert "Somebody New" not in json.dumps(money(db))
    db.conn.close()


@pytest.mark.parametrize("fault", ["lose", "cut", 503])
def test_a_line_that_breaks_loses_and_doubles_nothing(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, before: tuple[int, int], restore: Restore,
    fault: str | int,
) -> None:  # fmt: skip
    after(enrolled, depot_db, cast, before[0])
    uplink.push(enrolled, depot_db)
    here = money(depot_db)
    depot_db.conn.close()
    db = restore()
    for _ in range(100):
        centre.faults.extend(["good", "good", fault])
        try:
            uplink.push(enrolled, db, by_hand=True)
            break
        except Transient:
            pass
    assert money(db) == here
    assert line.lacks(db) is False
    db.conn.close()


def test_what_was_changed_since_the_restore_stays_as_it_is_now(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, restore: Restore, tmp_path: Path
) -> None:
    with write_tx(depot_db) as tx:
        id = new_trip(tx, ref="R-9")
    file = tmp_path / "b.tar.gz"
    backup.create(enrolled, file, NOON)
    with write_tx(depot_db) as tx:
        assert say(tx, id, Event.accepted, NOON).accepted
    uplink.push(enrolled, depot_db)
    depot_db.conn.close()
    os.replace(file, tmp_path / "a.tar.gz")
    db = restore()
    with write_tx(db) as tx:
        trips.change(tx, id, END, state="cancelled", cancelled_at="2026-01-26T12:10:00.000Z", cancelled_by="depot")
    uplink.push(enrolled, db)
    found = trips.get(db, id)
    assert found is not None
    assert (found["state"], found["accepted_at"]) == ("cancelled", None)
    assert line.lacks(db) is False
    db.conn.close()


def test_rows_that_this_box_did_not_write_are_not_taken(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, before: tuple[int, int], restore: Restore
) -> None:
    after(enrolled, depot_db, cast, before[0])
    uplink.push(enrolled, depot_db)
    depot_db.conn.close()
    db = restore()
    kept = centre.rows[1, "invoices"]
    forged = kept[-1].snapshot.replace("2026-01-26", "2026-01-25")
    centre.rows[1, "invoices"][-1] = uplink.msgspec.structs.replace(kept[-1], snapshot=forged)
    with pytest.raises(Refused, match="its chain does not hold"):
        uplink.push(enrolled, db)
    assert line.lacks(db) is True
    assert "chain" in uplink_desk.status(db, enrolled, END)["problem"]
    db.conn.close()


def test_an_administrator_bills_without_the_centre_and_a_box_alone_waits_for_nobody(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, before: tuple[int, int]
) -> None:
    with write_tx(depot_db) as tx:
        identity.put(tx, "epoch", "2")
        identity.put(tx, line.RESTORED_TRIPS, str(before[1]))
        alone = uplink.msgspec.structs.replace(
            enrolled, upstream=uplink.msgspec.structs.replace(enrolled.upstream, url="")
        )
        assert billing.billable(tx, before[0], alone)
        assert not billing.billable(tx, before[0], enrolled)
        uplink_desk.bill_anyway(tx, who="ann", now=END)
        assert billing.billable(tx, before[0], enrolled)
        assert value(tx, "SELECT count(*) FROM audit_log WHERE action = 'box.billing_freed'") == 1


def test_an_invoice_that_was_made_anew_meanwhile_is_left_and_told(
    enrolled: Settings, depot_db: Database, cast: Cast, centre: FakeCentre, before: tuple[int, int], restore: Restore
) -> None:
    after(enrolled, depot_db, cast, before[0])
    uplink.push(enrolled, depot_db)
    depot_db.conn.close()
    db = restore()
    with write_tx(db) as tx:
        uplink_desk.bill_anyway(tx, who="ann", now=END)
        assert billing.generate(tx, before[0], enrolled, END)[0]["number"] == "LIV-2026-B000001"
    uplink.push(enrolled, db)
    assert line.lacks(db) is False
    assert value(db, "SELECT count(*) FROM audit_log WHERE action = 'box.not_taken_back'") > 0
    live = rows(db, "SELECT number FROM invoices WHERE trip_id = ? AND state <> 'void'", before[0])
    assert live == [{"number": "LIV-2026-B000001"}]
    assert sync_log.waiting(db) == 0
    db.conn.close()
