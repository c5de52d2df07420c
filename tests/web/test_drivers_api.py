"""Drivers through the API: the same rules as by command."""

from __future__ import annotations

from sqlite_utils import Database

from appliance.storage.db import value
from tests.web.conftest import Client, problem


def test_a_driver_is_added_changed_disabled_and_enabled(client: Client, depot_db: Database) -> None:
    wanted = {"code": "D20", "name": "Ann Lee", "phone": "+44 1", "licence_expires_on": "2026-02-01"}
    made = client.post("/api/v1/drivers", json=wanted)
    assert made.status_code == 201
    assert {key: made.json()[key] for key in wanted} == wanted
    changed = client.patch("/api/v1/drivers/D20", json={"phone": "+44 2", "documents_expire_on": "2026-01-20"}).json()
    assert (changed["phone"], changed["name"], changed["licence_expires_on"]) == ("+44 2", "Ann Lee", "2026-02-01")
    ends = client.get("/api/v1/expiring").json()["items"]
    assert [(one["code"], one["what"], one["days"]) for one in ends] == [
        ("D20", "documents", -6),
        ("D20", "licence", 6),
    ]
    assert client.patch("/api/v1/drivers/D20", json={"licence_expires_on": None}).json()["licence_expires_on"] is None
    assert client.post("/api/v1/drivers/D20/disable").json()["disabled_at"]
    assert "D20" not in {one["code"] for one in client.get("/api/v1/drivers").json()["items"]}
    assert "D20" in {one["code"] for one in client.get("/api/v1/records/drivers").json()["items"]}
    problem(client.post("/api/v1/drivers/D20/disable"), 409)
    assert client.post("/api/v1/drivers/D20/enable").json()["disabled_at"] is None
    assert value(depot_db, "SELECT who FROM audit_log WHERE action = 'driver.enabled'") == "administrator@depot.example"


def test_a_driver_with_trips_is_not_disabled_and_the_trips_are_named(client: Client) -> None:
    assert "under way" in problem(client.post("/api/v1/drivers/D1/disable"), 409)


def test_what_is_wrong_or_unknown_says_so(client: Client) -> None:
    problem(client.get("/api/v1/drivers/D99"), 404)
    problem(client.patch("/api/v1/drivers/D99", json={}), 404)
    assert "colour" in problem(client.patch("/api/v1/drivers/D1", json={"colour": "red"}), 400)
    assert "name" in problem(client.patch("/api/v1/drivers/D1", json={"name": None}), 400)
    assert "email" in problem(client.patch("/api/v1/drivers/D1", json={"email": "nobody"}), 400)
