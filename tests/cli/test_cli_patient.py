"""`depotbox patient`."""

from __future__ import annotations

from sqlite_utils import Database

from appliance.errors import InputError, NotFound, Refused
from appliance.storage.db import value
from tests.cli.conftest import Box


def test_a_patient_is_added_found_changed_asked_for_consent_and_erased(box: Box, db: Database) -> None:
    assert box("patient", "add", "Ada Marsh", "--address", "5 Sandy Lane\\nTown", "--phone", "+44 1").out == "1\n"
    assert (
        box("patient", "set", "1", "--email", "ada@example.org", "--level", "stretcher", "--needs", "Oxygen").code == 0
    )
    assert box("patient", "consent", "1", "yes").code == 0
    (found,) = box("patient", "list", "marsh sandy", "--json").items
    assert found == {
        "id": 1, "name": "Ada Marsh", "address": "5 Sandy Lane\nTown", "phone": "+44 1", "email": "ada@example.org",
        "level": "stretcher", "needs": "Oxygen", "email_consent": True, "payer_id": None,
    }  # fmt: skip
    assert box("patient", "list", "nobody", "--json").items == []
    assert value(db, "SELECT count(*) FROM audit_log WHERE action = 'patient.viewed'") == 1
    assert box("patient", "erase", "1", stdin=b"n\n").code != 0
    assert "Ada Marsh" in box("patient", "list").out
    assert box("patient", "erase", "1", "--yes").code == 0
    assert box("patient", "list").out == "no such patients\n"
    assert box("patient", "erase", "1", "--yes").code == Refused.exit_code


def test_what_is_wrong_is_one_line(box: Box) -> None:
    assert box("patient", "add", " ").code == InputError.exit_code
    assert box("patient", "add", "Ada", "--email", "nobody").code == InputError.exit_code
    assert box("patient", "set", "9", "--phone", "1").code == NotFound.exit_code
    assert box("patient", "consent", "9", "yes").code == NotFound.exit_code
    assert box("patient", "erase", "9", "--yes").code == NotFound.exit_code
