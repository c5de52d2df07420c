"""Names of patients are shown to those who may look at patients only."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfReader
from sqlite_utils import Database

from appliance.storage.db import value
from tests.web import world
from tests.web.conftest import Client, sign_in

NAME = world.NAMES[0]


def pdf_text(data: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def everywhere(client: Client, trip_id: int, invoice_id: int) -> list[str]:
    """All that shows a trip, as text."""
    paths = ("/board", "/", f"/trips/{trip_id}", "/api/v1/trips", f"/api/v1/trips/{trip_id}")
    pdf = client.get(f"/api/v1/invoices/{invoice_id}/pdf")
    assert pdf.status_code == 200
    return [client.get(path).text for path in paths] + [pdf_text(pdf.content)]


@pytest.fixture
def of_patient(depot: world.World, depot_db: Database) -> tuple[int, int]:
    """A trip with an invoice."""
    trip = depot.trips["T-1001"]
    return trip, int(value(depot_db, "SELECT id FROM invoices WHERE trip_id = ?", trip))


@pytest.mark.parametrize("role", ["administrator", "dispatcher", "biller"])
def test_who_may_look_at_patients_sees_the_name_wherever_the_trip_is(
    client: Client, depot: world.World, of_patient: tuple[int, int], role: str
) -> None:
    sign_in(client, depot, role)
    assert all(NAME in shown for shown in everywhere(client, *of_patient))


def test_a_viewer_sees_the_trips_and_no_name(client: Client, depot: world.World, of_patient: tuple[int, int]) -> None:
    sign_in(client, depot, "viewer")
    shown = everywhere(client, *of_patient)
    assert all("T-1001" in one for one in shown)
    assert not [name for name in world.NAMES if any(name in one for one in shown)]


def typed_everywhere(client: Client, trip: int, invoice: int, job: str) -> list[str]:
    """All that shows what people typed about a trip and its invoice, and what a job said; texts."""
    credit = client.get(f"/api/v1/invoices/{invoice}").json()["credit_notes"][0]["id"]
    paths = [f"/trips/{trip}", f"/trips/{trip}/panel", f"/api/v1/trips/{trip}", f"/invoices/{invoice}"]
    paths += [f"/api/v1/invoices/{invoice}", "/api/v1/invoices?state=void", "/work", f"/work/jobs/{job}"]
    paths += ["/api/v1/jobs", f"/api/v1/jobs/{job}"]
    shown = [client.get(path, headers={"Accept": "text/html"}) for path in paths]
    assert [answer.status_code for answer in shown] == [200] * len(shown)
    return [answer.text for answer in shown] + [pdf_text(client.get(f"/api/v1/credit-notes/{credit}/pdf").content)]


def test_what_people_typed_is_read_by_who_may_see_names_and_by_nobody_else(
    client: Client, depot: world.World, depot_db: Database, of_patient: tuple[int, int]
) -> None:
    trip, invoice = of_patient
    path = f"/api/v1/invoices/{invoice}"
    for act, said in (
        ("credit-notes", {"amount_cents": 1, "reason": "Zyxq credit"}),
        ("payments", {"amount_cents": 1, "reference": "Zyxq giro"}),
        ("dispute", {"reason": "Zyxq says no"}),
    ):
        assert client.post(f"{path}/{act}", json=said).is_success
    other = value(depot_db, "SELECT id FROM invoices WHERE id <> ? AND state = 'issued'", invoice)
    assert client.post(f"/api/v1/invoices/{other}/void", json={"reason": "Zyxq void", "replace": False}).is_success
    cancelled = depot.trips["T-1017"]
    note = {"event": "cancel", "cancelled_by": "patient", "note": "Zyxq is in hospital"}
    assert client.post(f"/api/v1/trips/{cancelled}/events", json=note).is_success
    with depot_db.conn:
        depot_db.execute("UPDATE trip_events SET note = 'Zyxq rang' WHERE trip_id = ?", (trip,))
        job = value(depot_db, "SELECT id FROM jobs LIMIT 1")
        depot_db.execute(
            """UPDATE jobs SET error = 'Zyxq', traceback = 'Zyxq', result = '{"a": "Zyxq"}', arguments = ?""",
            ('{"message": "Zyxq", "trip_id": 1}',),
        )
    shown = [*typed_everywhere(client, trip, invoice, job), client.get(f"/trips/{cancelled}/panel").text]
    assert sum("Zyxq" in one for one in shown) >= len(shown) - 1  # the panel of a trip that came off has no notes
    sign_in(client, depot, "viewer")
    shown = [*typed_everywhere(client, trip, invoice, job), client.get(f"/trips/{cancelled}/panel").text]
    assert not [one for one in shown if "Zyxq" in one]
    assert client.get(f"/api/v1/jobs/{job}").json()["arguments"] == {"message": "(not shown)", "trip_id": 1}


def test_every_form_for_words_about_a_trip_asks_for_no_name(client: Client, depot: world.World) -> None:
    trips = {"ready": "T-1019", "times": "T-1008", "no_show": "T-1013", "cancel": "T-1013", "missed": "T-1013",
             "unassign": "T-1013"}  # fmt: skip
    for act, ref in trips.items():
        form = client.get(f"/trips/{depot.trips[ref]}/forms/{act}").text
        assert "Never a patient&#39;s name." in form or "Never a patient's name." in form, act


def test_a_patient_who_pays_is_no_name_to_a_viewer_either(
    client: Client, depot: world.World, depot_db: Database, of_patient: tuple[int, int]
) -> None:
    trip, invoice = of_patient
    with depot_db.conn:
        depot_db.execute(
            "UPDATE payers SET kind = 'patient', patient_id = (SELECT patient_id FROM trips WHERE id = ?)", (trip,)
        )
    assert client.get(f"/api/v1/trips/{trip}").json()["payer"] == world.BROKER
    sign_in(client, depot, "viewer")
    assert client.get(f"/api/v1/trips/{trip}").json()["payer"] is None
    assert not [shown for shown in everywhere(client, trip, invoice) if world.BROKER in shown]
