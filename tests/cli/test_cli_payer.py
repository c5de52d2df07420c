"""`depotbox payer` and `depotbox rate`."""

from __future__ import annotations

from sqlite_utils import Database

from appliance import clock
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import people
from appliance.storage.db import write_tx
from tests.cli.conftest import Box


def test_a_payer_with_its_rates_is_added_listed_and_changed(box: Box) -> None:
    assert box("payer", "add", "Renal Unit", "--kind", "facility", "--address", "1 Road\\nTown").out == "1\n"
    assert box("payer", "set", "Renal Unit", "--delivery", "print", "--terms", "14").code == 0
    assert box("payer", "set", "1", "--email", "pay@example.org").code == 0
    (found,) = box("payer", "list", "--json").items
    assert found == {
        "id": 1, "name": "Renal Unit", "kind": "facility", "patient_id": None, "address": "1 Road\nTown",
        "email": "pay@example.org", "delivery": "print", "terms_days": 14,
    }  # fmt: skip
    added = box("rate", "add", "Renal Unit", "wheelchair", "--from", "2026-03-01", "--base", "24.50", "--per-unit",
                "2.45", "--unit", "km", "--after-hours-from", "19:30", "--tax", "17.5")  # fmt: skip
    assert added.out == "1\n"
    assert box("rate", "add", "1", "wheelchair", "--from", "2026-04-01", "--to", "", "--base", "25").out == "2\n"
    first, second = box("rate", "list", "Renal Unit", "--json").items
    assert (first["valid_from"], first["valid_to"], first["base_cents"]) == ("2026-03-01", "2026-03-31", 2450)
    assert (first["unit"], first["after_hours_from"], first["tax_bp"]) == ("km", "19:30", 1750)
    assert (second["valid_to"], second["unit"], second["base_cents"]) == (None, "mile", 2500)
    assert "24.50" in box("rate", "list", "1").out


def test_what_is_wrong_is_one_line(box: Box) -> None:
    rate = ("rate", "add", "Renal Unit", "wheelchair", "--from", "2026-03-01", "--base")
    assert box(*rate, "10").code == NotFound.exit_code
    assert "depotbox payer add" in box("payer", "list").out
    box("payer", "add", "Renal Unit", "--kind", "facility")
    assert "depotbox rate add" in box("rate", "list", "Renal Unit").out
    assert box(*rate, "ten").code == InputError.exit_code
    assert "after_hours_from" in box(*rate, "10", "--after-hours-from", "8 pm").err
    assert "--tax" in box(*rate, "10", "--tax", "200").err
    assert box(*rate, "10").code == 0
    assert box(*rate, "10").code == Refused.exit_code
    assert box("payer", "add", "--kind", "facility").code == InputError.exit_code
    assert box("payer", "set", "Nobody", "--terms", "3").code == NotFound.exit_code


def test_a_patient_who_pays_is_listed_without_a_name(box: Box, db: Database) -> None:
    with write_tx(db) as tx:
        patient = people.add_patient(tx, "Ada Marsh", clock.now(), address="5 Sandy Lane", email="ada@example.org")
    assert box("payer", "add", "--kind", "patient", "--patient", str(patient)).code == 0
    for said in (box("payer", "list").out, box("payer", "list", "--json").out):
        assert not {"Ada", "Sandy", "ada@"} & set(said.replace("\n", " ").split())
        assert "Marsh" not in said
