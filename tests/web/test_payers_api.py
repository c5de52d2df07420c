"""Payers and rates through the API: the same rules as by command."""

from __future__ import annotations

from tests.web.conftest import Client, problem


def test_a_payer_gets_a_rate_and_its_trips_are_asked_for(client: Client) -> None:
    made = client.post("/api/v1/payers", json={"kind": "facility", "name": "Renal Unit", "terms_days": 14})
    assert made.status_code == 201
    path = f"/api/v1/payers/{made.json()['id']}"
    assert client.patch(path, json={"delivery": "print"}).json()["delivery"] == "print"
    rate = {"level": "wheelchair", "valid_from": "2026-02-01", "base_cents": 2450, "after_hours_from": "19:30"}
    (first,) = client.post(f"{path}/rates", json=rate).json()["items"]
    assert (first["base_cents"], first["unit"], first["valid_to"]) == (2450, "mile", None)
    both = client.post(f"{path}/rates", json={**rate, "valid_from": "2026-03-01"}).json()["items"]
    assert [one["valid_to"] for one in both] == ["2026-02-28", None]
    problem(client.post(f"{path}/rates", json=rate), 409)
    assert "base_cents" in problem(client.post(f"{path}/rates", json={**rate, "base_cents": -1}), 400)
    assert client.get(f"{path}/rates").json()["total"] == 2
    assert client.get("/api/v1/payers").json()["total"] == 2


def test_what_is_unknown_or_wrong_says_so(client: Client) -> None:
    problem(client.get("/api/v1/payers/99"), 404)
    problem(client.get("/api/v1/payers/99/rates"), 404)
    problem(client.patch("/api/v1/payers/99", json={}), 404)
    assert "name" in problem(client.post("/api/v1/payers", json={"kind": "broker"}), 400)
    problem(client.post("/api/v1/payers", json={"kind": "patient", "patient_id": 999}), 404)


def test_a_rate_is_corrected_and_ended(client: Client) -> None:
    path = f"/api/v1/payers/{client.post('/api/v1/payers', json={'kind': 'facility', 'name': 'Unit 2'}).json()['id']}"
    rate = {"level": "wheelchair", "valid_from": "2026-02-01", "base_cents": 2450}
    (first,) = client.post(f"{path}/rates", json=rate).json()["items"]
    address = f"{path}/rates/{first['id']}"
    (found,) = client.put(address, json={**rate, "base_cents": 2500}).json()["items"]
    assert (found["id"], found["base_cents"]) == (first["id"], 2500)
    (found,) = client.post(f"{address}/end", json={"valid_to": "2026-06-30"}).json()["items"]
    assert found["valid_to"] == "2026-06-30"
    problem(client.post(f"{address}/end", json={"valid_to": "2026-01-01"}), 400)
    problem(client.put(f"/api/v1/payers/1/rates/{first['id']}", json=rate), 404)


def test_payers_are_paged_and_found_by_name(client: Client) -> None:
    client.post("/api/v1/payers", json={"kind": "facility", "name": "Renal Unit"})
    assert client.get("/api/v1/payers", params={"q": "renal"}).json()["total"] == 1
    assert client.get("/api/v1/payers", params={"kind": "broker"}).json()["total"] == 1
    page = client.get("/api/v1/payers", params={"limit": 1, "offset": 1}).json()
    assert ([one["name"] for one in page["items"]], page["total"]) == (["Renal Unit"], 2)
