"""The night: the centre compares, names what differs, and signs what it has."""

from __future__ import annotations

import json

import msgspec
from litestar.testing import TestClient
from sqlalchemy import select

from appliance.central import db, identity
from appliance.central.tables import entries, receipts, streams
from appliance.wire import signing
from appliance.wire.answers import Receipt
from tests.central.box import Box, credit, payment, trip, unpacked
from tests.central.test_receive import refused
from web.central.parts import Centre


def night(box: Box, centre: Centre, **more: object) -> Receipt:
    """Reconciles; the receipt, whose signature holds."""
    answer = box.reconcile(box.books() | more)
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert signing.holds(centre.centre_key, given["receipt"], given["signature"])
    return msgspec.json.decode(given["receipt"], type=Receipt)


def a_day(box: Box) -> None:
    first, second = box.invoice(), box.invoice()
    for one in (first, second):
        box.tell("invoices", "issued", one)
    box.tell("invoices", "payment", payment(first))
    box.tell("invoices", "credit", credit(second, "LDS-2026-AC000001"))
    box.tell("invoices", "paid", first | {"state": "paid"})
    box.tell("invoices", "void", second | {"state": "void", "total_cents": 900})
    box.tell("trips", "trip", trip("completed"))
    box.tell("trips", "trip", trip("missed"))


def test_equal_books_are_whole(box: Box, centre: Centre) -> None:
    """What came a moment ago and was not applied yet counts, too."""
    a_day(box)
    box.push("invoices")
    box.push("trips")
    receipt = night(box, centre)
    assert (receipt.whole, receipt.differences, receipt.depot) == (True, [], "LDS")
    (sums,) = receipt.sums
    assert (sums.invoices, sums.total_cents, sums.void, sums.void_cents) == (1, 4200, 1, 900)
    assert (sums.paid_cents, sums.credited_cents) == (4200, 1000)
    with db.read(centre.engine) as connection:
        (kept,) = db.rows(connection, select(receipts))
    assert (kept["night"], kept["whole"]) == ("2026-01-26", True)


def test_rows_that_are_missing_are_named(box: Box, centre: Centre) -> None:
    a_day(box)
    box.push("invoices", 1, 2)
    receipt = night(box, centre)
    assert not receipt.whole
    found = {(one.what, one.stream): one.seqs for one in receipt.differences}
    assert found["rows are missing at the centre", "invoices"] == [3, 4, 5, 6]
    assert found["rows are missing at the centre", "trips"] == [1, 2]
    assert "GBP paid_cents: 4200 at the depot, 0 at the centre" in [what for what, _ in found]
    assert "trips missed: 1 at the depot, 0 at the centre" in [what for what, _ in found]


def test_rows_that_the_depot_lost_are_named(box: Box, centre: Centre) -> None:
    a_day(box)
    box.push("trips")
    del box.log[1, "trips"][1:]
    found = {one.what: one.seqs for one in night(box, centre).differences}
    assert found["rows are missing at the depot"] == [2]


def test_rows_that_were_rejected_are_named(box: Box, centre: Centre) -> None:
    box.tell("trips", "trip", trip())
    box.tell("trips", "trip", trip(state="flown"))
    box.push("trips")
    found = {one.what: one.seqs for one in night(box, centre).differences}
    assert found["rows were rejected"] == [2]


def test_another_chain_is_named(box: Box, centre: Centre) -> None:
    a_day(box)
    box.push("trips")
    books = box.books()
    books["positions"] = [one | {"chain": "0" * 64} for one in books["positions"] if one["stream"] == "trips"]
    assert "the chain is another one" in [one.what for one in night(box, centre, **books).differences]


def test_books_of_another_depot_are_refused(box: Box) -> None:
    refused(box.reconcile(box.books(), depot="MAN"), 403, "wrong_depot")
    refused(box.reconcile({}), 422, "malformed")


def test_a_restored_box_gets_back_what_it_lacks_as_it_was(box: Box, client: TestClient) -> None:
    a_day(box)
    for number in range(700):
        box.tell("trips", "trip", trip(ref=f"R{number}" + "x" * 50))
    for first in range(1, 703, 300):
        box.push("trips", first, min(first + 299, 702))
    found = []
    while True:
        answer = box.pull(1, "trips", len(found))
        if answer.status_code == 204:
            break
        envelope, rows = unpacked(answer)
        assert (envelope.first_seq, envelope.again, envelope.depot) == (len(found) + 1, 0, "LDS")
        found += rows
    assert found == box.rows("trips")
    assert box.pull(2, "trips", 0).status_code == 204
    refused(box.pull(1, "nothing", 0), 422, "malformed")


def test_a_centre_that_was_put_back_from_a_backup_takes_again_what_it_lacks(box: Box, centre: Centre) -> None:
    a_day(box)
    before = box.push("trips", 1, 1)
    box.push("invoices")
    box.push("trips", 2, 2)
    with db.write_tx(centre.engine) as tx:  # as it was yesterday
        tx.execute(entries.delete().where(entries.c.stream == "invoices"))
        tx.execute(streams.delete().where(streams.c.stream == "invoices"))
        tx.exec_driver_sql("DELETE FROM batches WHERE stream = 'invoices'")
        identity.restored(tx, who="test", now=centre.now())
    box.tell("invoices", "sent", box.invoice())
    answer = refused(box.send(box.packed("invoices", 7)), 409, "gap")
    after = box.push("invoices", answer["expected_seq"])
    assert (after["acked_through"], after["rejected"]) == (7, [])
    assert after["instance"] != before["instance"]
    assert night(box, centre).whole


def test_positions_are_those_of_the_receipt(box: Box, centre: Centre) -> None:
    a_day(box)
    box.push("trips")
    box.push("invoices")
    said = box.positions().json()["positions"]
    assert said == json.loads(msgspec.json.encode(night(box, centre).positions))
