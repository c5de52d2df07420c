"""Today: the forms of a trip's acts, new trips, crews, and what a viewer cannot do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlite_utils import Database

from appliance.storage import shifts
from appliance.storage.db import rows, value, write_tx
from tests.web import world
from tests.web.conftest import Client, sign_in


def trip(client: Client, depot: world.World, ref: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/v1/trips/{depot.trips[ref]}").json()
    return found


def act(client: Client, depot: world.World, ref: str, name: str, **fields: Any) -> Any:
    given = {"version": str(version(client, depot, ref))} | fields
    return client.post(f"/trips/{depot.trips[ref]}/acts/{name}", data=given)


def version(client: Client, depot: world.World, ref: str) -> int:
    page = client.get(f"/trips/{depot.trips[ref]}/forms/change").text
    return int(re.findall(r'name="version" value="(\d+)"', page)[0])


def beside(page: str, of: str, field: str = "") -> str:
    """What is said beside a field."""
    found = re.search(rf'id="{of}-{field}-problem">([^<]*)<', page)
    return found[1] if found else ""


def acts_of(page: str) -> list[str]:
    return re.findall(r'data-act="(\w+)"', page)


@pytest.mark.parametrize(
    ("ref", "fitting"),
    [
        ("T-1017", ["assign", "change", "return", "missed", "cancel"]),
        ("T-1019", ["ready", "change", "return", "cancel"]),
        ("T-1013", ["assign", "times", "change", "return", "unassign", "no_show", "missed", "cancel"]),
        ("T-1009", ["times", "change", "return", "unassign", "cancel"]),
        ("T-1006", ["reopen"]),
        ("T-1001", ["times", "return", "reopen"]),
    ],
)
def test_a_trip_offers_what_fits_its_state(client: Client, depot: world.World, ref: str, fitting: list[str]) -> None:
    assert acts_of(client.get(f"/trips/{depot.trips[ref]}/panel").text) == fitting
    assert acts_of(client.get(f"/trips/{depot.trips[ref]}/acts").text) == fitting


def test_a_viewer_sees_no_buttons_and_is_refused(client: Client, depot: world.World) -> None:
    seen = version(client, depot, "T-1017")
    sign_in(client, depot, "viewer")
    for page in (client.get("/").text, client.get(f"/trips/{depot.trips['T-1017']}/panel").text):
        assert "data-act=" not in page
        assert "data-form=" not in page
        assert "New trip" not in page
    path = f"/trips/{depot.trips['T-1017']}"
    for answer in (
        client.get(f"{path}/forms/assign"),
        client.post(f"{path}/acts/assign", data={"vehicle": "V8", "version": str(seen)}),
        client.get("/trips/new/form"),
        client.post("/trips/new", data={}),
        client.post("/trips/new/patients", data={"patient": "Quentin"}),
        client.get("/crews?driver=D1"),
        client.post("/crews/D1/unavailable", data={}),
    ):
        assert answer.status_code == 403
    assert trip(client, depot, "T-1017")["state"] == "scheduled"


def test_a_trip_is_assigned_and_the_page_is_told(client: Client, depot: world.World) -> None:
    answer = act(client, depot, "T-1017", "assign", vehicle="V8", driver="D8")
    assert answer.status_code == 200
    assert "Trip T-1017: given to V8 with Hope Lane." in answer.text
    told = json.loads(answer.headers["HX-Trigger-After-Swap"])
    assert told == {"depot:acted": {"trip": depot.trips["T-1017"], "act": "assign"}}
    assert (trip(client, depot, "T-1017")["vehicle"], trip(client, depot, "T-1017")["driver"]) == ("V8", "D8")


def test_a_level_that_does_not_fit_is_refused_beside_the_vehicle(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    depot_db.conn.execute("UPDATE vehicles SET levels = 'ambulatory' WHERE code = 'V8'")
    answer = act(client, depot, "T-1020", "assign", vehicle="V8", driver="D8")
    assert answer.status_code == 422
    assert beside(answer.text, "assign", "vehicle") == "Vehicle V8 is not fitted for stretcher."
    assert re.search(r'value="V8" data-partner="[^"]*" disabled|value="V8" disabled', answer.text)
    assert "not fitted for stretcher" in answer.text


def test_an_overlap_warns_once_and_is_overruled(client: Client, depot: world.World) -> None:
    answer = act(client, depot, "T-1017", "assign", vehicle="V4", driver="D4")
    assert answer.status_code == 422
    assert "It overlaps: V4 has T-1016 at 12:40" in beside(answer.text, "assign")
    assert "Assign all the same" in answer.text
    (seen,) = re.findall(r'name="seen" value="([^"]*)"', answer.text)
    assert act(client, depot, "T-1017", "assign", vehicle="V4", driver="D4", seen=seen).status_code == 200
    assert trip(client, depot, "T-1017")["vehicle"] == "V4"


def test_the_second_dispatcher_is_told_and_decides_again(client: Client, depot: world.World) -> None:
    seen = str(version(client, depot, "T-1017"))
    act(client, depot, "T-1017", "assign", vehicle="V8", driver="D8")
    second = act(client, depot, "T-1017", "assign", vehicle="V7", driver="D7", version=seen)
    assert second.status_code == 422
    assert "changed meanwhile; it is given to a vehicle but not started now" in beside(second.text, "assign")
    assert 'value="V7" checked' in second.text
    assert trip(client, depot, "T-1017")["vehicle"] == "V8"
    (fresh,) = re.findall(r'name="version" value="(\d+)"', second.text)
    again = act(client, depot, "T-1017", "assign", vehicle="V7", driver="D7", version=fresh)
    assert again.status_code == 200
    assert trip(client, depot, "T-1017")["vehicle"] == "V7"


def test_times_are_entered_by_phone_and_one_that_cannot_be_is_told_beside_it(
    client: Client, depot: world.World
) -> None:
    answer = act(client, depot, "T-1013", "times", en_route="1150", on_board="11:40")
    assert answer.status_code == 422
    assert beside(answer.text, "times", "en_route") == "It would be after the trip was marked on board."
    assert 'value="1150"' in answer.text
    wrong = act(client, depot, "T-1013", "times", en_route="noon")
    assert beside(wrong.text, "times", "en_route") == "Expected a time like 14:05."
    assert act(client, depot, "T-1013", "times", en_route="1150", note="no signal").status_code == 200
    assert trip(client, depot, "T-1013")["en_route_at"] == "2026-01-26T11:50:00Z"
    panel = client.get(f"/trips/{depot.trips['T-1013']}/panel").text
    assert re.search(r"En route</span> <b>11:50</b> <span class=\"by\">.*?by phone", panel)


def test_times_that_stand_there_are_no_correction(client: Client, depot: world.World) -> None:
    before = trip(client, depot, "T-1009")
    shown = before["on_board_at"][11:16]
    answer = act(client, depot, "T-1009", "times", on_board=shown)
    assert "expected a time in one of the fields" in answer.text.lower()
    assert trip(client, depot, "T-1009")["events"] == before["events"]


def test_a_cancellation_needs_who_and_why(client: Client, depot: world.World) -> None:
    who = act(client, depot, "T-1017", "cancel", note="in hospital")
    assert "who does not want it" in beside(who.text, "cancel", "cancelled_by")
    assert 'value="in hospital"' in who.text
    why = act(client, depot, "T-1017", "cancel", cancelled_by="patient")
    assert beside(why.text, "cancel", "note") == "Expected a few words."
    assert act(client, depot, "T-1017", "cancel", cancelled_by="patient", note="in hospital").status_code == 200
    panel = client.get(f"/trips/{depot.trips['T-1017']}/panel").text
    assert "By the patient: in hospital" in panel


def test_a_no_show_asks_about_the_way_back(client: Client, depot: world.World) -> None:
    assert act(client, depot, "T-1013", "return", kind="will_call", return_at="17:00").status_code == 200
    form = client.get(f"/trips/{depot.trips['T-1013']}/forms/no_show").text
    assert "Its way back" in form
    short = act(client, depot, "T-1013", "no_show", contact_attempts="2", waited="5")
    assert "has waited 5 of 10 minutes" in beside(short.text, "no_show", "waited")
    none = act(client, depot, "T-1013", "no_show", contact_attempts="0", waited="15")
    assert "called 0 of 1 times" in beside(none.text, "no_show", "contact_attempts")
    done = act(client, depot, "T-1013", "no_show", contact_attempts="2", waited="15", return_leg="cancel", phone="yes")
    assert "and its return leg cancelled" in done.text
    assert trip(client, depot, "T-1013")["events"][-1]["source"] == "phone"
    back = client.get("/api/v1/trips?state=cancelled&limit=1").json()["items"][0]
    assert back["outbound_trip_id"] == depot.trips["T-1013"]


def test_a_will_call_is_ready_and_names_its_way_there(client: Client, depot: world.World) -> None:
    act(client, depot, "T-1001", "return", kind="will_call", return_at="15:00")
    board = client.get("/board").text
    assert re.search(r"back of T-1001, completed \d\d:\d\d", board)
    id = int(value_of(r'id="trip-(\d+)"[^>]*data-title="#', board))
    form = client.get(f"/trips/{id}/forms/ready").text
    assert "Way back of T-1001" in form
    seen = value_of(r'name="version" value="(\d+)"', form)
    assert client.post(f"/trips/{id}/acts/ready", data={"version": seen, "at": "12:30"}).status_code == 200
    found = client.get(f"/api/v1/trips/{id}").json()
    assert (found["state"], found["pickup_at"]) == ("scheduled", "2026-01-26T12:30:00Z")


def value_of(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, pattern
    return found[1]


def test_a_cancelled_trip_is_reopened_and_what_is_planned_is_changed(client: Client, depot: world.World) -> None:
    assert act(client, depot, "T-1006", "reopen", version=str(trip_version(client, depot, "T-1006"))).status_code == 200
    planned = {
        "pickup_day": "2026-01-26", "pickup_time": "13:15", "appointment_time": "14:00", "pickup_address": "9 New Road",
        "dropoff_address": "Day Clinic", "level": "wheelchair", "payer": world.BROKER, "patient": "Fay Whitmore",
    }  # fmt: skip
    wrong = act(client, depot, "T-1006", "change", **(planned | {"pickup_address": ""}))
    assert beside(wrong.text, "change", "pickup_address") == "Expected a text."
    assert act(client, depot, "T-1006", "change", **planned).status_code == 200
    found = trip(client, depot, "T-1006")
    assert (found["pickup_at"], found["appointment_at"]) == ("2026-01-26T13:15:00Z", "2026-01-26T14:00:00Z")
    assert (found["pickup_address"], found["level"]) == ("9 New Road", "wheelchair")


def trip_version(client: Client, depot: world.World, ref: str) -> int:
    page = client.get(f"/trips/{depot.trips[ref]}/forms/reopen").text
    return int(value_of(r'name="version" value="(\d+)"', page))


NEW = {
    "pickup_day": "2026-01-27", "pickup_time": "0930", "appointment_time": "10:15", "pickup_address": "1 High Street",
    "dropoff_address": "Day Clinic", "level": "wheelchair", "patient": "Zoe New", "payer": world.BROKER,
}  # fmt: skip


def test_a_new_trip_with_its_way_back_is_planned(client: Client, depot: world.World) -> None:
    answer = client.post("/trips/new", data=NEW | {"return": "will_call", "return_at": "12:00"})
    assert "is planned with its way back" in answer.text
    page = client.get("/board?day=2026-01-27").text
    assert page.count('class="card"') == 2
    assert "Zoe New" in page
    there = json.loads(answer.headers["HX-Trigger-After-Swap"])["depot:acted"]["trip"]
    found = client.get(f"/api/v1/trips/{there}").json()
    assert (found["pickup_at"], found["level"], found["payer"]) == (
        "2026-01-27T09:30:00Z",
        "wheelchair",
        world.BROKER,
    )


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"pickup_time": "9"}, "pickup_time"),
        ({"pickup_day": "tomorrow"}, "pickup_day"),
        ({"pickup_address": ""}, "pickup_address"),
        ({"return": "time"}, "return_at"),
        ({"ref": "T-1001"}, "ref"),
    ],
)
def test_a_new_trip_that_cannot_be_keeps_what_was_typed(client: Client, wrong: dict[str, str], field: str) -> None:
    answer = client.post("/trips/new", data=NEW | {"ref": "N-1"} | wrong)
    assert answer.status_code == 422
    assert beside(answer.text, "new", field) != ""
    assert 'value="Zoe New"' in answer.text
    assert client.get("/api/v1/trips?limit=1").json()["total"] == 20


def test_a_patient_is_found_by_three_letters_and_that_is_recorded(client: Client, depot_db: Database) -> None:
    looked = "SELECT count(*) FROM audit_log WHERE action = 'patient.viewed'"
    assert "Quentin" not in client.post("/trips/new/patients", data={"patient": "Qu"}).text
    assert value(depot_db, looked) == 0
    assert 'data-patient="Quentin Vale"' in client.post("/trips/new/patients", data={"patient": "que"}).text
    assert value(depot_db, looked) == 1


def test_an_unavailable_drivers_trips_go_to_another_and_come_back(client: Client, depot: world.World) -> None:
    form = client.get("/crews?vehicle=V3&driver=D3").text
    assert "T-1010" in form
    assert "T-1015" in form
    done = client.post("/crews/D3/unavailable", data={"vehicle": "V3", "to": "D8"})
    assert "Cal Dunn is unavailable; 2 trips go to Hope Lane." in done.text
    assert trip(client, depot, "T-1015")["driver"] == "D8"
    assert "Undo: give 2 trips back" in client.get("/crews?driver=D3").text
    again = client.post("/crews/D3/unavailable", data={"to": ""})
    assert again.status_code == 422
    undone = client.post(value_of(r'hx-post="(/handovers/\d+/undo)"', done.text))
    assert "2 trips given back" in undone.text
    assert trip(client, depot, "T-1015")["driver"] == "D3"
    assert "Not undone" in client.post(value_of(r'hx-post="(/handovers/\d+/undo)"', done.text)).text


def test_crews_stand_by_shift_then_by_trip_then_who_is_free(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    driver = rows(depot_db, "SELECT id FROM drivers WHERE code = 'D7'")[0]["id"]
    with write_tx(depot_db) as tx:
        shifts.add(tx, depot.vehicles["V8"], driver, depot.now, depot.now.replace(hour=18), "test", depot.now)
    chips = re.findall(r'data-vehicle="(\w*)" data-driver="(\w*)" data-levels', client.get("/board").text)
    assert chips == [
        *((f"V{n}", f"D{n}") for n in range(1, 6)),
        ("V8", "D7"),
        ("V6", ""),
        ("V7", ""),
        ("", "D6"),
        ("", "D8"),
    ]


def test_another_day_shows_only_what_is_planned_for_it(client: Client) -> None:
    page = client.get("/?day=2026-01-25").text
    assert "Yesterday, Sun 25 Jan" in page
    assert 'href="/"' in page
    assert 'class="card"' not in page
    assert client.get("/?day=someday").status_code == 400
