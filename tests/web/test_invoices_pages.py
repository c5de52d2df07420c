"""The pages of invoices as the server makes them: lists, one invoice, what is decided there, and who may."""

from __future__ import annotations

import io
import json
import re

import pytest
from pypdf import PdfReader
from sqlite_utils import Database

from appliance.storage import adjustments
from appliance.storage.db import row, value
from tests.web import money_day, world
from tests.web.conftest import Client, sign_in


@pytest.fixture
def money(depot: world.World) -> dict[str, int]:
    return money_day.make(depot)


def number(db: Database, id: int) -> str:
    return str(value(db, "SELECT number FROM invoices WHERE id = ?", id))


def state(db: Database, id: int) -> tuple[str, int]:
    found = row(db, "SELECT state, owed_cents FROM invoices WHERE id = ?", id)
    assert found is not None
    return found["state"], found["owed_cents"]


def test_the_aging_is_drawn_and_told_in_numbers(client: Client, money: dict[str, int], depot_db: Database) -> None:
    page = client.get("/invoices").text
    owed = value(depot_db, "SELECT sum(owed_cents) FROM invoices WHERE state = 'issued' AND owed_cents > 0")
    assert f"GBP {owed // 100}.{owed % 100:02d}" in page
    assert page.count('class="bar"') == 5
    assert 'href="/invoices?aging=90%2B"' in page
    assert page.count("days overdue") == 5


def test_the_list_is_filtered_searched_and_leads_to_the_invoice(
    client: Client, money: dict[str, int], depot_db: Database
) -> None:
    found = client.get("/invoices?state=disputed").text
    assert f'href="/invoices/{money["disputed"]}"' in found
    assert "1 invoice<" in found
    assert f'href="/invoices/{money["partly"]}"' in client.get("/invoices?aging=1-30").text
    assert "No such invoice" in client.get("/invoices?q=nothing").text
    assert "1 invoice<" in client.get("/invoices?q=M-2004").text
    assert "3 invoices<" in client.get("/invoices?delivery=print").text
    assert client.get("/invoices?state=lost").status_code == 400
    assert client.get("/invoices?payer=x").status_code == 400


def test_an_invoice_shows_what_was_billed_paid_and_credited(
    client: Client, money: dict[str, int], depot_db: Database
) -> None:
    page = client.get(f"/invoices/{money['partly']}").text
    for shown in ("Base fare, wheelchair", "GBP 8.00", "van was late", "-CN-A000001", "Still owed", "Payment recorded",
                  "M-2004", "Aintree Dialysis Unit"):  # fmt: skip
        assert shown in page
    void = client.get(f"/invoices/{money['void']}").text
    assert (
        f'<a href="/invoices/{money["replacement"]}">{number(depot_db, money["replacement"])}</a> replaces it' in void
    )
    assert "hx-post" not in void
    assert client.get("/invoices/999").status_code == 404


def test_a_payment_is_recorded_in_part_and_in_full(client: Client, money: dict[str, int], depot_db: Database) -> None:
    address = f"/invoices/{money['paper']}/payments"
    _, owed = state(depot_db, money["paper"])
    assert "GBP 10.00 recorded as paid." in client.post(address, data={"amount": "10.00", "reference": "cash"}).text
    assert state(depot_db, money["paper"]) == ("issued", owed - 1000)
    rest = f"{(owed - 1000) // 100}.{(owed - 1000) % 100:02d}"
    client.post(address, data={"amount": rest, "paid_on": "2026-01-26"})
    assert state(depot_db, money["paper"]) == ("paid", 0)
    assert "paid back" in client.post(address, data={"amount": "-1"}).text
    assert state(depot_db, money["paper"]) == ("issued", 100)


@pytest.mark.parametrize(("form", "said"), [
    ({"amount": "ten"}, "Expected an amount in GBP like 120.50."), ({"amount": "0"}, "an amount other than 0."),
    ({"amount": "1", "paid_on": "soon"}, "Expected a day like 2026-03-01."),
    ({"amount": "1", "paid_on": "2026-01-27"}, "Expected a day that has come."),
    ({"amount": "1", "paid_on": "2000-01-01"}, "when it was issued; a deposit counts from the day of the invoice"),
    ({"amount": "-1"}, "Expected no more back than was paid; nothing was paid on it."),
])  # fmt: skip
def test_a_wrong_payment_is_refused_beside_its_field(
    client: Client, money: dict[str, int], depot_db: Database, form: dict[str, str], said: str
) -> None:
    before = state(depot_db, money["paper"])
    answer = client.post(f"/invoices/{money['paper']}/payments", data=form)
    assert answer.status_code == 422
    assert said in answer.text
    assert f'value="{form["amount"]}"' in answer.text
    assert state(depot_db, money["paper"]) == before


def test_an_overpayment_is_asked_about_once(client: Client, money: dict[str, int], depot_db: Database) -> None:
    address = f"/invoices/{money['paper']}"
    _, owed = state(depot_db, money["paper"])
    assert 'name="overpaid"' not in client.get(address).text
    form = {"amount": f"{owed // 100 + 1}.00", "reference": "bank"}
    asked = client.post(f"{address}/payments", data=form)
    assert (asked.status_code, "that is owed" in asked.text, 'name="overpaid"' in asked.text) == (422, True, True)
    assert state(depot_db, money["paper"]) == ("issued", owed)
    client.post(f"{address}/payments", data=form | {"overpaid": "yes"})
    assert state(depot_db, money["paper"]) == ("paid", owed - (owed // 100 + 1) * 100)


def test_the_second_of_two_billers_is_told_and_a_form_sent_twice_counts_once(
    client: Client, money: dict[str, int], depot_db: Database
) -> None:
    address = f"/invoices/{money['paper']}"
    page = client.get(address).text
    (seen,) = set(re.findall(r'name="seen" value="([^"]+)"', page))
    (key,) = re.findall(r'name="key" value="([^"]+)"', page)
    _, owed = state(depot_db, money["paper"])
    for _ in range(2):
        assert client.post(f"{address}/payments", data={"amount": "10", "seen": seen, "key": key}).status_code == 200
    assert state(depot_db, money["paper"]) == ("issued", owed - 1000)
    for act, form in (("payments", {"amount": "10", "key": "another"}), ("credit", {"amount": "1", "reason": "late"}),
                      ("dispute", {"reason": "no ride"}), ("void", {"reason": "wrong"})):  # fmt: skip
        answer = client.post(f"{address}/{act}", data=form | {"seen": seen})
        assert answer.status_code == 422
        assert "it was changed meanwhile: Payment recorded: GBP 10.00, by " in answer.text
        assert act == "void" or all(f'value="{text}"' in answer.text for text in form.values())
    assert state(depot_db, money["paper"]) == ("issued", owed - 1000)


def test_an_invoice_that_cannot_be_made_void_says_why_in_place_of_the_form(
    client: Client, money: dict[str, int], depot_db: Database
) -> None:
    address = f"/invoices/{money['paper']}"
    assert f'hx-post="{address}/void"' in client.get(address).text
    client.post(f"{address}/payments", data={"amount": "10"})
    page = client.get(address).text
    assert f'hx-post="{address}/void"' not in page
    assert "Something was paid on it: take that back first" in page
    credited = client.get(f"/invoices/{money['credited']}").text
    assert "credit the rest of it instead" in credited


def test_an_invoice_is_credited_disputed_resolved_and_sent_again(
    client: Client, money: dict[str, int], depot_db: Database
) -> None:
    address = f"/invoices/{money['paper']}"
    _, owed = state(depot_db, money["paper"])
    done = client.post(f"{address}/credit", data={"amount": "1.50", "reason": "van was late"}).text
    assert "Credit note DEMO-2026-CN-A000003 is issued" in done
    assert state(depot_db, money["paper"]) == ("issued", owed - 150)
    too_much = client.post(f"{address}/credit", data={"amount": "999", "reason": "x"})
    assert too_much.status_code == 422
    assert "not above GBP" in too_much.text
    assert "It is disputed" in client.post(f"{address}/dispute", data={"reason": "no ride"}).text
    assert state(depot_db, money["paper"])[0] == "disputed"
    assert "resolved" in client.post(f"{address}/settle").text
    assert client.post(f"{address}/settle").status_code == 422
    waits = client.post(f"{address}/send")
    assert waits.status_code == 422
    assert "on the print list already" in waits.text
    depot_db.conn.execute("UPDATE invoices SET printed_at = issued_at")
    depot_db.conn.execute("UPDATE jobs SET state = 'done'")
    assert "It goes out" in client.post(f"{address}/send").text
    asked = value(depot_db, "SELECT arguments FROM jobs WHERE state = 'pending'")
    assert json.loads(asked) == {"invoice_id": money["paper"], "copy": 1}


def test_an_invoice_is_made_void_and_replaced(client: Client, money: dict[str, int], depot_db: Database) -> None:
    address = f"/invoices/{money['paper']}/void"
    assert client.post(address, data={"reason": " "}).status_code == 422
    done = client.post(address, data={"reason": "wrong payer", "replace": "yes"}).text
    assert "The invoice that replaces it follows" in done
    assert state(depot_db, money["paper"])[0] == "void"
    trip = value(depot_db, "SELECT trip_id FROM invoices WHERE id = ?", money["paper"])
    assert value(depot_db, "SELECT count(*) FROM jobs WHERE key = ?", f"invoice:{trip}") == 1
    refused = client.post(f"/invoices/{money['partly']}/void", data={"reason": "x"})
    assert "something was paid on it" in refused.text


def test_what_is_not_billed_says_why_and_what_to_do(client: Client, money: dict[str, int], depot_db: Database) -> None:
    page = client.get("/invoices/unbilled").text
    for shown in ("U-1", "No distance", "Waits for release", "Look at the trip, and release it."):
        assert shown in page
    only = client.get("/invoices/unbilled?reason=not_released").text
    assert "U-2" in only
    assert "U-1" not in only
    trip = value(depot_db, "SELECT id FROM trips WHERE ref = 'U-2'")
    assert "is released" in client.post(f"/invoices/unbilled/{trip}/release").text
    assert value(depot_db, "SELECT released_at FROM trips WHERE id = ?", trip) is not None
    assert client.post("/invoices/unbilled/999/release").status_code == 422


def test_all_shown_are_released_and_no_other(client: Client, money: dict[str, int], depot_db: Database) -> None:
    one, other = (value(depot_db, "SELECT id FROM trips WHERE ref = ?", ref) for ref in ("U-2", "U-1"))
    assert f'name="trips" value="{one}"' in client.get("/invoices/unbilled").text
    assert "1 trip released" in client.post("/invoices/unbilled/release", data={"trips": str(one)}).text
    assert value(depot_db, "SELECT released_at FROM trips WHERE id = ?", other) is None
    assert client.post("/invoices/unbilled/release", data={"trips": "1;2"}).status_code == 422


def test_a_void_one_is_billed_anew_when_asked_for(client: Client, money: dict[str, int], depot_db: Database) -> None:
    client.post(f"/invoices/{money['paper']}/void", data={"reason": "wrong payer"})
    trip = value(depot_db, "SELECT trip_id FROM invoices WHERE id = ?", money["paper"])
    assert f'hx-post="/invoices/unbilled/{trip}/ask"' in client.get("/invoices/unbilled?reason=voided").text
    assert "is asked for" in client.post(f"/invoices/unbilled/{trip}/ask").text


def test_an_adjustment_is_decided_at_the_price_that_was_seen(
    client: Client, money: dict[str, int], depot_db: Database
) -> None:
    page = client.get("/invoices/adjustments").text
    found = adjustments.get(depot_db, 1)
    assert found is not None
    assert f'name="seen" value="{found["new_total_cents"]}"' in page
    for wrong in ("", "x", str(found["new_total_cents"] + 1)):
        assert client.post("/invoices/adjustments/1/accept", data={"seen": wrong}).status_code == 422
    done = client.post("/invoices/adjustments/1/accept", data={"seen": str(found["new_total_cents"])}).text
    assert f"{found['number']} is void; the trip is billed anew" in done
    assert "Nothing to decide" in client.get("/invoices/adjustments").text
    assert "accepted" in client.get("/invoices/adjustments?state=all").text
    assert "No such adjustment" in client.get("/invoices/adjustments?state=dismissed").text


def test_the_print_list_is_opened_as_one_file_and_marked_as_it_was_shown(
    client: Client, money: dict[str, int], depot_db: Database
) -> None:
    shown = client.get("/invoices/print").text
    assert "Open all 3 as one PDF" in shown
    pdf = client.get("/invoices/print.pdf")
    assert len(PdfReader(io.BytesIO(pdf.content)).pages) == 3
    waiting = shown.partition('name="invoices" value="')[2].partition('"')[0]
    first, _, later = waiting.rpartition(",")
    assert "2 letters left the list" in client.post("/invoices/print/done", data={"invoices": first}).text
    assert number(depot_db, int(later)) in client.get("/invoices/print").text
    assert "Nothing waits to be printed" in client.post("/invoices/print/done", data={"invoices": later}).text


def test_a_viewer_looks_and_does_nothing(client: Client, money: dict[str, int], depot: world.World) -> None:
    sign_in(client, depot, "viewer")
    for address in ("/invoices", f"/invoices/{money['partly']}", "/invoices/unbilled", "/invoices/adjustments"):
        page = client.get(address)
        assert page.status_code == 200
        assert "hx-post" not in page.text
        assert not [name for name in world.NAMES if name in page.text]
    for address in ("/invoices/print", "/invoices/print.pdf", "/payers"):
        assert client.get(address).status_code == 403
    for address in ("payments", "credit", "dispute", "settle", "void", "send"):
        assert client.post(f"/invoices/{money['partly']}/{address}", data={}).status_code == 403
    for address in ("unbilled/1/release", "unbilled/1/ask", "unbilled/release", "adjustments/1/accept", "print/done"):
        assert client.post(f"/invoices/{address}", data={}).status_code == 403


def test_a_patient_who_pays_is_no_name_to_a_viewer(
    client: Client, money: dict[str, int], depot: world.World, depot_db: Database
) -> None:
    depot_db.conn.execute(
        "UPDATE payers SET kind = 'patient', name = 'Ada Marsh', patient_id = 1 WHERE id = ?", (money["payer"],)
    )
    assert "Ada Marsh" in client.get("/invoices").text
    assert "No such invoice" in client.get("/invoices?q=Ada").text
    sign_in(client, depot, "viewer")
    for address in ("/invoices", f"/invoices/{money['partly']}", "/invoices/unbilled"):
        assert "Ada Marsh" not in client.get(address).text
