"""A trip's outliers through the API: the list, and keeping one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from appliance.domain.fix import Fix
from appliance.storage import times
from appliance.storage.gps_writer import Arrival, Batch, Writer
from tests.web import world
from tests.web.conftest import Client, problem


@pytest.fixture
def url(client: Client, depot: world.World) -> str:
    """Of a completed trip with one fix that lies far away."""
    url = f"/api/v1/trips/{depot.trips['T-1005']}"
    trip = client.get(url).json()
    at = times.parse(trip["on_board_at"]) + timedelta(seconds=61)
    device = int(trip["vehicle"].removeprefix("V"))
    writer = Writer(depot.settings.paths.gps_dir, late_s=1e9)
    writer.commit(Batch([Arrival(depot.vehicles[trip["vehicle"]], device, Fix(at, 54.5, -2.9), at)]), depot.now)
    writer.close()
    return url


def test_one_is_listed_and_kept_once_and_left_out_again(client: Client, url: str) -> None:
    def trail() -> int:
        return len(client.get(f"{url}/trail").json()["features"])

    without = trail()
    page = client.get(f"{url}/outliers").json()
    (found,) = page["items"]
    assert (found["lat"], found["reason"], found["bound"], found["overruled_by"]) == (
        54.5, "implied_speed", "at most 250 km/h", None,
    )  # fmt: skip
    assert page["total"] == 1
    assert client.get(f"{url}/outliers", params={"offset": 1}).json() == {"items": [], "total": 1}
    for undo, fixes in ((False, without + 1), (True, without)):
        said = {"at": found["at"], "undo": undo}
        assert client.post(f"{url}/outliers/overrule", json=said).json() == {"changed": True}
        assert client.post(f"{url}/outliers/overrule", json=said).json() == {"changed": False}
        assert trail() == fixes
        assert (client.get(f"{url}/outliers").json()["items"][0]["overruled_by"] is None) == undo


def test_what_is_no_outlier_is_a_problem_document(client: Client, url: str) -> None:
    for at in ("2026-01-26T09:00:00Z", "0001-01-01T00:00:00+14:00"):
        assert "no outlier of that time" in problem(client.post(f"{url}/outliers/overrule", json={"at": at}), 404)
    problem(client.post(f"{url}/outliers/overrule", json={"at": "2026-01-26T09:00:00"}), 400)
    problem(client.get("/api/v1/trips/999/outliers"), 404)
