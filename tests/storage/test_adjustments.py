"""An invoiced trip that measures another price: a person accepts it, which replaces the invoice, or dismisses it."""

from __future__ import annotations

import pytest
from sqlite_utils import Database

from appliance import billing, completion, invoice_desk
from appliance.config import Settings
from appliance.domain.trail import Trail
from appliance.errors import NotFound, Refused
from appliance.storage import adjustments, invoices, jobs, users
from appliance.storage.db import Row, rows, value, write_tx
from tests.cast import NOON, Cast, new_trip, ride


@pytest.fixture(autouse=True)
def billed(depot_db: Database, cast: Cast, depot: Settings) -> None:
    """A trip of 4.2 km, for 23.40."""
    with write_tx(depot_db) as tx:
        users.add(tx, "b@example.org", "Bea", "biller", NOON)
        ride(tx, new_trip(tx), NOON, NOON)
    measure(depot_db, depot, 4.2)
    bill(depot_db, depot)


def measure(db: Database, depot: Settings, km: float) -> list[str]:
    """Closes the trip again; the jobs that this asks for."""
    found = Trail(distance_m=km * 1000, duration_s=1200.0, stops=0, fixes=100, outliers=0, completeness=1.0)
    with write_tx(db) as tx:
        return [ask.name for ask in completion.close(tx, 1, found, depot, NOON).asks]


def bill(db: Database, depot: Settings) -> object:
    with write_tx(db) as tx:
        return billing.generate(tx, 1, depot, NOON)[0]["total_cents"]


def price(db: Database, id: int) -> int:
    found = adjustments.get(db, id)
    return int(found["new_total_cents"]) if found else 0


def accept(db: Database, id: int = 1) -> list[str]:
    with write_tx(db) as tx:
        asks, (event,) = invoice_desk.accept_adjustment(tx, id, price(tx, id), "ann", NOON)
    assert (event.kind, event.data["state"]) == ("invoice", "void")
    return [ask.name for ask in asks]


def dismiss(db: Database, id: int = 1) -> None:
    with write_tx(db) as tx:
        event = invoice_desk.dismiss_adjustment(tx, id, price(tx, id), "ann", NOON)
    assert (event.kind, event.data["state"]) == ("invoice", "issued")


def states(db: Database) -> list[tuple[str, int]]:
    return [(one["state"], one["new_total_cents"]) for one in adjustments.page(db, None, 9, 0)[0]][::-1]


def audited(db: Database) -> list[Row]:
    return rows(db, "SELECT who, action, detail FROM audit_log WHERE action LIKE 'adjustment%'")


def test_an_open_one_is_listed_with_both_prices_and_told_to_the_billers_once(
    depot_db: Database, depot: Settings
) -> None:
    for _ in range(2):
        measure(depot_db, depot, 6)
    ((found,), total) = adjustments.page(depot_db, "open", 9, 0)
    assert total == 1
    assert adjustments.page(depot_db, "dismissed", 9, 0) == ([], 0)
    assert (found["number"], found["old_distance_m"], found["new_distance_m"]) == ("LIV-2026-A000001", 4200, 6000)
    assert (found["old_total_cents"], found["new_total_cents"], found["currency"]) == (2340, 2700, "GBP")
    told = rows(depot_db, "SELECT message FROM notifications WHERE type = 'invoice_adjustment'")
    assert [one["message"] for one in told] == [
        "Trip 1 was measured again: LIV-2026-A000001 would be GBP 27.00 and not GBP 23.40."
    ]


def test_accepting_replaces_the_invoice_by_one_of_the_newest_measure(depot_db: Database, depot: Settings) -> None:
    measure(depot_db, depot, 6)
    assert accept(depot_db) == ["billing.tasks.generate_invoice"]
    assert measure(depot_db, depot, 6) == []  # until it is issued there is nothing to adjust
    assert bill(depot_db, depot) == 2700
    old, new = (invoices.get(depot_db, id) for id in (1, 2))
    assert old is not None
    assert new is not None
    assert (old["state"], old["void_reason"], new["replaces_id"]) == ("void", "measured again: GBP 27.00", 1)
    measure(depot_db, depot, 6)
    assert states(depot_db) == [("accepted", 2700)]
    assert audited(depot_db) == [{"who": "ann", "action": "adjustment.accepted", "detail": "2340 -> 2700"}]


def test_what_was_paid_is_taken_back_before_the_invoice_is_replaced(depot_db: Database, depot: Settings) -> None:
    measure(depot_db, depot, 6)

    def pay(cents: int) -> None:
        with write_tx(depot_db) as tx:
            invoice_desk.pay(tx, 1, cents, NOON.date(), "bank", "ann", NOON, today=NOON.date())

    pay(2340)
    with pytest.raises(Refused, match="something was paid on it"):
        accept(depot_db)
    assert states(depot_db) == [("open", 2700)]
    assert audited(depot_db) == []
    pay(-2340)
    assert accept(depot_db)


def test_a_dismissed_price_is_not_raised_again_and_another_one_is(depot_db: Database, depot: Settings) -> None:
    measure(depot_db, depot, 6)
    dismiss(depot_db)
    measure(depot_db, depot, 6.001)  # the same price
    assert states(depot_db) == [("dismissed", 2700)]
    measure(depot_db, depot, 8)
    assert states(depot_db) == [("dismissed", 2700), ("open", 3100)]
    measure(depot_db, depot, 6)
    measure(depot_db, depot, 4.2)
    assert states(depot_db) == [("dismissed", 2700), ("lapsed", 3100)]
    measure(depot_db, depot, 8)
    assert states(depot_db) == [("dismissed", 2700), ("lapsed", 3100), ("open", 3100)]
    assert audited(depot_db) == [{"who": "ann", "action": "adjustment.dismissed", "detail": "2340 -> 2700"}]
    assert value(depot_db, "SELECT state FROM invoices") == "issued"


@pytest.mark.parametrize("first", [accept, dismiss])
@pytest.mark.parametrize("second", [accept, dismiss])
def test_it_is_decided_once(depot_db: Database, depot: Settings, first: object, second: object) -> None:
    measure(depot_db, depot, 6)
    assert callable(first)
    assert callable(second)
    first(depot_db)
    waiting = jobs.states_of_keys(depot_db)
    with pytest.raises(Refused, match=r"adjustment 1: it is (accepted|dismissed) already"):
        second(depot_db)
    with pytest.raises(NotFound, match="adjustment 9"):
        second(depot_db, 9)
    assert jobs.states_of_keys(depot_db) == waiting
    assert len(audited(depot_db)) == 1


def test_that_of_an_invoice_made_void_lapses(depot_db: Database, depot: Settings) -> None:
    measure(depot_db, depot, 6)
    with write_tx(depot_db) as tx:
        invoice_desk.void(tx, 1, "wrong payer", replace=False, who="ann", now=NOON)
    assert states(depot_db) == [("lapsed", 2700)]
    with pytest.raises(Refused, match="it is lapsed already"):
        accept(depot_db)


def test_nobody_decides_about_a_price_that_they_have_not_seen(depot_db: Database, depot: Settings) -> None:
    measure(depot_db, depot, 6)
    seen = price(depot_db, 1)
    measure(depot_db, depot, 8)
    for decide in (invoice_desk.accept_adjustment, invoice_desk.dismiss_adjustment):
        with pytest.raises(Refused, match=r"by now, not GBP 27\.00"), write_tx(depot_db) as tx:
            decide(tx, 1, seen, "ann", NOON)
    assert [state for state, _ in states(depot_db)] == ["open"]
