"""Patients through the API: the same rules as by command."""

from __future__ import annotations

from sqlite_utils import Database

from appliance.storage.db import value
from tests.web.conftest import Client, problem


def test_a_patient_is_added_found_changed_and_erased(client: Client, depot_db: Database) -> None:
    def views() -> int:
        viewed = "SELECT count(*) FROM audit_log WHERE action = 'patient.viewed' AND who = ?"
        return int(value(depot_db, viewed, "administrator@depot.example"))

    made = client.post("/api/v1/patients", json={"name": "Ada Quill", "address": "5 Sandy Lane"})
    assert made.status_code == 201
    path = f"/api/v1/patients/{made.json()['id']}"
    before = views()
    assert client.get(path).json() == made.json()
    assert client.post("/api/v1/patients/search", json={"query": "QUILL"}).json() == {
        "items": [made.json()],
        "total": 1,
    }
    assert views() == before + 2
    assert client.patch(path, json={"email": "ada@example.org"}).json()["email"] == "ada@example.org"
    assert client.post(f"{path}/consent", json={"email": True}).json()["email_consent"] is True
    erased = client.post(f"{path}/erase").json()
    assert (erased["name"], erased["address"], erased["email_consent"]) == ("(erased)", "", False)
    assert erased["erased_at"]
    assert erased["left"] == []
    problem(client.post(f"{path}/erase"), 409)
    problem(client.patch(path, json={"name": "Ada"}), 409)
    problem(client.post(f"{path}/consent", json={"email": True}), 409)


def test_a_patient_under_way_is_not_erased(client: Client, depot_db: Database) -> None:
    patient = value(depot_db, "SELECT patient_id FROM trips WHERE state = 'in_progress' LIMIT 1")
    assert "under way" in problem(client.post(f"/api/v1/patients/{patient}/erase"), 409)


def test_what_is_unknown_or_wrong_says_so(client: Client) -> None:
    problem(client.get("/api/v1/patients/9999"), 404)
    problem(client.post("/api/v1/patients/9999/erase"), 404)
    assert "name" in problem(client.post("/api/v1/patients", json={"phone": "1"}), 400)
    problem(client.post("/api/v1/patients/search", json={"name": "x"}), 400)
