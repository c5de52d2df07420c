"""Adjustments of invoices through the API: the list, and deciding one."""

from __future__ import annotations

from typing import Any

import pytest
from sqlite_utils import Database

from appliance.storage import adjustments
from appliance.storage.db import open_depot, write_tx
from tests.web import world
from tests.web.conftest import Client, problem

URL = "/api/v1/adjustments"
SEEN = {"new_total_cents": 4321}


@pytest.fixture
def invoice(client: Client, depot: world.World) -> dict[str, Any]:
    """An issued invoice with an open adjustment, number 1."""
    found: dict[str, Any] = client.get("/api/v1/invoices", params={"state": "issued"}).json()["items"][0]
    db: Database = open_depot(depot.settings.paths.depot_db)
    with write_tx(db) as tx:
        adjustments.open_for(tx, found["id"], 4200.0, 6000.0, 4321, depot.now)
    db.conn.close()
    return found


def states(client: Client) -> list[tuple[str, str | None]]:
    return [(one["state"], one["decided_by"]) for one in client.get(URL).json()["items"]]


def test_they_are_listed_by_state(client: Client, invoice: dict[str, Any]) -> None:
    page = client.get(URL, params={"state": "open"}).json()
    assert page == {
        "items": [
            {
                "id": 1, "invoice_id": invoice["id"], "number": invoice["number"], "trip_id": invoice["trip_id"],
                "state": "open", "old_distance_m": 4200.0, "new_distance_m": 6000.0,
                "old_total_cents": invoice["total_cents"], "new_total_cents": 4321, "currency": invoice["currency"],
                "raised_at": "2026-01-26T12:00:00Z", "decided_by": None, "decided_at": None,
            }
        ],
        "total": 1,
    }  # fmt: skip
    assert client.get(URL, params={"state": "lapsed"}).json() == {"items": [], "total": 0}
    problem(client.get(URL, params={"state": "new"}), 400)


@pytest.mark.parametrize(
    ("verb", "state", "of_invoice"), [("accept", "accepted", "void"), ("dismiss", "dismissed", "issued")]
)
def test_one_is_decided_once(client: Client, invoice: dict[str, Any], verb: str, state: str, of_invoice: str) -> None:
    assert "by now" in problem(client.post(f"{URL}/1/{verb}", json={"new_total_cents": 4320}), 409)
    answer = client.post(f"{URL}/1/{verb}", json=SEEN)
    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["state"]) == (invoice["id"], of_invoice)
    assert [decided for decided, by in states(client) if by] == [state]
    for again in ("accept", "dismiss"):
        assert problem(client.post(f"{URL}/1/{again}", json=SEEN), 409) == f"adjustment 1: it is {state} already"


def test_that_of_a_paid_invoice_is_refused_with_what_to_do(client: Client, invoice: dict[str, Any]) -> None:
    client.post(f"/api/v1/invoices/{invoice['id']}/payments", json={"amount_cents": 100})
    assert "take it back first" in problem(client.post(f"{URL}/1/accept", json=SEEN), 409)
    assert states(client) == [("open", None)]
    problem(client.post(f"{URL}/9/accept", json=SEEN), 404)
