"""`depotbox invoice` and `depotbox user`: what was billed and what was not, and the people of the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance.errors import InputError, NotFound, Refused
from appliance.storage import adjustments, trips
from appliance.storage.db import rows, value, write_tx
from tests.cast import NOON, hire, issue, new_trip, ride


@pytest.fixture
def number(db: Database) -> str:
    """An issued invoice of trip 1; trip 2 has none."""
    cast = hire(db)
    with write_tx(db) as tx:
        for _ in range(2):
            id = new_trip(tx)
            ride(tx, id, NOON, NOON + timedelta(minutes=20))
        issue(tx, cast, 1)
        trips.note_unbilled(tx, 2, "no_rate")
    return "LIV-2026-A000001"


def test_invoices_are_listed(box: Any, number: str) -> None:
    (found,) = box("invoice", "list", "--json").items
    assert (found["number"], found["trip_id"], found["total_cents"], found["state"]) == (number, 1, 1800, "issued")
    assert "GBP 18.00" in box("invoice", "list").out
    assert box("invoice", "list", "--state", "void", "--json").items == []


def test_unbilled_trips_say_why(box: Any, number: str) -> None:
    (found,) = box("invoice", "unbilled", "--json").items
    assert (found["id"], found["reason"]) == (2, "no_rate")
    assert "no_rate" in box("invoice", "unbilled").out


def test_an_invoice_is_made_void_and_its_trip_billed_anew(box: Any, db: Database, number: str) -> None:
    said = box("invoice", "void", number, "--reason", "wrong payer", "--replace")
    assert (said.code, said.out) == (0, f"{number} is void. The trip is billed anew.\n")
    assert {found["reason"] for found in box("invoice", "unbilled", "--json").items} == {"voided", "no_rate"}
    keys = [found["key"] for found in rows(db, "SELECT key FROM jobs WHERE name = 'billing.tasks.generate_invoice'")]
    assert "invoice:1" in keys
    again = box("invoice", "void", number, "--reason", "wrong payer")
    assert (again.code, again.err) == (Refused.exit_code, f"depotbox: {number}: it is void already\n")


def test_adjustments_are_listed_and_decided(box: Any, db: Database, number: str) -> None:
    assert box("invoice", "adjustments").out == "no such adjustments\n"
    with write_tx(db) as tx:
        adjustments.open_for(tx, 1, 1000.0, 2000.0, 2000, NOON)
    shown = box("invoice", "adjustments", "--state", "open").out
    assert "GBP 18.00" in shown
    assert "GBP 20.00" in shown
    assert box("invoice", "dismiss-adjustment", "1", "20").out == f"{number} stays as it is.\n"
    with write_tx(db) as tx:
        adjustments.open_for(tx, 1, 1000.0, 3000.0, 2200, NOON)
    assert "GBP 22.00 by now" in box("invoice", "accept-adjustment", "2", "20.00").err
    assert box("invoice", "accept-adjustment", "2", "22.00").out == f"{number} is void. The trip is billed anew.\n"
    found = box("invoice", "adjustments", "--json").items
    assert [(one["id"], one["number"], one["state"], one["new_total_cents"]) for one in found] == [
        (2, number, "accepted", 2200), (1, number, "dismissed", 2000),
    ]  # fmt: skip
    assert found[0]["decided_by"].startswith("cli:")
    again = box("invoice", "accept-adjustment", "2", "22.00")
    assert (again.code, again.err) == (Refused.exit_code, "depotbox: adjustment 2: it is accepted already\n")
    assert box("invoice", "dismiss-adjustment", "9", "1").code == NotFound.exit_code


def test_an_unknown_invoice_and_trip_are_one_line(box: Any, number: str) -> None:
    said = box("invoice", "void", "LIV-2026-A000099", "--reason", "none")
    assert (said.code, "no such invoice" in said.err) == (NotFound.exit_code, True)
    assert box("invoice", "ask", "99").err == "depotbox: trip 99: no such trip\n"
    assert f"it is billed by {number}" in box("invoice", "ask", "1").err
    assert box("invoice", "ask", "2").code == 0


def test_a_user_is_added_welcomed_and_listed(box: Any, db: Database) -> None:
    added = box("user", "add", "ann@example.org", "--name", "Ann Lee", "--role", "dispatcher")
    assert (added.code, added.err) == (0, "")
    assert box("user", "welcome", "ANN@example.org").code == 0
    (found,) = box("user", "list", "--json").items
    assert (found["email"], found["role"], found["password"]) == ("ann@example.org", "dispatcher", "not yet")
    assert value(db, "SELECT count(*) FROM jobs WHERE name = 'users.tasks.send_welcome_email'") == 2
    said = [found["action"] for found in rows(db, "SELECT action FROM audit_log WHERE subject = 'user' ORDER BY id")]
    assert said == ["user.added", "user.welcomed"]


@pytest.mark.parametrize(
    ("email", "name", "code", "said"),
    [
        ("ann", "Ann", InputError.exit_code, "expected an address"),
        ("ann@example.org", " ", InputError.exit_code, "name"),
        ("BOB@example.org", "Bob", InputError.exit_code, "already a user"),
    ],
)
def test_a_wrong_user_is_one_line(box: Any, db: Database, email: str, name: str, code: int, said: str) -> None:
    box("user", "add", "bob@example.org", "--name", "Bob", "--role", "viewer")
    found = box("user", "add", email, "--name", name, "--role", "viewer")
    assert (found.code, said in found.err) == (code, True)
    assert value(db, "SELECT count(*) FROM users") == 1
