"""What a dispatcher decides, through the API: who takes a trip, its real times, how it ends, who cannot drive."""

from __future__ import annotations

from typing import Any

from tests.web import world
from tests.web.conftest import NEW_TRIP, Client, problem, sign_in


def trip(client: Client, depot: world.World, ref: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/v1/trips/{depot.trips[ref]}").json()
    return found


def test_the_second_of_two_dispatchers_is_told(client: Client, depot: world.World) -> None:
    path = f"/api/v1/trips/{depot.trips['T-1017']}/events"
    seen = trip(client, depot, "T-1017")["version"]
    first = client.post(path, json={"event": "assign", "vehicle": "V8", "version": seen})
    assert first.status_code == 200
    said = problem(client.post(path, json={"event": "assign", "vehicle": "V7", "version": seen}), 409)
    assert "changed meanwhile; it is given to a vehicle but not started now" in said
    assert trip(client, depot, "T-1017")["vehicle"] == "V8"
    assert len(trip(client, depot, "T-1017")["events"]) == len(first.json()["events"])


def test_times_that_were_told_by_phone_are_entered(client: Client, depot: world.World) -> None:
    path = f"/api/v1/trips/{depot.trips['T-1013']}/stamps"
    answer = client.put(path, json={"on_board_at": "2026-01-26T11:50:00Z", "note": "no signal"})
    assert (answer.json()["state"], answer.json()["on_board_at"]) == ("in_progress", "2026-01-26T11:50:00Z")
    event = answer.json()["events"][-1]
    assert (event["source"], event["note"]) == ("phone", "no signal")
    said = problem(client.put(path, json={"arrived_dropoff_at": "2026-01-26T11:40:00Z"}), 409)
    assert said == "arrived_dropoff: it would be before the trip was marked on board"
    problem(client.put(path, json={"version": 1}), 409)
    problem(client.put("/api/v1/trips/999/stamps", json={}), 404)


def test_a_wrong_date_is_refused_and_every_page_goes_on(client: Client, depot: world.World) -> None:
    """What stood there once nobody could look at again: no calendar has a day before the first."""
    id = depot.trips["T-1013"]
    for at, says in (
        ("0001-01-01T00:00:00Z", "at: expected a time between 2000 and 2028"),
        ("9999-12-31T23:59:59-14:00", "at: expected a time between 2000 and 2028"),
        ("2025-01-26T12:00:00Z", f"trip {id}: the time is more than 12 hours before the pickup"),
    ):
        said = client.post(f"/api/v1/trips/{id}/events", json={"event": "en_route", "at": at})
        assert said.json()["detail"] == says
        said = client.put(f"/api/v1/trips/{id}/stamps", json={"en_route_at": at})
        assert said.json()["detail"] == says.replace("at:", "en_route:").replace(f"trip {id}:", "en_route:")
        typed = {"version": str(trip(client, depot, "T-1013")["version"]), "en_route": f"{at[:10]} 12:00"}
        assert client.post(f"/trips/{id}/acts/times", data=typed).status_code == 422
    for event in ("cancel", "assign"):
        problem(client.post(f"/api/v1/trips/{id}/events", json={"event": event, "at": "0001-01-01T00:00:00Z"}), 400)
    for page in ("/", "/board", f"/trips/{id}"):
        assert client.get(page, headers={"Accept": "text/html"}).status_code == 200


def test_nobody_was_ready_long_ago(client: Client, depot: world.World) -> None:
    path = f"/api/v1/trips/{depot.trips['T-1019']}/events"
    said = problem(client.post(path, json={"event": "ready", "at": "2026-01-25T11:00:00Z"}), 409)
    assert said.endswith("the time is more than a day ago")
    assert client.post(path, json={"event": "ready", "at": "2026-01-25T13:00:00Z"}).status_code == 200


def test_a_shift_is_of_this_age(client: Client, depot: world.World) -> None:
    for starts, ends in (("0001-01-01T00:00:00Z", "2026-01-26T18:00:00Z"), (None, "9999-12-31T23:59:59-14:00")):
        shift = {"vehicle": "V1", "driver": "D1", "starts_at": starts, "ends_at": ends}
        assert "expected a time between 2000 and 2028" in problem(client.post("/api/v1/shifts", json=shift), 400)


def test_who_could_take_a_trip_is_listed(client: Client, depot: world.World) -> None:
    found = client.get(f"/api/v1/trips/{depot.trips['T-1017']}/choices").json()
    assert {one["code"] for one in found["vehicles"]} == set(depot.vehicles)
    assert found["vehicles"][-1]["overlaps"] != []
    assert {one["code"] for one in found["drivers"]} == {f"D{n}" for n in range(1, 9)}


def test_a_cancelled_way_there_cancels_the_way_back_where_that_is_said(client: Client, depot: world.World) -> None:
    there = depot.trips["T-1017"]
    later = {"pickup_at": "2026-01-26T17:00:00Z", "will_call": True, "outbound_trip_id": there}
    back = client.post("/api/v1/trips", json=NEW_TRIP | later).json()
    assert (back["state"], back["outbound_trip_id"]) == ("will_call", there)
    say = {"event": "cancel", "cancelled_by": "patient", "note": "in hospital", "return_leg": "cancel"}
    answer = client.post(f"/api/v1/trips/{there}/events", json=say).json()
    assert (answer["cancelled_by"], answer["events"][-1]["note"]) == ("patient", "in hospital")
    assert client.get(f"/api/v1/trips/{back['id']}").json()["state"] == "cancelled"
    assert "outbound_trip_id 999" in problem(
        client.post("/api/v1/trips", json=NEW_TRIP | {"outbound_trip_id": 999}), 404
    )


def test_an_unavailable_drivers_trips_are_handed_over_and_back(client: Client, depot: world.World) -> None:
    done = client.post("/api/v1/drivers/D1/unavailable", json={"to": "D8"}).json()
    assert set(done["trips"]) == {depot.trips["T-1008"], depot.trips["T-1013"]}
    assert {trip(client, depot, ref)["driver"] for ref in ("T-1008", "T-1013")} == {"D8"}
    assert "unavailable already" in problem(client.post("/api/v1/drivers/D1/unavailable", json={}), 409)
    back = client.post(f"/api/v1/handovers/{done['id']}/undo").json()
    assert (set(back["trips"]), back["left"]) == (set(done["trips"]), [])
    assert {trip(client, depot, ref)["driver"] for ref in ("T-1008", "T-1013")} == {"D1"}
    assert client.post("/api/v1/drivers/D1/unavailable", json={}).status_code == 200
    assert client.post("/api/v1/drivers/D1/available").json() == {"code": "D1"}
    problem(client.post("/api/v1/drivers/D1/available"), 409)
    problem(client.post("/api/v1/handovers/99/undo"), 404)


def test_a_viewer_changes_nothing(client: Client, depot: world.World) -> None:
    sign_in(client, depot, "viewer")
    problem(client.put(f"/api/v1/trips/{depot.trips['T-1013']}/stamps", json={}), 403)
    problem(client.post("/api/v1/drivers/D1/unavailable", json={}), 403)
