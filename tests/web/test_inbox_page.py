"""The bell, the inbox, and the page Help."""

from __future__ import annotations

import re

import pytest
from sqlite_utils import Database

from appliance.domain.presence import VehicleState
from appliance.domain.trip import State
from appliance.storage import notifications, users
from appliance.storage.db import write_tx
from appliance.storage.jobs import STATES
from tests.web import world
from tests.web.conftest import Client, problem, sign_in
from web import signs


@pytest.fixture
def told(depot: world.World, depot_db: Database) -> list[int]:
    """The administrator has two messages, the biller one; the ids in that order."""
    with write_tx(depot_db) as tx:
        for key in ("first", "second"):
            notifications.tell_role(tx, "administrator", "note", f"The {key} message", key, depot.now)
        notifications.tell_role(tx, "biller", "note", "For the biller", "third", depot.now)
    return [row["id"] for role in ("administrator", "biller") for row in reversed(inbox(depot_db, role))]


def inbox(db: Database, role: str) -> list[dict[str, object]]:
    user = users.by_email(db, world.address_of(role))
    assert user
    found: list[dict[str, object]] = [row for row in notifications.of_user(db, user["id"]) if row["type"] == "note"]
    return found


def bell(client: Client) -> str:
    found = re.search(r'id="bell".*?(\d+) unread message', client.get("/strip").text, re.DOTALL)
    assert found
    return found[1]


def test_the_bell_counts_what_is_unread_until_it_is_read(client: Client, told: list[int]) -> None:
    assert bell(client) == "2"
    page = client.get("/inbox").text
    assert page.index("The second message") < page.index("The first message")
    assert "For the biller" not in page
    assert client.post(f"/inbox/{told[0]}/read").is_success
    assert bell(client) == "1"
    assert "All messages are marked as read" in client.post("/inbox/read").text
    assert bell(client) == "0"


def test_nobody_reads_or_marks_the_messages_of_another(client: Client, depot: world.World, told: list[int]) -> None:
    problem(client.post(f"/api/v1/notifications/{told[2]}/read"), 404)
    sign_in(client, depot, "biller")
    found = client.get("/api/v1/notifications").json()
    assert [one["message"] for one in found["items"] if one["type"] == "note"] == ["For the biller"]
    before = found["unread"]
    assert client.post(f"/api/v1/notifications/{told[2]}/read").status_code == 204
    assert client.get("/api/v1/notifications").json()["unread"] == before - 1
    assert client.post("/api/v1/notifications/read").status_code == 204
    assert client.get("/api/v1/notifications").json()["unread"] == 0


def test_a_token_has_no_inbox(client: Client, depot: world.World) -> None:
    token = world.api_token(depot.settings)
    client.cookies.clear()
    assert client.get("/api/v1/notifications", headers=token).status_code in (401, 403)


def test_an_empty_inbox_says_what_will_appear(client: Client) -> None:
    assert "No messages." in client.get("/inbox").text


def test_every_state_is_explained_on_the_page_and_in_the_dialog(client: Client, depot: world.World) -> None:
    vehicles = signs.vehicles(depot.settings.limits)
    assert {one.word for one in vehicles} == {*VehicleState} - {VehicleState.never}
    assert set(signs.TRIPS) == set(State)
    assert {one.word for one in signs.JOBS} == set(STATES)
    page = client.get("/help").text
    dialog = client.get("/").text.partition('<dialog id="help"')[2]
    assert all(one.text in page and one.text in dialog for one in vehicles)
    assert all(one.text in page for one in (*signs.JOBS, *signs.INVOICES, *signs.HEALTH))
    assert all(text in page and text in dialog for _, text in signs.KEYS)
