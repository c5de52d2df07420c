"""A past hour through the API, and its page."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta

import pytest

from appliance import past_hour
from appliance.domain.fix import Fix
from appliance.storage import times
from appliance.storage.gps_writer import Arrival, Batch, Writer
from tests.web import world
from tests.web.conftest import NOON, Client, problem

URL = "/api/v1/replay"
ELEVEN = "2026-01-26T11:00:00Z"


def store(depot: world.World, *fixes: Fix, vehicle: str = "V8") -> None:
    device = int(vehicle.removeprefix("V"))
    writer = Writer(depot.settings.paths.gps_dir, late_s=1e9)
    writer.commit(Batch([Arrival(depot.vehicles[vehicle], device, fix, fix.at) for fix in fixes]), depot.now)
    writer.close()


def test_each_vehicle_has_its_positions_of_the_hour_in_order(client: Client) -> None:
    hour = client.get(URL, params={"start": ELEVEN}).json()
    assert (hour["start"], hour["end"], hour["step_s"]) == (ELEVEN, "2026-01-26T12:00:00Z", 1)
    points = {vehicle["code"]: vehicle["points"] for vehicle in hour["vehicles"]}
    assert {code: len(found) for code, found in points.items()} == {
        "V1": 60, "V2": 60, "V3": 60, "V4": 60, "V5": 60, "V6": 57, "V7": 21, "V8": 0,
    }  # fmt: skip
    seconds = [point[0] for point in points["V1"]]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] <= seconds[-1] <= 3600
    assert points["V1"][0][3] is not None


def test_a_point_is_the_fix_as_it_was_stored(client: Client, depot: world.World) -> None:
    at = NOON - timedelta(minutes=30)
    store(depot, Fix(at, 53.4, -2.9, speed_kmh=31.5, heading_deg=90))
    hour = client.get(URL, params={"start": ELEVEN, "vehicle": "V8"}).json()
    assert [vehicle["points"] for vehicle in hour["vehicles"]] == [[[1800.0, 53.4, -2.9, 31.5, 90.0]]]


def test_the_trips_under_way_come_with_their_vehicle(client: Client) -> None:
    hour = client.get(URL, params={"start": ELEVEN, "vehicle": "V1"}).json()
    (ride,) = hour["vehicles"][0]["rides"]
    assert (ride["ref"], ride["driver"], ride["ended"]) == ("T-1008", "Alex Rowe", None)


def test_an_answer_is_bounded_however_often_vehicles_report(
    client: Client, depot: world.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = NOON - timedelta(minutes=30)
    moving = [Fix(start + timedelta(seconds=n), 53.4 + n / 10_000, -2.9) for n in range(600)]
    store(depot, *moving)
    whole = client.get(URL, params={"start": times.text(start), "vehicle": "V8", "minutes": 10}).json()
    assert (whole["step_s"], len(whole["vehicles"][0]["points"])) == (1, 600)
    monkeypatch.setattr(past_hour, "MOST_POINTS", 60)
    fewer = client.get(URL, params={"start": times.text(start), "vehicle": "V8", "minutes": 10}).json()
    assert fewer["step_s"] == 10
    assert fewer["vehicles"][0]["points"] == whole["vehicles"][0]["points"][::10]


def test_a_vehicle_that_stands_has_few_positions_and_no_pause_among_them(client: Client, depot: world.World) -> None:
    start = NOON - timedelta(minutes=30)
    store(depot, *(Fix(start + timedelta(seconds=n), 53.4, -2.9 + (n % 2) / 1e6) for n in range(601)))
    found = client.get(URL, params={"start": times.text(start), "vehicle": "V8", "minutes": 15}).json()
    seconds = [point[0] for point in found["vehicles"][0]["points"]]
    assert len(seconds) <= 25
    assert (seconds[0], seconds[-1]) == (0, 600)
    assert max(later - earlier for earlier, later in itertools.pairwise(seconds)) <= past_hour.STANDING_S


def test_an_outlier_is_not_shown(client: Client, depot: world.World) -> None:
    start = NOON - timedelta(minutes=30)
    store(depot, *(Fix(start + timedelta(seconds=n), 53.4 if n != 30 else 54.4, -2.9) for n in range(60)))
    found = client.get(URL, params={"start": times.text(start), "vehicle": "V8"}).json()
    assert {point[1] for point in found["vehicles"][0]["points"]} == {53.4}


def test_an_hour_over_midnight_comes_from_both_days(client: Client, depot: world.World) -> None:
    midnight = NOON - timedelta(hours=12)
    store(depot, *(Fix(midnight + timedelta(minutes=n), 53.4 + n / 1000, -2.9) for n in range(-5, 5)))
    found = client.get(URL, params={"start": times.text(midnight - timedelta(minutes=30)), "vehicle": "V8"}).json()
    assert [point[0] for point in found["vehicles"][0]["points"]] == [60.0 * n for n in range(25, 35)]


def test_what_is_no_past_hour_is_a_problem_document(client: Client) -> None:
    assert "not come yet" in problem(client.get(URL, params={"start": "2026-01-26T12:01:00Z"}), 400)
    assert "with a zone" in problem(client.get(URL, params={"start": "2026-01-26T11:00:00"}), 400)
    problem(client.get(URL, params={"start": "0001-01-01T00:00:00+14:00"}), 400)
    problem(client.get(URL, params={"start": ELEVEN, "minutes": 61}), 400)
    problem(client.get(URL), 400)
    assert "no such vehicle" in problem(client.get(URL, params={"start": ELEVEN, "vehicle": "V99"}), 404)


def test_the_page_takes_a_local_time_and_shows_the_last_hour_without_one(client: Client, depot: world.World) -> None:
    assert 'data-start="2026-01-26T11:00:00Z"' in client.get("/replay").text
    summer = client.get("/replay", params={"at": "2025-07-01T09:30", "vehicle": "V2"}).text
    assert 'data-start="2025-07-01T08:30:00Z"' in summer
    assert 'value="2025-07-01T09:30"' in summer
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="(/replay\?[^"]+)"', summer)]
    assert [client.get(link).status_code for link in links] == [200, 200]
    later = client.get(links[1]).text
    assert 'data-start="2025-07-01T09:30:00Z"' in later
    assert 'data-vehicle="V2"' in later


def test_the_hour_that_comes_twice_can_be_reached_twice(client: Client) -> None:
    first = client.get("/replay", params={"at": "2025-10-26T01:30"}).text
    assert 'data-start="2025-10-26T00:30:00Z"' in first
    assert "start=2025-10-26T01%3A30%3A00Z" in first


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"at": "tomorrow"}, "expected a day and a time"), ({"at": "2026-01-26T12:01"}, "not come yet"),
        ({"at": "0001-01-01T00:00"}, "after 2020"), ({"vehicle": "V99"}, "no such vehicle"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_beside_its_field(client: Client, asked: dict[str, str], why: str) -> None:
    answer = client.get("/replay", params=asked)
    assert answer.status_code == 422
    assert why in answer.text.lower()
    assert 'data-start=""' in answer.text
