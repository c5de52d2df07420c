"""The accounting system's API, payments and disputes: nothing is missed, nothing counts twice, depots hear of it."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlalchemy import select

from appliance.central import apply, db, payments, tokens
from appliance.central.payments import NewPayment
from appliance.central.tables import news
from appliance.errors import InputError, NotFound, Refused
from tests.central.box import Box, credit, invoice, payment, trip
from tests.central.conftest import enrolled
from web.central.parts import Centre

PAGE = ("invoices", "payments", "credits", "trips", "receipts")


class Accounts:
    """The accounting system."""

    def __init__(self, client: TestClient, centre: Centre, scope: str = "read") -> None:
        with db.write_tx(centre.engine) as tx:
            _, token = tokens.create(tx, "books", scope, days=None, who="test", now=centre.now())
        self.client, self.headers = client, {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **params: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", params=params, headers=self.headers)

    def post(self, path: str, **data: Any) -> Any:
        return self.client.post(f"/api/v1/{path}", json=data or None, headers=self.headers)

    def all(self, path: str, limit: int = 2, **params: Any) -> tuple[list[dict[str, Any]], str]:
        """All pages from a cursor on, and the last cursor."""
        found, after, more = [], params.pop("after", ""), True
        while more:
            page = self.get(path, after=after, limit=limit, **params).json()
            found += page["items"]
            after, more = page["next"], page["more"]
        return found, after


@pytest.fixture
def accounts(client: TestClient, centre: Centre) -> Accounts:
    return Accounts(client, centre)


@pytest.fixture
def writer(client: TestClient, centre: Centre) -> Accounts:
    return Accounts(client, centre, "write")


def billed(box: Box, centre: Centre, number: int = 1) -> list[dict[str, Any]]:
    made = [box.invoice() for _ in range(number)]
    for one in made:
        box.tell("invoices", "issued", one)
    box.push("invoices", len(box.rows("invoices")) - number + 1)
    apply.apply_waiting(centre.engine, centre.now())
    return made


def told(centre: Centre) -> list[tuple[int, str, str, int]]:
    with db.read(centre.engine) as connection:
        found = db.rows(connection, select(news).order_by(news.c.id))
    return [(one["id"], one["kind"], one["number"], one["amount_cents"]) for one in found]


def test_nobody_reads_without_a_token_that_counts(client: TestClient, centre: Centre, accounts: Accounts) -> None:
    for path in (*PAGE, "depots", "export/invoices.csv"):
        for headers in ({}, {"Authorization": "Bearer centre_x"}, {"Authorization": "Basic eDp5"}):
            answer = client.get(f"/api/v1/{path}", headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json"), path
        assert accounts.get(path).status_code == 200, path
    with db.write_tx(centre.engine) as tx:
        tokens.revoke(tx, 1, who="test", now=centre.now())
    assert accounts.get("invoices").status_code == 401


def test_a_token_that_reads_changes_nothing(accounts: Accounts, box: Box, centre: Centre) -> None:
    (one,) = billed(box, centre)
    sent = {"number": one["number"], "amount_cents": 1, "currency": "GBP", "paid_on": "2026-01-27"}
    assert accounts.post("payments", **sent).status_code == 403
    assert accounts.post("disputes", number=one["number"]).status_code == 403
    assert accounts.all("payments")[0] == []


def test_pages_go_on_from_a_cursor_and_miss_nothing_that_comes_late(
    accounts: Accounts, box: Box, client: TestClient, centre: Centre
) -> None:
    first = billed(box, centre, 5)
    found, after = accounts.all("invoices")
    assert [one["uid"] for one in found] == sorted(one["uid"] for one in first)
    assert found[0]["depot"] == "LDS"
    assert found[0]["lines"][0]["unit_cents"] == 4200
    assert accounts.all("invoices", after=after) == ([], after)
    # An invoice of last year from a depot that was offline, and a change of an early one.
    late = enrolled(client, centre, "MAN")
    (old,) = billed(late, centre)
    box.tell("invoices", "void", first[0] | {"state": "void"})
    box.push("invoices", 6)
    apply.apply_waiting(centre.engine, centre.now())
    changed, _ = accounts.all("invoices", after=after)
    assert [(one["uid"], one["state"]) for one in changed] == [(old["uid"], "issued"), (first[0]["uid"], "void")]


def test_lists_are_filtered_by_depot_and_day(accounts: Accounts, box: Box, client: TestClient, centre: Centre) -> None:
    (one,) = billed(box, centre)
    billed(enrolled(client, centre, "MAN"), centre)
    assert [found["depot"] for found in accounts.all("invoices", depot="MAN")[0]] == ["MAN"]
    assert len(accounts.all("invoices", **{"from": "2026-01-26", "to": "2026-01-26"})[0]) == 2
    assert accounts.all("invoices", **{"from": "2026-01-27"})[0] == []
    assert accounts.all("invoices", to="2026-01-25")[0] == []
    assert [found["uid"] for found in accounts.all("invoices", number=one["number"])[0]] == [one["uid"]]
    box.tell("trips", "trip", trip(pickup_at="2026-01-26T23:59:59.999Z"))
    box.push("trips")
    apply.apply_waiting(centre.engine, centre.now())
    assert len(accounts.all("trips", to="2026-01-26")[0]) == 1
    assert accounts.get("invoices", after="what").status_code == 400
    assert accounts.get("receipts", after="what").status_code == 400
    assert accounts.get("invoices", limit=0).status_code == 400


def test_a_file_has_all_of_it_and_no_formula(accounts: Accounts, box: Box, centre: Centre) -> None:
    first, second = billed(box, centre, 2)
    box.tell("invoices", "payment", payment(first, reference="=1+1"))
    box.tell("invoices", "credit", credit(second, "LDS-2026-AC000001"))
    box.push("invoices", 3)
    apply.apply_waiting(centre.engine, centre.now())
    read = {name: list(csv.DictReader(io.StringIO(accounts.get(f"export/{name}.csv").text))) for name in PAGE[:4]}
    assert [one["number"] for one in read["invoices"]] == [first["number"], second["number"]]
    assert [(one["reference"], one["amount_cents"]) for one in read["payments"]] == [("'=1+1", "4200")]
    assert [one["invoice"] for one in read["credits"]] == [second["number"]]
    assert read["trips"] == []
    assert accounts.get("export/users.csv").status_code == 404


def test_a_payment_at_the_centre_is_news_for_its_depot(writer: Accounts, box: Box, centre: Centre) -> None:
    (one,) = billed(box, centre)
    sent = {"number": one["number"], "amount_cents": 4200, "currency": "GBP", "paid_on": "2026-01-28"}
    made = writer.post("payments", **sent, reference="BACS 7").json()
    assert made["flag"] == ""
    box.tell("trips", "trip", trip())
    (heard,) = box.push("trips")["news"]
    assert (heard["id"], heard["kind"], heard["number"], heard["uid"]) == (1, "payment", one["number"], made["uid"])
    assert (heard["amount_cents"], heard["paid_on"], heard["reference"]) == (4200, "2026-01-28", "BACS 7")
    box.tell("trips", "trip", trip())
    assert box.push("trips", 2, news_after=1)["news"] == []


def test_news_come_a_hundred_at_a_time_and_in_order(box: Box, centre: Centre) -> None:
    (one,) = billed(box, centre)
    with db.write_tx(centre.engine) as tx:
        for cents in range(1, 121):
            given = NewPayment(one["number"], cents, "GBP", date(2026, 1, 28))
            payments.record(tx, given, who="test", now=centre.now())
    answer = box.reconcile(box.books()).json()
    assert [heard["id"] for heard in answer["news"]] == list(range(1, 101))
    assert answer["more_news"]
    rest = box.reconcile(box.books(), news_after=100).json()
    assert ([heard["amount_cents"] for heard in rest["news"]], rest["more_news"]) == (list(range(101, 121)), False)


def test_a_double_entry_is_flagged_and_no_news_until_a_person_decides(
    writer: Accounts, box: Box, centre: Centre
) -> None:
    (one,) = billed(box, centre)
    sent = {"number": one["number"], "amount_cents": 4200, "currency": "GBP", "paid_on": "2026-01-28"}
    writer.post("payments", **sent, reference="BACS 7")
    same_day = writer.post("payments", **sent).json()
    same_reference = writer.post("payments", **sent | {"paid_on": "2026-01-30"}, reference="BACS 7").json()
    assert (same_day["flag"], same_reference["flag"]) == ("double", "double")
    assert len(told(centre)) == 1
    assert writer.post(f"payments/{same_day['uid']}/accept").status_code == 204
    assert writer.post(f"payments/{same_reference['uid']}/dismiss").status_code == 204
    assert [id for id, *_ in told(centre)] == [1, 2]
    for act in ("accept", "dismiss"):
        assert writer.post(f"payments/{same_day['uid']}/{act}").status_code == 409
        assert writer.post(f"payments/01JB2QAAAAAAAAAAAAAAAAAAAA/{act}").status_code == 404


def test_what_the_depot_took_itself_is_a_double_entry_at_the_centre(writer: Accounts, box: Box, centre: Centre) -> None:
    (one,) = billed(box, centre)
    box.tell("invoices", "payment", payment(one))
    box.push("invoices", 2)
    apply.apply_waiting(centre.engine, centre.now())
    sent = {"number": one["number"], "amount_cents": 4200, "currency": "GBP", "paid_on": "2026-01-27"}
    assert writer.post("payments", **sent).json()["flag"] == "double"


def test_the_same_request_twice_is_one_payment(writer: Accounts, box: Box, centre: Centre) -> None:
    (one,) = billed(box, centre)
    sent = {"number": one["number"], "amount_cents": 4200, "currency": "GBP", "paid_on": "2026-01-28"}
    sent["uid"] = "01JB2QAAAAAAAAAAAAAAAAAAAA"
    assert writer.post("payments", **sent).json() == writer.post("payments", **sent).json()
    assert len(told(centre)) == 1


def test_a_payment_for_what_is_not_known_yet_waits(writer: Accounts, box: Box, centre: Centre) -> None:
    one = box.invoice()
    sent = {"number": one["number"], "amount_cents": 4200, "currency": "GBP", "paid_on": "2026-01-28"}
    made = writer.post("payments", **sent).json()
    assert made["flag"] == "unknown"
    assert writer.post(f"payments/{made['uid']}/accept").status_code == 409
    box.tell("invoices", "issued", one)
    box.push("invoices")
    apply.apply_waiting(centre.engine, centre.now())
    assert writer.post(f"payments/{made['uid']}/accept").status_code == 204
    assert told(centre) == [(1, "payment", one["number"], 4200)]
    assert writer.post("payments", **sent | {"currency": "EUR", "paid_on": "2026-01-29"}).json()["flag"] == "currency"
    assert writer.post("payments", **sent | {"number": "NONE-1"}).status_code == 404


def test_what_was_recorded_at_the_centre_outlives_a_rebuild(writer: Accounts, box: Box, centre: Centre) -> None:
    (one,) = billed(box, centre)
    sent = {"number": one["number"], "amount_cents": 4200, "currency": "GBP", "paid_on": "2026-01-28"}
    made = writer.post("payments", **sent).json()
    apply.rebuild(centre.engine, centre.now())
    assert [found["uid"] for found in writer.all("payments")[0]] == [made["uid"]]


def test_a_dispute_is_told_when_it_begins_and_when_it_ends(writer: Accounts, box: Box, centre: Centre) -> None:
    (one,) = billed(box, centre)
    number = one["number"]
    assert writer.post("disputes", number=number, reason="never ridden").status_code == 201
    assert writer.post("disputes", number=number).status_code == 409
    assert writer.post(f"disputes/{number}/resolve").status_code == 200
    assert writer.post(f"disputes/{number}/resolve").status_code == 404
    assert [kind for _, kind, *_ in told(centre)] == ["dispute", "dispute_resolved"]


@pytest.mark.parametrize(
    "file",
    [
        b"number,amount,currency,paid_on\nLDS-2026-A000001,42,GBP,2026-01-28\n",
        b"\xef\xbb\xbfnumber;amount;currency;paid_on;reference\r\nLDS-2026-A000001;42.00;GBP;2026-01-28;\r\n",
        b'paid_on,number,currency,amount,more\n2026-01-28,LDS-2026-A000001,GBP,"42.0",x\n',
    ],
)
def test_payments_are_read_from_a_file(file: bytes) -> None:
    assert payments.parse_csv(file) == [NewPayment("LDS-2026-A000001", 4200, "GBP", date(2026, 1, 28))]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("LDS-1,42.001,GBP,2026-01-28", "line 2"),
        ("LDS-1,4e2,GBP,2026-01-28", "line 2"),
        ("LDS-1,0,GBP,2026-01-28", "not 0"),
        ("LDS-1,42,gbp,2026-01-28", "currency"),
        ("LDS-1,42,GBP,28.1.2026", "line 2"),
        ("LDS-1", "line 2"),
    ],
)
def test_a_line_that_is_wrong_is_named(line: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        payments.parse_csv(f"number,amount,currency,paid_on\n{line}\n".encode())
    for file in (b"\xff", b"a,b\n1,2\n", b""):
        with pytest.raises(InputError):
            payments.parse_csv(file)


def test_only_what_is_there_can_be_disputed_or_paid(box: Box, centre: Centre) -> None:
    with db.write_tx(centre.engine) as tx:
        for number in (invoice("LDS-2026-A000009")["number"], "x", ""):
            with pytest.raises(NotFound):
                payments.dispute(tx, number, "", who="test", now=centre.now())
            with pytest.raises(NotFound):
                payments.resolve(tx, number, who="test", now=centre.now())
        tokens.create(tx, "x", "read", days=1, who="test", now=centre.now())
        tokens.revoke(tx, 1, who="test", now=centre.now())
        with pytest.raises(Refused):
            tokens.revoke(tx, 1, who="test", now=centre.now())
