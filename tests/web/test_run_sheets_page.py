"""Run sheets: each driver's day with names and addresses, for dispatchers, and in the audit log."""

from __future__ import annotations

from sqlite_utils import Database

from appliance.storage.db import rows, write_tx
from tests.web import world
from tests.web.conftest import Client, problem, sign_in

DAY = "2026-01-26"
PAGE = {"accept": "text/html"}


def views(db: Database) -> int:
    return len(rows(db, "SELECT id FROM audit_log WHERE action = 'patient.viewed' AND detail LIKE 'run sheet%'"))


def test_the_list_of_drivers_names_no_patient(client: Client, depot_db: Database) -> None:
    found = client.get("/api/v1/run-sheets", params={"day": DAY}).json()
    assert found["day"] == DAY
    assert sum(one["trips"] for one in found["drivers"]) + found["without_driver"] == len(
        rows(
            depot_db, "SELECT id FROM trips WHERE pickup_at LIKE '2026-01-26%' AND state NOT IN ('cancelled', 'missed')"
        )
    )
    text = client.get("/run-sheets", params={"day": DAY}, headers=PAGE).text
    names = [row["name"] for row in rows(depot_db, "SELECT name FROM patients")]
    assert not [name for name in names if name in text]
    assert views(depot_db) == 0


def test_a_sheet_has_what_its_driver_needs_and_each_patient_counts_as_viewed(
    client: Client, depot_db: Database
) -> None:
    (first, *_) = client.get("/api/v1/run-sheets", params={"day": DAY}).json()["drivers"]
    sheet = client.get(f"/api/v1/run-sheets/{first['driver']}", params={"day": DAY}).json()
    assert len(sheet["stops"]) == first["trips"]
    assert views(depot_db) == len({stop["patient"] for stop in sheet["stops"]})
    text = client.get(f"/run-sheets/{first['driver']}", params={"day": DAY}, headers=PAGE).text
    for stop in sheet["stops"]:
        assert stop["patient"] in text.replace("&#39;", "'")
        assert stop["pickup_address"] in text


def test_all_sheets_of_a_day_are_one_page_each(client: Client) -> None:
    found = client.get("/api/v1/run-sheets", params={"day": DAY}).json()["drivers"]
    text = client.get(f"/run-sheets/day/{DAY}", headers=PAGE).text
    assert text.count('<article class="sheet"') == len(found) > 1


def test_notes_and_ways_back_on_call_stand_on_the_sheet_of_whoever_drives_the_vehicle(
    client: Client, depot_db: Database, depot: world.World
) -> None:
    trip = rows(depot_db, "SELECT id, vehicle_id FROM trips WHERE state = 'assigned' AND driver_id IS NOT NULL")[0]
    driver = rows(depot_db, "SELECT code, id FROM drivers ORDER BY id DESC LIMIT 1")[0]
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE trips SET outbound_trip_id = ? WHERE state = 'will_call'", (trip["id"],))
        tx.conn.execute("UPDATE trips SET notes = 'Ring twice', driver_id = NULL WHERE id = ?", (trip["id"],))
        tx.conn.execute("DELETE FROM shifts")
        tx.conn.execute(
            "INSERT INTO shifts (uid, vehicle_id, driver_id, starts_at, ends_at, created_by, created_at)"
            " VALUES ('u', ?, ?, '2026-01-26T00:00:00.000Z', '2026-01-27T00:00:00.000Z', 'x', 'x')",
            (trip["vehicle_id"], driver["id"]),
        )
    stops = client.get(f"/api/v1/run-sheets/{driver['code']}", params={"day": DAY}).json()["stops"]
    (mine,) = [stop for stop in stops if stop["trip_id"] == trip["id"]]
    assert (mine["notes"], mine["leg"], mine["return_on_call"]) == ("Ring twice", "outbound", True)


def test_who_may_not_dispatch_sees_no_sheet(client: Client, depot: world.World) -> None:
    problem(client.get("/api/v1/run-sheets/nobody"), 404)
    for role in ("viewer", "biller"):
        sign_in(client, depot, role)
        problem(client.get("/api/v1/run-sheets"), 403)
