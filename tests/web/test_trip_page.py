"""The page of a trip: its times and who said so, what is doubtful about its ride, and what came of it."""

from __future__ import annotations

import re

import pytest
from sqlite_utils import Database

from appliance.storage.db import rows, write_tx
from tests.web import doubtful, world
from tests.web.conftest import Client, problem, sign_in


@pytest.fixture
def trip(client: Client, depot: world.World) -> int:
    return doubtful.make(depot)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition('<main id="main"')[2]).split())


def kinds(page: str) -> list[str]:
    return re.findall(r'data-kind="(rejected|restored|outlier|kept)"', page)


def test_a_time_says_that_it_was_told_by_phone_and_by_whom(client: Client, depot: world.World) -> None:
    trip = depot.trips["T-1008"]
    before = text_of(client.get(f"/trips/{trip}").text)
    client.put(f"/api/v1/trips/{trip}/stamps", json={"arrived_dropoff_at": "2026-01-26T11:58:00Z", "note": "gate B"})
    found = text_of(client.get(f"/trips/{trip}").text)
    assert "gate B" not in before
    assert "At drop-off 11:58 by phone" in found
    assert "Arrived at drop-off by phone, entered by administrator@depot.example" in found
    assert "gate B" in found
    assert "A time was corrected" in found


def test_the_trail_is_not_shown_without_its_doubts(client: Client, trip: int) -> None:
    page = client.get(f"/trips/{trip}").text
    assert kinds(page) == ["rejected", "outlier", "rejected"]
    found = text_of(page)
    assert "inaccurate: 900 m, expected 200 m or better" in found
    assert "too far to get there in time" in found
    assert "it cannot be used: unparsable" in found
    assert "of another time" not in found
    assert page.count(f'hx-post="/trips/{trip}/fixes/restore"') == 1  # what cannot be read cannot be restored
    places = re.findall(r'data-place="([^"]*)"', page)
    assert places[:2] == ["", "53.47020,-2.87030"]
    assert places[2]


def test_a_click_restores_a_rejected_position(client: Client, trip: int, depot_db: Database) -> None:
    page = client.get(f"/trips/{trip}").text
    (name,) = re.findall(r'name="fix" value="([^"]+)"', page)
    at = next(one["at"] for one in client.get(f"/api/v1/trips/{trip}/rejected").json()["items"] if one["id"] == name)
    answer = client.post(f"/trips/{trip}/fixes/restore", data={"fix": name})
    assert answer.status_code == 200
    assert kinds(answer.text) == ["rejected", "outlier", "restored"]
    assert "is stored" in answer.text
    assert "A rejected position was restored" in answer.text
    track = client.get(f"/api/v1/trips/{trip}/trail").json()
    assert at.replace("Z", ".000Z") in [feature["properties"].get("at") for feature in track["features"][1:]]
    (told,) = rows(depot_db, "SELECT who FROM audit_log WHERE action = 'fix.restored'")
    assert told["who"] == "administrator@depot.example"


def test_a_click_keeps_an_outlier_and_leaves_it_out_again(client: Client, trip: int, depot_db: Database) -> None:
    at = re.findall(r'name="at" value="([^"]+)"', client.get(f"/trips/{trip}").text)[0]
    url = f"/trips/{trip}/fixes/overrule"
    kept = client.post(url, data={"at": at})
    assert kinds(kept.text) == ["rejected", "kept", "rejected"]
    assert "kept by administrator@depot.example" in kept.text
    assert kinds(client.post(url, data={"at": at, "undo": "yes"}).text) == ["rejected", "outlier", "rejected"]
    done = [row["action"] for row in rows(depot_db, "SELECT action FROM audit_log ORDER BY id")]
    assert done[-2:] == ["outlier.overruled", "outlier.overruling_undone"]


@pytest.mark.parametrize(
    ("act", "data", "why"),
    [
        ("restore", {"fix": "2026-01-26:99"}, "no such rejected fix"), ("restore", {}, "expected DAY:NUMBER"),
        ("overrule", {"at": "2026-01-26T09:00:00Z"}, "no outlier"), ("overrule", {"at": "noon"}, "with a zone"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_on_the_page(
    client: Client, trip: int, act: str, data: dict[str, str], why: str
) -> None:
    answer = client.post(f"/trips/{trip}/fixes/{act}", data=data)
    assert answer.status_code == 422
    assert why.lower() in answer.text.lower()


def test_a_position_of_another_vehicle_is_not_restored_here(client: Client, trip: int, depot: world.World) -> None:
    name = re.findall(r'name="fix" value="([^"]+)"', client.get(f"/trips/{trip}").text)[0]
    answer = client.post(f"/trips/{depot.trips['T-1001']}/fixes/restore", data={"fix": name})
    assert answer.status_code == 422
    assert "belongs to vehicle V5" in answer.text


def test_who_may_not_dispatch_has_no_buttons(client: Client, depot: world.World, trip: int) -> None:
    for role in ("viewer", "biller"):
        sign_in(client, depot, role)
        page = client.get(f"/trips/{trip}").text
        assert len(kinds(page)) == 3
        assert "/fixes/" not in page
        problem(client.post(f"/trips/{trip}/fixes/restore", data={"fix": "2026-01-26:1"}), 403)
        assert ("Who was told" in page, "What people decided" in page) == (False, False)


def test_the_odometer_is_held_against_the_fixes_and_flagged(client: Client, trip: int, depot_db: Database) -> None:
    page = client.get(f"/trips/{trip}").text
    assert "7.8 mi by the driver's readings, 45,231 to 45,243.5 km" in text_of(page).replace("&#39;", "'")
    assert re.search(r'class="badge warn">.*?3\.4 mi \(44 %\) more than by GPS', page, re.DOTALL)
    with write_tx(depot_db) as tx:
        tx.conn.execute("UPDATE trips SET distance_m = 12300 WHERE id = ?", (trip,))
    calm = client.get(f"/trips/{trip}").text
    assert "0.1 mi (2 %) more than by GPS" in calm
    assert 'class="badge warn">' not in calm.partition('id="trip-story"')[2]


def test_who_was_told_and_the_invoice_stand_there(client: Client, depot: world.World, depot_db: Database) -> None:
    trip = depot.trips["T-1002"]
    with write_tx(depot_db) as tx:
        for user, read in ((1, "2026-01-26T11:00:00.000Z"), (2, None)):
            tx.conn.execute(
                "INSERT INTO notifications (uid, user_id, type, message, created_at, read_at, key)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (f"N{user}", user, "trip_completed", "Trip 2 is completed: 4.9 km.", "2026-01-26T10:00:00.000Z", read,
                 f"completed:{trip}"),
            )  # fmt: skip
            tx.conn.execute(
                "INSERT INTO notifications (uid, user_id, type, message, created_at, key) VALUES (?, ?, ?, ?, ?, ?)",
                (f"M{user}", user, "trip_unbilled", "of trip 22", "2026-01-26T10:00:00.000Z", f"unbilled:{trip}2:x"),
            )
        tx.conn.execute(
            "INSERT INTO mails (kind, key, message_id, recipient, subject, state, created_at) SELECT 'invoice', uid,"
            " 'm1', 'secret@payer.example', 'Invoice 2', 'sent', issued_at FROM invoices WHERE trip_id = ?",
            (trip,),
        )
    page = client.get(f"/trips/{trip}").text
    found = text_of(page)
    assert "Completed 2 people, 1 have read it Trip 2 is completed: 4.9 km." in found
    assert "of trip 22" not in found
    assert "Invoice by mail sent Invoice 2" in found
    assert "secret@payer.example" not in page
    assert re.search(r"DEMO-2026-A000002 GBP [\d.]+ issued due 2026-0\d-\d\d; not sent yet", found)


def test_a_trip_that_has_not_begun_has_a_page_too(client: Client, depot: world.World) -> None:
    for ref in ("T-1017", "T-1013", "T-1006"):
        assert client.get(f"/trips/{depot.trips[ref]}").status_code == 200
    assert client.get("/trips/999", headers={"Accept": "text/html"}).status_code == 404
    problem(client.get("/api/v1/trips/999/rejected"), 404)


def test_the_api_has_the_rejected_positions_of_a_trip(client: Client, trip: int) -> None:
    page = client.get(f"/api/v1/trips/{trip}/rejected").json()
    assert page["total"] == 2
    assert [(one["reason"], one["lat"] is None, one["restorable"]) for one in page["items"]] == [
        ("unparsable", True, False), ("inaccurate", False, True),
    ]  # fmt: skip
