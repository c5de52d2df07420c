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
