"""The JSON API, over a real database, real fixes and a real Redis."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlite_utils import Database

from appliance.domain.fix import Fix
from appliance.storage import gps_writer
from appliance.storage.db import open_depot, value, write_tx
from tests.web import world
from tests.web.conftest import NEW_TRIP, Client, problem
from tests.web.serving import Redis
from web.app import create_app

CSV = "ref,pickup_at,pickup_address,dropoff_address,level\nM-1,2026-01-26 15:00,1 High Street,Day Clinic,wheelchair\n"


def items(client: Client, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/{path}", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_vehicles_have_the_state_of_their_newest_fix(client: Client) -> None:
    states = {vehicle["code"]: vehicle["state"] for vehicle in items(client, "vehicles")}
    assert states == {
        **dict.fromkeys(("V1", "V2", "V3", "V4", "V5"), "live"),
        "V6": "stale",
        "V7": "silent",
        "V8": "never",
    }


def test_a_vehicle_under_way_shows_its_trip_and_driver(client: Client) -> None:
    first = items(client, "vehicles")[0]
    assert first["trip"]["ref"] == "T-1008"
    assert first["driver_name"] == "Alex Rowe"
    assert first["position"]["speed_kmh"] == 34.0
    assert first["levels"] == ["ambulatory", "wheelchair", "stretcher", "bariatric"]


def test_positions_come_from_the_stored_fixes_while_redis_is_away(client: Client, redis_server: Redis) -> None:
    before = {vehicle["code"]: vehicle["position"] for vehicle in items(client, "vehicles")}
    redis_server.kill()
    after = {vehicle["code"]: vehicle["position"] for vehicle in items(client, "vehicles")}
    redis_server.start()
    for code, position in before.items():
        assert (position is None) == (after[code] is None)
        assert position is None or position["at"] == after[code]["at"]


def test_a_list_of_trips_knows_its_total_beyond_the_page(client: Client) -> None:
    answer = client.get("/api/v1/trips", params={"limit": 3, "offset": 2}).json()
    assert [trip["ref"] for trip in answer["items"]] == ["T-1018", "T-1017", "T-1016"]
    assert answer["total"] == 20


def test_trips_can_be_listed_by_state_and_by_local_day(client: Client) -> None:
    assert {trip["ref"] for trip in items(client, "trips", state="will_call")} == {"T-1019"}
    assert len(items(client, "trips", day="2026-01-26")) == 20
    assert items(client, "trips", day="2026-01-25") == []


def test_one_trip_comes_with_what_happened_to_it(client: Client, depot: world.World) -> None:
    trip = client.get(f"/api/v1/trips/{depot.trips['T-1005']}").json()
    assert [event["event"] for event in trip["events"]][:3] == ["assign", "accepted", "en_route"]
    assert trip["events"][-1]["to_state"] == "completed"
    assert trip["patient"] == "Emil Novak"


def test_a_trail_is_geojson_with_a_line_and_a_point_for_each_fix(client: Client, depot: world.World) -> None:
    answer = client.get(f"/api/v1/trips/{depot.trips['T-1005']}/trail")
    assert answer.headers["content-type"].startswith("application/geo+json")
    line, *points = answer.json()["features"]
    assert line["geometry"]["type"] == "LineString"
    assert len(line["geometry"]["coordinates"]) == len(points) > 10
    assert points[0]["geometry"]["type"] == "Point"
    assert set(points[0]["properties"]) == {"at", "speed_kmh", "heading_deg"}


def test_a_trail_names_its_stops(client: Client, depot: world.World) -> None:
    writer = gps_writer.Writer(depot.settings.paths.gps_dir, late_s=1e9)
    at = depot.now + timedelta(hours=1)
    stood = [Fix(at + timedelta(seconds=n), 53.4, -2.9) for n in range(0, 301, 60)]
    writer.commit(gps_writer.Batch([gps_writer.Arrival(depot.vehicles["V8"], 8, fix, fix.at) for fix in stood]), at)
    writer.close()
    span = {"start": "2026-01-26T13:00:00Z", "end": "2026-01-26T14:00:00Z"}
    assert client.get("/api/v1/vehicles/V8/trail", params=span).json()["stops"] == [
        {
            "lat": 53.4, "lon": -2.9, "start": "2026-01-26T13:00:00Z", "end": "2026-01-26T13:05:00Z",
            "duration_s": 300.0,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(("format", "kind"), [("gpx", "application/gpx+xml"), ("csv", "text/csv")])
def test_a_trail_can_be_had_as_a_file(client: Client, depot: world.World, format: str, kind: str) -> None:
    trip = depot.trips["T-1005"]
    _line, *points = client.get(f"/api/v1/trips/{trip}/trail").json()["features"]
    answer = client.get(f"/api/v1/trips/{trip}/trail", params={"format": format})
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["content-disposition"] == f'attachment; filename="trip-{trip}.{format}"'
    assert all(point["properties"]["at"] in answer.text for point in points)
    problem(client.get(f"/api/v1/trips/{trip}/trail", params={"format": "kml"}), 400)


def test_a_damaged_day_is_named_in_a_trail_and_in_the_system(client: Client, depot: world.World) -> None:
    (depot.settings.paths.gps_dir / "2026-01-26.db").rename(depot.settings.paths.gps_dir / "2026-01-26.db.damaged-1")
    span = {"start": "2026-01-25T11:00:00Z", "end": "2026-01-26T11:00:00Z"}
    assert client.get("/api/v1/vehicles/V1/trail", params=span).json()["damaged_days"] == ["2026-01-26"]
    assert client.get("/api/v1/system").json()["damaged_days"] == ["2026-01-26"]
    assert "depotbox_gps_damaged_days 1.0" in client.get("/metrics").text


def test_a_trip_that_has_not_begun_has_an_empty_trail(client: Client, depot: world.World) -> None:
    assert client.get(f"/api/v1/trips/{depot.trips['T-1020']}/trail").json()["features"] == []


def test_a_trail_can_be_asked_for_as_a_thin_line(client: Client) -> None:
    span: dict[str, Any] = {
        "start": "2026-01-26T11:00:00Z",
        "end": "2026-01-26T11:10:00Z",
        "points": "false",
    }
    (whole,) = client.get("/api/v1/vehicles/V1/trail", params=span).json()["features"]
    (line,) = client.get("/api/v1/vehicles/V1/trail", params=span | {"tolerance_m": 60}).json()["features"]
    assert 2 < len(line["geometry"]["coordinates"]) < len(whole["geometry"]["coordinates"])
    for end in (0, -1):
        assert line["geometry"]["coordinates"][end] == whole["geometry"]["coordinates"][end]


def test_a_vehicle_trail_keeps_to_its_span(client: Client) -> None:
    span = {"start": "2026-01-26T11:00:00Z", "end": "2026-01-26T11:10:00Z"}
    features = client.get("/api/v1/vehicles/V1/trail", params=span).json()["features"]
    assert len(features) == 11
    assert all("2026-01-26T11:0" in feature["properties"].get("at", "11:0 2026-01-26T11:0") for feature in features)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ({"start": "2026-01-26T11:00:00"}, "start: expected a time with a zone"),
        ({"start": "2026-01-27T11:00:00Z"}, "expected an end that is not before the start"),
        ({"start": "yesterday"}, "start"),
    ],
)
def test_a_span_that_cannot_be_answered_is_named(client: Client, span: dict[str, str], said: str) -> None:
    assert said in problem(client.get("/api/v1/vehicles/V1/trail", params=span), 400)


@pytest.mark.parametrize(
    "path",
    [
        "trips/999",
        "trips/999/trail",
        "trips/999/live",
        "vehicles/V99/trail",
        "invoices/999",
        "invoices/999/pdf",
        "nothing",
    ],
)
def test_what_is_unknown_is_404(client: Client, path: str) -> None:
    problem(client.get(f"/api/v1/{path}"), 404)


def test_a_new_trip_is_stored_and_answered(client: Client) -> None:
    answer = client.post(
        "/api/v1/trips", json={**NEW_TRIP, "ref": "N-1", "level": "wheelchair", "patient": "Zoe Quill"}
    )
    assert answer.status_code == 201, answer.text
    trip = answer.json()
    assert (trip["state"], trip["ref"], trip["level"], trip["patient"]) == (
        "scheduled",
        "N-1",
        "wheelchair",
        "Zoe Quill",
    )
    assert client.get(f"/api/v1/trips/{trip['id']}").json()["pickup_at"] == "2026-01-26T15:00:00Z"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"level": "flying"}, "level"),
        ({"pickup_at": "2026-01-26T15:00:00"}, "pickup_at"),
        ({"pickup_at": "tomorrow"}, "pickup_at"),
        ({"pickup_address": ""}, "pickup_address"),
        ({"pickup_lat": 91.0}, "pickup_lat"),
        ({"colour": "red"}, "colour"),
        ({"payer": "Nobody Ltd"}, "payer"),
    ],
)
def test_a_bad_body_is_refused_and_names_the_field(client: Client, change: dict[str, Any], field: str) -> None:
    answer = client.post("/api/v1/trips", json=NEW_TRIP | change)
    assert field in problem(answer, 404 if field == "payer" else 400)
    assert client.get("/api/v1/trips").json()["total"] == 20


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    problem(client.post("/api/v1/trips", content=b"{", headers={"content-type": "application/json"}), 400)


def test_an_event_moves_the_trip(client: Client, depot: world.World) -> None:
    path = f"/api/v1/trips/{depot.trips['T-1017']}/events"
    answer = client.post(path, json={"event": "assign", "vehicle": "V8", "driver": "D8"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["state"], answer.json()["vehicle"], answer.json()["driver"]) == ("assigned", "V8", "D8")
    answer = client.post(path, json={"event": "en_route", "at": "2026-01-26T11:50:00Z"})
    assert answer.json()["en_route_at"] == "2026-01-26T11:50:00Z"


def test_a_refused_event_is_409_with_the_reason_and_stands_in_the_history(client: Client, depot: world.World) -> None:
    path = f"/api/v1/trips/{depot.trips['T-1017']}"
    detail = problem(client.post(f"{path}/events", json={"event": "completed"}), 409)
    assert "not given to a vehicle yet" in detail
    last = client.get(path).json()["events"][-1]
    assert (last["event"], last["accepted"]) == ("completed", False)


def test_an_unknown_event_is_400(client: Client, depot: world.World) -> None:
    assert "event" in problem(client.post(f"/api/v1/trips/{depot.trips['T-1017']}/events", json={"event": "fly"}), 400)


def test_an_event_of_an_unknown_trip_is_404_and_leaves_nothing(client: Client, depot: world.World) -> None:
    problem(client.post("/api/v1/trips/999/events", json={"event": "cancel"}), 404)
    db = open_depot(depot.settings.paths.depot_db)
    assert value(db, "SELECT count(*) FROM trip_events WHERE trip_id IS NULL") == 0
    db.conn.close()


def test_completing_a_trip_asks_for_its_closing(client: Client, depot: world.World) -> None:
    def closings() -> int:
        return [job["name"] for job in items(client, "jobs")].count("trips.tasks.process_trip_completion")

    before = closings()
    client.post(f"/api/v1/trips/{depot.trips['T-1008']}/events", json={"event": "completed"})
    assert closings() == before + 1


def test_a_manifest_is_imported_once(client: Client) -> None:
    first = client.post("/api/v1/trips/import", content=CSV, headers={"content-type": "text/csv"})
    assert first.json() == {"added": 1, "unchanged": 0, "bad": []}
    second = client.post("/api/v1/trips/import", content=CSV, headers={"content-type": "text/csv"})
    assert second.json() == {"added": 0, "unchanged": 1, "bad": []}


def test_bad_rows_of_a_manifest_are_named(client: Client) -> None:
    report = client.post("/api/v1/trips/import", content=CSV.replace("wheelchair", "flying")).json()
    assert (report["added"], report["bad"][0]["line"], report["bad"][0]["column"]) == (0, 2, "level")


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\xfa", b"no,columns\n1,2\n"])
def test_what_is_no_manifest_is_400(client: Client, body: bytes) -> None:
    problem(client.post("/api/v1/trips/import", content=body), 400)


def test_drivers_show_what_they_drive(client: Client) -> None:
    drivers = {driver["code"]: driver for driver in items(client, "drivers")}
    assert len(drivers) == 8
    assert (drivers["D1"]["trip_ref"], drivers["D1"]["vehicle"]) == ("T-1008", "V1")
    assert drivers["D8"]["trip_id"] is None


def test_an_invoice_has_lines_that_add_up(client: Client) -> None:
    listed = items(client, "invoices", state="issued")
    assert len(listed) == 4
    invoice = client.get(f"/api/v1/invoices/{listed[0]['id']}").json()
    assert sum(line["amount_cents"] for line in invoice["lines"]) == invoice["total_cents"] > 0
    assert items(client, "invoices", state="void") == []


def test_an_invoice_is_the_same_pdf_at_every_call(client: Client) -> None:
    path = f"/api/v1/invoices/{items(client, 'invoices')[0]['id']}/pdf"
    first, second = client.get(path), client.get(path)
    assert first.headers["content-type"] == "application/pdf"
    assert first.content.startswith(b"%PDF-")
    assert first.content == second.content


def test_jobs_are_counted_by_state(client: Client) -> None:
    jobs = client.get("/api/v1/jobs", params={"state": "pending"}).json()
    assert jobs["total"] == jobs["counts"]["pending"] == len(jobs["items"])
    assert client.get("/api/v1/jobs", params={"state": "failed"}).json()["items"] == []


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 501}, {"offset": -1}, {"state": "lost"}, {"day": "today"}])
def test_a_parameter_that_does_not_fit_is_named(client: Client, params: dict[str, Any]) -> None:
    assert next(iter(params)) in problem(client.get("/api/v1/trips", params=params), 400)


def test_the_system_tells_its_versions(client: Client) -> None:
    system = client.get("/api/v1/system").json()
    assert system["version"]
    assert system["redis"]
    assert system["roles"] == []  # no supervisor runs here


def test_healthz_is_well_with_database_and_redis(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["ok"]) == (200, True)


def test_healthz_answers_before_the_box_is_set_up(data_dir: Any) -> None:
    with TestClient(create_app(world.settings_for(data_dir)), base_url="http://127.0.0.1") as client:
        answer = client.get("/healthz")
    assert answer.status_code == 503
    assert {name for name, value in answer.json().items() if value} == {"version"}


def test_openapi_describes_requests_and_answers(client: Client) -> None:
    schema = client.get("/api/schema/openapi.json").json()
    assert schema["paths"]["/api/v1/trips/{trip_id}/events"]["post"]["requestBody"]
    trip = schema["components"]["schemas"]["Trip"]["properties"]
    assert {"pickup_at", "state", "invoice_number"} <= set(trip)
    assert not [path for path in schema["paths"] if not path.startswith(("/api/v1/", "/healthz"))]
    assert not [
        name
        for path in schema["paths"].values()
        for verb in path.values()
        for name in verb.get("parameters", [])
        if name["name"] == "parts"
    ]


def test_a_released_trip_asks_for_its_invoice_once(client: Client, depot: world.World) -> None:
    trip = client.get("/api/v1/trips", params={"state": "completed"}).json()["items"][0]["id"]
    for _ in range(2):
        assert client.post(f"/api/v1/trips/{trip}/release").status_code == 200
    assert client.post("/api/v1/trips/9999/release").status_code == 404
    db = open_depot(depot.settings.paths.depot_db)
    assert value(db, "SELECT count(*) FROM jobs WHERE key = ?", f"invoice:{trip}") == 1
    assert value(db, "SELECT count(*) FROM audit_log WHERE action = 'release'") == 1
    db.conn.close()


@pytest.mark.parametrize(
    "path",
    [
        "trips?day=9999-12-31",
        "run-sheets?day=9999-12-31",
        "invoices/export?since=2026-01-01&until=9999-12-31",
        "vehicles/V1/trail?end=0001-01-01T00:00:00Z",
        "vehicles/V1/trail?end=9999-12-31T23:59:59-14:00",
        "replay?start=0001-01-01T00:00:00%2B14:00",
    ],
)
def test_a_day_of_another_age_is_named_in_the_answer(client: Client, path: str) -> None:
    assert "expected a day between 2000 and 2099" in problem(client.get(f"/api/v1/{path}"), 400)


def test_a_patient_is_found_however_the_name_is_written_and_what_is_none_is_refused(client: Client) -> None:
    def of(name: str) -> Any:
        return client.post("/api/v1/trips", json=NEW_TRIP | {"patient": name})

    known = {of(name).json()["patient"] for name in ("Édith Marlowe", "Édith  Marlowe", " édith\tMARLOWE ")}
    assert known == {"Édith Marlowe"}
    for name in ("\0", "   ", "x" * 101, "a\u202eb", "a\x1bb"):
        assert problem(of(name), 400) == "patient: expected 1 to 100 characters that can be printed"


def test_a_trip_number_is_one_line_that_can_be_printed(client: Client) -> None:
    made = client.post("/api/v1/trips", json=NEW_TRIP | {"ref": " R\n 77 "})
    assert made.json()["ref"] == "R 77"
    assert "already a trip" in problem(client.post("/api/v1/trips", json=NEW_TRIP | {"ref": "R 77"}), 400)
    for ref in ("\0", "  ", "a\u202eb"):
        assert problem(client.post("/api/v1/trips", json=NEW_TRIP | {"ref": ref}), 400).startswith("ref: expected")


def test_a_number_that_nothing_can_have_is_not_found(client: Client) -> None:
    for path in (f"trips/{2**63}", f"patients/{10**30}", f"invoices/{2**64}"):
        assert problem(client.get(f"/api/v1/{path}"), 404) == "nothing has such a number"


def test_a_nesting_without_end_is_the_clients_mistake(client: Client) -> None:
    answer = client.post("/api/v1/trips", content=b"[" * 100_000, headers={"Content-Type": "application/json"})
    assert "beyond what can be" in problem(answer, 400)


def test_a_row_that_cannot_be_shown_is_a_mistake_of_ours_and_in_the_log(
    client: Client, depot: world.World, depot_db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever opens the page did nothing wrong, and somebody must hear of it."""
    id = depot.trips["T-1005"]
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE trips SET on_board_at = '0001-01-01T00:00:00.000Z' WHERE id = ?", (id,))
    answer = client.get(f"/trips/{id}/panel", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    said = capsys.readouterr()
    assert "web.unexpected" in said.out + said.err
