"""Two people who change the same record: the second is told who was faster, and nothing is lost without a word."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlite_utils import Database

from appliance.storage.db import row
from tests.web import money_day, work_day, world
from tests.web.conftest import Client, problem

ADMINISTRATOR = world.address_of("administrator")


@dataclass(frozen=True)
class Record:
    """One of a kind that people edit: its form on a page, its address in the API, and its row."""

    page: str
    form: dict[str, str]
    api: str
    body: dict[str, Any]
    query: str
    column: str
    method: str = "PATCH"
    shown_at: str = field(default="")

    def stored(self, db: Database) -> Any:
        found = row(db, self.query)
        assert found
        return found[self.column]

    def version(self, db: Database) -> int:
        found = row(db, self.query)
        assert found
        return int(found["version"])


PRICES = {"level": "ambulatory", "valid_from": "2020-01-01"}
RECORDS = {
    "patient": Record("/patients/1", {"name": "Ada Marsh", "phone": "+44 2"}, "/patients/1", {"phone": "+44 1"},
                      "SELECT * FROM patients WHERE id = 1", "phone"),
    "driver": Record("/drivers/D1", {"name": "Alex Rowe", "phone": "+44 2"}, "/drivers/D1", {"phone": "+44 1"},
                     "SELECT * FROM drivers WHERE code = 'D1'", "phone"),
    "vehicle": Record("/vehicles/V8", {"name": "Van 8", "plate": "TWO", "level_ambulatory": "yes"}, "/vehicles/V8",
                      {"plate": "ONE"}, "SELECT * FROM vehicles WHERE code = 'V8'", "plate"),
    "user": Record("/users/1", {"name": "Second"}, "/users/1", {"name": "First"},
                   "SELECT * FROM users WHERE id = 1", "name"),
    "payer": Record("/payers/1/edit", {"terms_days": "20"}, "/payers/1", {"terms_days": 10},
                    "SELECT * FROM payers WHERE id = 1", "terms_days", shown_at="/payers/1"),
    "rate": Record("/payers/{payer}/rates/{rate}", PRICES | {"base": "20.00"}, "/payers/{payer}/rates/{rate}",
                   PRICES | {"base_cents": 1000}, "SELECT * FROM rates WHERE id = {rate}", "base_cents", "PUT",
                   "/payers/{payer}"),
    "schedule": Record("/work/schedule/cleanup-old-gps-data", {"kind": "interval", "every_s": "200"},
                       "/schedules/cleanup-old-gps-data", {"every_s": 100.0},
                       "SELECT * FROM schedules WHERE name = 'cleanup-old-gps-data'", "every_s", "PUT",
                       "/work/schedule"),
}  # fmt: skip


@pytest.fixture(params=RECORDS)
def record(request: pytest.FixtureRequest, depot: world.World, client: Client) -> Record:
    found = RECORDS[request.param]
    if request.param == "schedule":
        work_day.make(depot)
    if request.param != "rate":
        return found
    payer = money_day.make(depot)["payer"]
    body = {"level": "bariatric", "valid_from": "2030-01-01", "base_cents": 500}
    rates = client.post(f"/api/v1/payers/{payer}/rates", json=body).json()["items"]
    ids = {"payer": str(payer), "rate": str(next(one["id"] for one in rates if one["level"] == "bariatric"))}
    days = {"level": "bariatric", "valid_from": "2030-01-01"}

    def filled(text: str) -> str:
        for name, id in ids.items():
            text = text.replace(f"{{{name}}}", id)
        return text

    return Record(
        filled(found.page), found.form | days, filled(found.api), found.body | days, filled(found.query),
        found.column, found.method, filled(found.shown_at),
    )  # fmt: skip


def save(client: Client, record: Record, **more: Any) -> Any:
    return client.request(record.method, f"/api/v1{record.api}", json=record.body | more)


def test_the_api_refuses_a_change_of_what_somebody_else_has_changed(
    client: Client, record: Record, depot_db: Database
) -> None:
    seen = record.version(depot_db)
    assert save(client, record, version=seen).status_code == 200
    stored = record.stored(depot_db)
    said = problem(save(client, record, version=seen), 409)
    assert f"meanwhile by {ADMINISTRATOR}" in said
    assert record.stored(depot_db) == stored
    assert record.version(depot_db) > seen
    assert save(client, record).status_code == 200  # who does not say what they saw is not asked


def test_a_page_tells_the_second_person_who_was_faster_and_keeps_what_was_typed(
    client: Client, record: Record, depot_db: Database
) -> None:
    page = client.get(record.shown_at or record.page).text
    seen = str(record.version(depot_db))
    assert f'<input type="hidden" name="version" value="{seen}">' in page
    assert save(client, record).status_code == 200
    first = record.stored(depot_db)
    answer = client.post(record.page, data=record.form | {"version": seen})
    assert answer.status_code == 422
    assert f"meanwhile by {ADMINISTRATOR}" in answer.text
    assert record.stored(depot_db) == first
    assert "Stored now:" in answer.text
    for name, text in record.form.items():
        if name not in ("level", "kind", "level_ambulatory"):
            assert re.search(rf'name="{name}" value="{re.escape(text)}"', answer.text), name
    again = client.post(record.page, data=record.form | {"version": str(record.version(depot_db))})
    assert again.status_code == 200
    assert record.stored(depot_db) != first


def test_a_form_that_does_not_say_what_was_seen_changes_nothing(
    client: Client, record: Record, depot_db: Database
) -> None:
    before = record.stored(depot_db)
    answer = client.post(record.page, data=record.form)
    assert answer.status_code == 422
    assert "The page is out of date" in answer.text
    assert record.stored(depot_db) == before


def test_an_entry_that_was_deleted_is_not_made_again_by_who_saw_it(client: Client) -> None:
    entry = {"task": "trips.tasks.check_trip_timeouts", "every_s": 60.0}
    made = client.put("/api/v1/schedules/nightly-report", json=entry).json()
    assert client.delete("/api/v1/schedules/nightly-report").status_code == 204
    answer = client.put("/api/v1/schedules/nightly-report", json=entry | {"version": made["version"]})
    assert problem(answer, 404).startswith("nightly-report")
