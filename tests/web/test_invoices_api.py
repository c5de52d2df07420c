"""Invoices through the API: credit notes, sending again, the print list, the export, and finding them."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from pypdf import PdfReader
from sqlite_utils import Database

from tests.web import world
from tests.web.conftest import Client, problem, sign_in

URL = "/api/v1/invoices"
SPAN = {"since": "2026-01-01", "until": "2026-01-31"}


@pytest.fixture
def invoice(client: Client) -> dict[str, Any]:
    """The newest invoice of the invented depot."""
    found: dict[str, Any] = client.get(URL).json()["items"][0]
    return found


def text_of(answer: Any) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)


def test_a_credit_note_is_issued_and_drawn(client: Client, invoice: dict[str, Any]) -> None:
    address = f"{URL}/{invoice['id']}/credit-notes"
    answer = client.post(address, json={"amount_cents": 100, "reason": "van was late"})
    assert answer.status_code == 201
    found = answer.json()
    assert (found["credited_cents"], found["owed_cents"]) == (100, invoice["total_cents"] - 100)
    (note,) = found["credit_notes"]
    assert note["number"].startswith("DEMO-2026-CN-A")
    pdf = client.get(f"/api/v1/credit-notes/{note['id']}/pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert note["number"] in text_of(pdf)
    assert "not above" in problem(client.post(address, json={"amount_cents": 10**9, "reason": "x"}), 400)
    problem(client.post(f"{URL}/{invoice['id']}/void", json={"reason": "x"}), 409)
    problem(client.post(f"{URL}/99/credit-notes", json={"amount_cents": 1, "reason": "x"}), 404)
    problem(client.get("/api/v1/credit-notes/99/pdf"), 404)


def test_an_invoice_shows_its_payments(client: Client, invoice: dict[str, Any]) -> None:
    found = client.post(f"{URL}/{invoice['id']}/payments", json={"amount_cents": 100, "reference": "bank"}).json()
    assert [(one["amount_cents"], one["reference"], one["origin"]) for one in found["payments"]] == [
        (100, "bank", "depot")
    ]


def test_a_payment_under_one_key_is_recorded_once(client: Client, invoice: dict[str, Any]) -> None:
    address, said = f"{URL}/{invoice['id']}/payments", {"amount_cents": 100, "key": "bank-2026-01-26-7"}
    first, second = client.post(address, json=said), client.post(address, json=said)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(second.json()["payments"]) == 1
    assert "another payment" in problem(client.post(address, json=said | {"amount_cents": 200}), 409)


def test_the_bounds_of_a_payment_hold_for_programs(client: Client, invoice: dict[str, Any]) -> None:
    address, owed = f"{URL}/{invoice['id']}/payments", invoice["owed_cents"]
    assert "that is owed" in problem(client.post(address, json={"amount_cents": owed + 1}), 409)
    assert "no more back" in problem(client.post(address, json={"amount_cents": -1}), 400)
    assert "has come" in problem(client.post(address, json={"amount_cents": 1, "paid_on": "2026-01-27"}), 400)
    assert "when it was issued" in problem(client.post(address, json={"amount_cents": 1, "paid_on": "2026-01-01"}), 400)
    paid = client.post(address, json={"amount_cents": owed + 1, "overpaid": True}).json()
    assert (paid["state"], paid["owed_cents"]) == ("paid", -1)
    assert client.post(address, json={"amount_cents": -1 - owed}).json()["owed_cents"] == owed


@pytest.mark.parametrize(("asked", "count"), [
    ({}, 4), ({"q": "A000001"}, 1), ({"q": "T-100"}, 4), ({"q": "T-1001"}, 1), ({"q": "merseyside"}, 4),
    ({"q": "nobody"}, 0), ({"q": world.NAMES[0]}, 0), ({"aging": "current"}, 4), ({"aging": "90+"}, 0),
    ({"payer": 1, "state": "issued"}, 4), ({"payer": 2}, 0), ({"delivery": "none"}, 4),
    ({"delivery": "print"}, 0), ({"q": "2026", "aging": "current", "payer": 1}, 4),
])  # fmt: skip
def test_invoices_are_found(client: Client, asked: dict[str, Any], count: int) -> None:
    page = client.get(URL, params=asked).json()
    assert (len(page["items"]), page["total"]) == (count, count)


def test_what_is_no_filter_is_refused(client: Client) -> None:
    problem(client.get(URL, params={"aging": "old"}), 400)
    problem(client.get(URL, params={"q": "x" * 101}), 400)


def test_an_invoice_is_sent_again(client: Client, invoice: dict[str, Any], depot_db: Database) -> None:
    depot_db.conn.execute("UPDATE jobs SET state = 'done'")
    depot_db.conn.execute("UPDATE invoices SET sent_at = issued_at")
    assert client.post(f"{URL}/{invoice['id']}/send").status_code == 202
    (asked,) = depot_db.query("SELECT arguments FROM jobs WHERE state = 'pending'")
    assert asked["arguments"] == f'{{"invoice_id":{invoice["id"]},"copy":1}}'.replace(":", ": ").replace(",", ", ")


def test_the_print_list_is_one_file_and_is_marked(client: Client, invoice: dict[str, Any], depot_db: Database) -> None:
    depot_db.conn.execute("UPDATE invoices SET print_listed_at = issued_at")
    page = client.get("/api/v1/print-list").json()
    assert page["total"] == 4
    assert page["items"][-1]["number"] == invoice["number"]
    assert text_of(client.get("/api/v1/print-list/pdf")).count("Page 1 of 1") == 4
    done = client.post("/api/v1/print-list/printed", json={"invoices": [invoice["id"]]})
    assert done.json() == {"printed": 1}
    assert client.get("/api/v1/print-list").json()["total"] == 3
    problem(client.post("/api/v1/print-list/printed", json={"credit_notes": [99]}), 404)


def test_the_export_is_csv_for_the_accounts(client: Client, invoice: dict[str, Any], depot: world.World) -> None:
    answer = client.get(f"{URL}/export", params=SPAN)
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="DEMO-2026-01-01-2026-01-31.csv"' in answer.headers["content-disposition"]
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert [one["number"] for one in found][-1] == invoice["number"]
    assert found[0]["payer"] == world.BROKER
    problem(client.get(f"{URL}/export", params={"since": "2026-02-01", "until": "2026-01-01"}), 400)
    problem(client.get(f"{URL}/export"), 400)


def test_billers_act_and_others_do_not(client: Client, invoice: dict[str, Any], depot: world.World) -> None:
    sign_in(client, depot, "biller")
    credit = {"amount_cents": 1, "reason": "x"}
    assert client.post(f"{URL}/{invoice['id']}/credit-notes", json=credit).status_code == 201
    assert client.get(f"{URL}/export", params=SPAN).status_code == 200
    for role in ("viewer", "dispatcher"):
        sign_in(client, depot, role)
        problem(client.post(f"{URL}/{invoice['id']}/credit-notes", json=credit), 403)
        problem(client.get(f"{URL}/export", params=SPAN), 403)
        problem(client.get("/api/v1/print-list/pdf"), 403)
