"""The pages of vehicles, drivers and patients as the server makes them: what they show, change and refuse."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlite_utils import Database

from appliance.storage import people, vehicles
from appliance.storage.db import rows, value
from tests.web import people_day, world
from tests.web.conftest import Client, problem, sign_in


@pytest.fixture
def patient(depot: world.World, client: Client) -> int:
    """The number of the patient with a record."""
    return people_day.make(depot)


def words(page: str) -> str:
    """What a reader of the content reads."""
    main = page.partition('<main id="main"')[2].partition("</main>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


def row_of(page: str, code: str) -> str:
    return words('<main id="main"' + next(part for part in page.split("<tr>") if f">{code}</a>" in part))


def audit(db: Database, subject: str) -> list[tuple[str, str]]:
    found = rows(db, "SELECT action, who FROM audit_log WHERE subject = ? ORDER BY id", subject)
    return [(one["action"], one["who"]) for one in found]


# Vehicles


def test_the_list_of_vehicles_warns_of_documents_in_words_and_finds_by_plate(client: Client, patient: int) -> None:
    page = client.get("/vehicles").text
    assert "ended 3 days ago" in row_of(page, "V2")
    assert "end in 12 days" in row_of(page, "V4")
    assert "end in" not in row_of(page, "V6")
    assert "live" in row_of(page, "V1")
    assert "/vehicles/V8" not in page
    assert "/vehicles/V8" in client.get("/vehicles?show=disabled").text
    assert re.findall(r'href="/vehicles/(V\d)"', client.get("/vehicles?q=dx73+abc").text) == ["V3"]
    assert re.findall(r'href="/vehicles/(V\d)"', client.get("/vehicles?show=papers").text) == ["V2", "V4"]


def test_a_vehicle_is_added_with_a_card_that_is_shown_once(client: Client, depot_db: Database) -> None:
    form = {"code": "V20", "name": "Van 20", "plate": "AB12 CDE", "level_wheelchair": "yes"}
    made = client.post("/vehicles", data=form)
    assert made.headers["hx-push-url"] == "/vehicles/V20"
    assert made.headers["cache-control"] == "no-store"
    said = words(made.text)
    assert "Card of V20-1" in said
    assert "depot/v1/vehicles/V20/gps" in said
    assert made.text.count("<svg") > made.text.count("<use")  # the codes, besides the signs
    (password,) = set(re.findall(r"<dt>password</dt><dd><code>([^<]{20,})</code>", made.text))
    assert "Card of" not in client.get("/vehicles/V20").text
    assert password not in client.get("/vehicles/V20").text
    found = vehicles.by_code(depot_db, "V20")
    assert found
    assert (found["plate"], found["levels"]) == ("AB12 CDE", "wheelchair")


@pytest.mark.parametrize(
    ("form", "said", "beside"),
    [
        ({"code": "V1", "level_wheelchair": "yes"}, "There is already a vehicle with this code.", "code"),
        ({"code": "V 1", "level_wheelchair": "yes"}, "Expected 1 to 32 letters, digits, - or _.", "code"),
        ({"code": "V21"}, "Levels of service: expected at least one.", ""),
    ],
)
def test_what_is_wrong_with_a_vehicle_is_said_beside_its_field_and_kept(
    client: Client, form: dict[str, str], said: str, beside: str
) -> None:
    answer = client.post("/vehicles", data=form)
    assert answer.status_code == 422
    assert f'id="add-{beside}-problem">{said}</p>' in answer.text
    assert f'value="{form["code"]}"' in answer.text


def test_a_lost_device_is_replaced_by_one_that_takes_its_part(client: Client, depot_db: Database) -> None:
    page = words(client.post("/vehicles/V1/devices/V1-1/replace", data={}).text)
    assert "V1-2 takes the place of V1-1" in page
    assert "Card of V1-2" in page
    devices = client.get("/api/v1/vehicles/V1/devices").json()["items"]
    assert [(one["username"], one["position_source"], one["revoked_at"] is None) for one in devices] == [
        ("V1-1", False, False), ("V1-2", True, True),
    ]  # fmt: skip
    again = client.post("/vehicles/V1/devices/V1-1/replace", data={})
    assert (again.status_code, "no such device in use" in words(again.text)) == (422, True)
    assert client.post("/vehicles/V2/devices/V1-2/replace", data={}).status_code == 422  # not of that vehicle
    made = client.post("/api/v1/vehicles/V1/devices/V1-2/replace", json={})
    assert (made.status_code, made.json()["username"]) == (201, "V1-3")
    sources = (
        "SELECT username FROM position_sources JOIN devices ON devices.id = device_id WHERE devices.vehicle_id = 1"
    )
    assert [one["username"] for one in rows(depot_db, f"{sources} ORDER BY position_sources.id")] == [
        "V1-1", "V1-2", "V1-3",
    ]  # fmt: skip


def test_a_vehicle_with_a_trip_stays_in_service_and_the_page_says_why(client: Client, patient: int) -> None:
    answer = client.post("/vehicles/V1/disable")
    assert answer.status_code == 422
    assert "assign the trips to another vehicle" in words(answer.text)
    assert "is in service again" in words(client.post("/vehicles/V8/enable").text)
    assert "is out of service" in words(client.post("/vehicles/V8/disable").text)
    assert "disabled already" in words(client.post("/vehicles/V8/disable").text)


def test_a_vehicles_page_tells_its_outages_and_a_viewer_no_devices(
    client: Client, depot: world.World, patient: int
) -> None:
    page = words(client.get("/vehicles/V1").text)
    assert "V1-1" in page
    assert "19 min; Alex Rowe" in page
    sign_in(client, depot, "viewer")
    page = words(client.get("/vehicles/V1").text)
    assert "Van 1" in page
    assert "V1-1" not in page
    assert "Edit" not in page
    assert client.get("/vehicles/V99").status_code == 404


# Drivers


def test_the_list_of_drivers_warns_of_each_paper_by_name(client: Client, patient: int) -> None:
    page = client.get("/drivers").text
    assert "licence ends in 21 days" in row_of(page, "D2")
    assert "licence ended 9 days ago" in row_of(page, "D3")
    assert "documents end in 4 days" in row_of(page, "D3")
    assert re.findall(r'href="/drivers/(D\d)"', client.get("/drivers?show=papers").text) == ["D2", "D3"]
    assert re.findall(r'href="/drivers/(D\d)"', client.get("/drivers?q=rowe").text) == ["D1"]


def test_a_driver_is_added_changed_and_put_out_of_service(client: Client, depot_db: Database) -> None:
    made = client.post("/drivers", data={"code": "D20", "name": "", "phone": "+44 1", "licence_expires_on": ""})
    assert made.headers["hx-push-url"] == "/drivers/D20"
    answer = client.post("/drivers/D20", data={"name": "Ann Lee", "licence_expires_on": "2026-13-01"})
    assert answer.status_code == 422
    assert "Expected a day such as 2027-03-31." in answer.text
    assert 'value="2026-13-01"' in answer.text
    form = {"name": "Ann Lee", "licence_expires_on": "2027-01-31", "user": "dispatcher@depot.example", "version": "1"}
    page = client.post("/drivers/D20", data=form).text
    assert "2027-01-31" in words(page)
    assert "dispatcher@depot.example" in words(page)
    found = people.driver_by_code(depot_db, "D20")
    assert found
    assert (found["name"], found["phone"]) == ("Ann Lee", "+44 1")
    assert "D20 drives no more" in words(client.post("/drivers/D20/disable").text)
    assert "D20 drives again" in words(client.post("/drivers/D20/enable").text)
    assert "under way" in words(client.post("/drivers/D1/disable").text)


def test_a_shift_is_in_the_depots_time_and_ends_at_its_own_driver_only(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    object.__setattr__(depot, "now", depot.now + timedelta(days=180))  # summer: the depot is ahead of UTC
    day = f"{depot.now:%Y-%m-%d}"
    page = client.post("/drivers/D1/shifts", data={"vehicle": "V1", "start": "", "end": f"{day}T18:00"})
    assert "The shift on V1 is added." in words(page.text)
    assert value(depot_db, "SELECT ends_at FROM shifts") == f"{day}T17:00:00.000Z"
    answer = client.post("/drivers/D2/shifts/1/end")
    assert (answer.status_code, "no such shift" in answer.text) == (422, True)
    (listed,) = client.get("/api/v1/shifts").json()["items"]
    assert (listed["driver"], listed["vehicle"]) == ("D1", "V1")
    assert "The shift is over." in words(client.post("/drivers/D1/shifts/1/end").text)
    assert client.get("/api/v1/shifts").json()["items"] == []
    for end in ("", f"{day}T01:00", "soon"):
        assert client.post("/drivers/D1/shifts", data={"vehicle": "V1", "end": end}).status_code == 422


def test_a_program_adds_and_ends_shifts(client: Client, depot: world.World) -> None:
    wanted = {"vehicle": "V1", "driver": "D1", "ends_at": "2026-01-26T18:00:00Z"}
    made = client.post("/api/v1/shifts", json=wanted)
    assert made.status_code == 201
    assert {key: made.json()[key] for key in wanted} == wanted
    assert client.post(f"/api/v1/shifts/{made.json()['id']}/end").status_code == 204
    problem(client.post(f"/api/v1/shifts/{made.json()['id']}/end"), 404)
    problem(client.post("/api/v1/shifts", json={**wanted, "driver": "D99"}), 404)
    problem(client.post("/api/v1/shifts", json={**wanted, "ends_at": "2026-01-26T18:00:00"}), 400)
    assert len(client.get("/api/v1/shifts?past=true").json()["items"]) == 1


def test_a_dispatcher_plans_shifts_and_changes_no_driver(client: Client, depot: world.World, patient: int) -> None:
    sign_in(client, depot, "dispatcher")
    page = words(client.get("/drivers/D1").text)
    assert "Add a shift" in page
    assert "Take out of service" not in page
    assert client.post("/drivers/D1", data={"name": "X"}).status_code == 403


# Patients


def test_no_patient_is_shown_before_somebody_searches_and_each_that_is_shown_is_audited(
    client: Client, depot_db: Database, patient: int
) -> None:
    before = len(audit(depot_db, "patient"))
    assert people_day.PATIENT not in client.get("/patients").text
    assert len(audit(depot_db, "patient")) == before
    page = client.post("/patients/search", data={"query": "marsh lane"}).text
    assert people_day.PATIENT in words(page)
    assert audit(depot_db, "patient")[before:] == [("patient.viewed", "administrator@depot.example")]
    assert "No such patient." in client.post("/patients/search", data={"query": "marsh street"}).text


def test_a_patients_name_is_in_no_address_and_no_title(client: Client, patient: int) -> None:
    page = client.get(f"/patients/{patient}").text
    assert people_day.PATIENT in words(page)
    assert "Marsh" not in page.partition("</head>")[0]
    assert not [href for href in re.findall(r'(?:href|action|hx-post)="([^"]*)"', page) if "arsh" in href]
    assert client.get("/patients?query=marsh").status_code == 200
    assert "Marsh" not in client.get("/patients?query=marsh").text.partition("</head>")[2]


def test_a_patient_is_added_changed_and_erased(client: Client, depot_db: Database) -> None:
    made = client.post("/patients", data={"name": "Zoe Quill", "email": "zoe@example.org", "consent": "yes"})
    path = made.headers["hx-push-url"]
    assert "allowed" in words(made.text)
    answer = client.post(path, data={"name": "Zoe Quill", "email": "nobody"})
    assert answer.status_code == 422
    assert 'value="nobody"' in answer.text
    lives = {"name": "Zoe Quill", "address": "5 Sandy Lane", "version": "1"}
    assert "5 Sandy Lane" in words(client.post(path, data=lives).text)
    travels = client.post(path, data={"level": "wheelchair", "needs": "Oxygen", "version": "2"}).text
    assert "Wheelchair" in words(travels)
    assert "Oxygen" in words(travels)
    assert client.post(path, data={"level": "sledge"}).status_code == 422
    assert "not given" in words(client.post(f"{path}/consent", data={"given": "no"}).text)
    page = client.post(f"{path}/erase").text
    assert "Erased patient" in words(page)
    assert "Zoe" not in page
    assert "Oxygen" not in page
    assert client.post(f"{path}/consent", data={"given": "yes"}).status_code == 422
    actions = [action for action, _ in audit(depot_db, "patient")]
    assert [action for action in actions if action != "patient.viewed"][-5:] == [
        "patient.consent", "patient.changed", "patient.changed", "patient.consent", "patient.erased",
    ]  # fmt: skip


def test_after_an_erasure_the_page_says_once_what_still_looks_like_the_patient(
    client: Client, depot: world.World
) -> None:
    trip = depot.trips["T-1017"]
    note = {"event": "cancel", "cancelled_by": "patient", "note": "her neighbour Zoe Quill rang"}
    assert client.post(f"/api/v1/trips/{trip}/events", json=note).status_code == 200
    path = client.post("/patients", data={"name": "Zoe Quill"}).headers["hx-push-url"]
    page = words(client.post(f"{path}/erase").text)
    assert f"Notes of what happened to a trip: 1 (trip {trip})" in page
    assert "still looks like" not in client.get(path).text
    assert "Zoe Quill rang" in client.get(f"/api/v1/trips/{trip}").text


def test_who_looked_at_a_record_is_on_its_page(client: Client, depot: world.World, patient: int) -> None:
    sign_in(client, depot, "biller")
    client.get(f"/patients/{patient}")
    sign_in(client, depot)
    page = words(client.get(f"/patients/{patient}").text)
    for said in ("biller@depot.example looked at it", "dispatcher@depot.example looked at it in a search",
                 "dispatcher@depot.example changed address, email, level, needs, phone",
                 "recorded consent to e-mail: given"):  # fmt: skip
        assert said in page
    found = client.get(f"/api/v1/patients/{patient}/audit").json()["items"]
    assert [one["who"] for one in found[:2]] == ["administrator@depot.example", "biller@depot.example"]
    assert "Marsh" not in str(found)
    problem(client.get("/api/v1/patients/999/audit"), 404)


def test_a_patient_under_way_is_not_erased_and_the_page_says_why(client: Client, depot_db: Database) -> None:
    travelling = value(depot_db, "SELECT patient_id FROM trips WHERE state = 'in_progress' LIMIT 1")
    answer = client.post(f"/patients/{travelling}/erase")
    assert (answer.status_code, "under way" in words(answer.text)) == (422, True)


def test_a_viewer_has_no_patients_and_a_biller_erases_none(client: Client, depot: world.World, patient: int) -> None:
    sign_in(client, depot, "viewer")
    assert client.get(f"/patients/{patient}").status_code == 403
    assert 'href="/patients"' not in client.get("/").text
    sign_in(client, depot, "biller")
    assert "Erase" not in words(client.get(f"/patients/{patient}").text)
    assert client.post(f"/patients/{patient}/erase").status_code == 403
