"""The pages of payers and their rates."""

from __future__ import annotations

import pytest
from sqlite_utils import Database

from appliance.storage.db import row, rows, value
from tests.web import money_day, world
from tests.web.conftest import Client, sign_in

RATE = {"level": "stretcher", "valid_from": "2026-02-01", "valid_to": "", "base": "32.50", "per_unit": "2.10",
        "unit": "mile", "free_units": "1.5", "tax": "17.5", "after_hours_from": "19:00"}  # fmt: skip


@pytest.fixture
def payer(depot: world.World) -> int:
    """A facility with two rates for each of two levels."""
    return money_day.make(depot)["payer"]


def days(db: Database, payer: int, level: str) -> list[tuple[str, str | None]]:
    found = rows(db, "SELECT * FROM rates WHERE payer_id = ? AND level = ? ORDER BY valid_from", payer, level)
    return [(one["valid_from"], one["valid_to"]) for one in found]


def test_payers_are_listed_with_what_they_owe_and_found_by_name(client: Client, payer: int) -> None:
    page = client.get("/payers").text
    assert f'href="/invoices?payer={payer}&amp;state=issued"' in page
    assert "1 payer<" in client.get("/payers?q=aintree").text
    assert "1 payer<" in client.get("/payers?kind=broker").text
    assert "found under Patients" in client.get("/payers?q=nobody").text


def test_a_payer_is_added_and_changed(client: Client, payer: int, depot_db: Database) -> None:
    form = {"kind": "facility", "name": "Renal Unit", "email": "pay@renal.example", "delivery": "mail",
            "terms_days": "14", "address": "1 Street\nTown", "patient": ""}  # fmt: skip
    added = client.post("/payers/add", data=form)
    assert "Its rates are missing yet" in added.text
    found = row(depot_db, "SELECT * FROM payers WHERE name = 'Renal Unit'")
    assert found is not None
    assert (found["terms_days"], found["address"]) == (14, "1 Street\nTown")
    changed = client.post(
        f"/payers/{found['id']}/edit", data={**form, "name": "Renal Unit North", "address": "", "version": "1"}
    )
    assert "Saved." in changed.text
    assert value(depot_db, "SELECT address FROM payers WHERE name = 'Renal Unit North'") == ""
    again = client.post("/payers/add", data={**form, "name": "Renal Unit North"})
    assert again.status_code == 422
    assert "there is already a payer with this name" in again.text.casefold()


@pytest.mark.parametrize(("form", "said"), [
    ({"kind": "bank"}, "Expected a broker"), ({"kind": "facility", "name": ""}, "Expected a name."),
    ({"kind": "facility", "name": "X", "terms_days": "soon"}, "Expected 0 to 365 days."),
    ({"kind": "facility", "name": "X", "email": "nobody"}, "Expected an address like"),
    ({"kind": "patient", "patient": "x"}, "Expected the number of a patient."),
    ({"kind": "patient", "patient": "999"}, "No such patient."),
])  # fmt: skip
def test_a_wrong_payer_is_refused(
    client: Client, payer: int, depot_db: Database, form: dict[str, str], said: str
) -> None:
    before = value(depot_db, "SELECT count(*) FROM payers")
    answer = client.post("/payers/add", data=form)
    assert answer.status_code == 422
    assert said in answer.text
    assert value(depot_db, "SELECT count(*) FROM payers") == before


def test_a_patient_who_pays_is_added_by_number(client: Client, payer: int, depot_db: Database) -> None:
    assert client.post("/payers/add", data={"kind": "patient", "patient": "1"}).status_code == 200
    assert value(depot_db, "SELECT kind FROM payers WHERE patient_id = 1") == "patient"


def test_a_rate_is_added_as_people_write_it(client: Client, payer: int, depot_db: Database) -> None:
    page = client.post(f"/payers/{payer}/rates", data=RATE)
    assert "The rate for stretcher from 1 Feb 2026 is added" in page.text
    found = row(depot_db, "SELECT base_cents, per_unit_cents, free_units, tax_bp, after_hours_from, after_hours_to"
                " FROM rates WHERE level = 'stretcher' AND payer_id = ?", payer)  # fmt: skip
    assert found == {
        "base_cents": 3250, "per_unit_cents": 210, "free_units": 1.5, "tax_bp": 1750, "after_hours_from": "19:00",
        "after_hours_to": "06:00",
    }  # fmt: skip


def test_new_prices_end_the_rate_before(client: Client, payer: int, depot_db: Database) -> None:
    newest = value(depot_db, "SELECT max(id) FROM rates WHERE payer_id = ? AND level = 'wheelchair'", payer)
    form = {**RATE, "level": "wheelchair", "valid_from": "2026-03-01", "of": str(newest)}
    assert "is added" in client.post(f"/payers/{payer}/rates", data=form).text
    assert days(depot_db, payer, "wheelchair") == [
        ("2020-01-01", "2024-12-31"), ("2025-01-01", "2026-02-28"), ("2026-03-01", None),
    ]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), [
    ({"level": "ambulatory", "valid_from": "2024-06-01"}, "overlaps with the one from 2020-01-01 through 2024-12-31"),
    ({"base": ""}, "Expected an amount in GBP"), ({"base": "1,50"}, "Expected an amount in GBP"),
    ({"tax": "120"}, "Expected a number from 0 to 100."), ({"free_units": "nan"}, "Expected a number from 0 to"),
    ({"valid_from": ""}, "Expected the first day"), ({"level": "limousine"}, "Expected a level of service."),
    ({"valid_to": "2026-01-01"}, "Expected a day that is not before the first one."),
    ({"valid_to": "never"}, "Expected"), ({"after_hours_from": "25:00"}, "xpected"), ({"base": "99999999"}, "xpected"),
])  # fmt: skip
def test_a_wrong_rate_is_refused_and_stays_in_its_form(
    client: Client, payer: int, depot_db: Database, change: dict[str, str], said: str
) -> None:
    before = value(depot_db, "SELECT count(*) FROM rates")
    answer = client.post(f"/payers/{payer}/rates", data=RATE | change)
    assert answer.status_code == 422
    assert said in answer.text
    assert 'id="act-rate" open' in answer.text
    assert value(depot_db, "SELECT count(*) FROM rates") == before


def test_a_rate_is_ended_and_one_that_bills_nothing_yet_is_corrected(
    client: Client, payer: int, depot_db: Database
) -> None:
    client.post(f"/payers/{payer}/rates", data=RATE)
    id = value(depot_db, "SELECT max(id) FROM rates")
    address = f"/payers/{payer}/rates/{id}"
    assert "is corrected" in client.post(address, data={**RATE, "base": "40", "version": "1"}).text
    assert value(depot_db, "SELECT base_cents FROM rates WHERE id = ?", id) == 4000
    assert (
        "It ends on 30 Jun 2026." in client.post(f"{address}/end", data={"valid_to": "2026-06-30", "version": "2"}).text
    )
    assert days(depot_db, payer, "stretcher") == [("2026-02-01", "2026-06-30")]
    assert client.post(f"{address}/end", data={"valid_to": "", "version": "3"}).status_code == 422
    assert client.post(f"/payers/1/rates/{id}/end", data={"valid_to": "2026-06-30", "version": "3"}).status_code == 422
    used = value(depot_db, "SELECT max(id) FROM rates WHERE payer_id = ? AND level = 'wheelchair'", payer)
    refused = client.post(f"/payers/{payer}/rates/{used}", data={**RATE, "level": "wheelchair", "version": "1"})
    assert refused.status_code == 422
    assert "was billed by it" in refused.text


def test_only_billers_and_administrators_see_payers(client: Client, payer: int, depot: world.World) -> None:
    sign_in(client, depot, "biller")
    assert client.get(f"/payers/{payer}").status_code == 200
    for role in ("viewer", "dispatcher"):
        sign_in(client, depot, role)
        assert client.get("/payers").status_code == 403
        assert client.get(f"/payers/{payer}").status_code == 403
        assert client.post("/payers/add", data={}).status_code == 403
        assert client.post(f"/payers/{payer}/rates", data=RATE).status_code == 403
