"""Rejected fixes through the API: the list, and restoring one."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from appliance.domain.fix import Reason, Rejection
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Batch, Refused, Writer
from tests.web import world
from tests.web.conftest import NOON, Client, problem

URL = "/api/v1/fixes/rejected"


@pytest.fixture
def rejected(depot: world.World) -> Store:
    """One inaccurate fix of V1, one of nobody's, and one that cannot be read."""
    body = msgspec.json.encode({"lat": 53.4, "lon": -2.9, "t": NOON.timestamp() - 1.5, "accuracy_m": 900})
    writer = Writer(depot.settings.paths.gps_dir, late_s=10.0)
    found = [
        Refused("V1", 1, Rejection(Reason.inaccurate, "900 m", "200 m or better"), body, NOON),
        Refused("V77", None, Rejection(Reason.unknown_vehicle, "V77", "a known device"), body, NOON),
        Refused("V1", 1, Rejection(Reason.unparsable, "truncated", "JSON"), b'{"lat": \xff', NOON),
    ]
    writer.commit(Batch(refused=found), NOON)
    writer.close()
    return Store(depot.settings.paths.gps_dir)


def test_they_are_listed_by_vehicle_and_reason(client: Client, rejected: Store) -> None:
    page = client.get(URL).json()
    assert page["total"] == 3
    assert client.get(URL, params={"vehicle": "V1", "limit": 1, "offset": 1}).json()["items"][0]["id"] == "2026-01-26:1"
    (found,) = client.get(URL, params={"reason": "unparsable"}).json()["items"]
    assert found == {
        "id": "2026-01-26:3", "received_at": "2026-01-26T12:00:00Z", "vehicle": "V1", "reason": "unparsable",
        "value": "truncated", "bound": "JSON", "payload": '{"lat": \ufffd', "restored_at": None,
    }  # fmt: skip
    assert problem(client.get(URL, params={"reason": "ugly"}), 400)


def test_one_is_restored_once(client: Client, depot: world.World, rejected: Store) -> None:
    before = rejected.count()
    url = f"{URL}/2026-01-26:1/restore"
    assert client.post(url).json() == {"id": "2026-01-26:1", "restored": True}
    assert client.post(url).json() == {"id": "2026-01-26:1", "restored": False}
    assert rejected.count() == before + 1
    assert client.get(URL).json()["items"][2]["restored_at"] == "2026-01-26T12:00:00Z"


def test_one_of_nobodys_needs_its_vehicle(client: Client, depot: world.World, rejected: Store) -> None:
    url = f"{URL}/2026-01-26:2/restore"
    assert "name its vehicle" in problem(client.post(url), 400)
    assert client.post(url, params={"vehicle": "V2"}).json()["restored"]
    at = NOON - timedelta(seconds=1.5)
    assert len(rejected.trail(depot.vehicles["V2"], None, at, at)) == 1


@pytest.mark.parametrize(("id", "status"), [("2026-01-26:3", 409), ("2026-01-26:9", 404), ("none", 400)])
def test_what_cannot_be_restored_is_a_problem_document(client: Client, rejected: Store, id: str, status: int) -> None:
    assert problem(client.post(f"{URL}/{id}/restore"), status).startswith(id if status != 400 else "'none'")
