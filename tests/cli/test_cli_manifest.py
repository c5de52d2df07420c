"""`depotbox manifest import`: looked at first, done once, and no name on the terminal."""

from __future__ import annotations

from pathlib import Path

from sqlite_utils import Database

from appliance.errors import InputError, NotFound
from appliance.storage.db import rows
from tests.cli.conftest import Box
from tests.manifests import SEA, TABS


def test_a_dry_run_changes_nothing_and_the_import_is_done_once(box: Box, db: Database, tmp_path: Path) -> None:
    box("payer", "add", "Harbor", "--kind", "broker")
    file = tmp_path / "day.csv"
    file.write_bytes(TABS)
    said = box("manifest", "import", str(file), "--payer", "Harbor", "--dry-run")
    assert (said.code, said.out.splitlines()[0]) == (0, "Would be: 2 added, 1 unchanged.")
    assert rows(db, "SELECT id FROM trips") == []
    done = box("manifest", "import", str(file), "--payer", "Harbor", "--json")
    assert (done.code, done.json["counts"]["added"], done.json["days"]) == (0, 2, ["2026-02-03"])
    assert box("manifest", "import", str(file), "--payer", "Harbor").out == "3 unchanged.\n"
    assert len(rows(db, "SELECT id FROM trips")) == 2


def test_bad_rows_are_listed_without_what_stands_in_them(box: Box) -> None:
    box("payer", "add", "Mersey", "--kind", "broker")
    said = box("manifest", "import", "-", "--payer", "Mersey", stdin=SEA)
    assert said.code == InputError.exit_code
    assert "4 added, 1 bad" in said.out
    assert said.out.splitlines()[-1].split() == ["4", "Collect", "a", "time", "like", "14:30"]
    assert "Brennan" not in said.out
    assert "Muirhead" not in said.out


def test_what_cannot_be_imported_is_one_line(box: Box) -> None:
    nobody = box("manifest", "import", "-", "--payer", "Nobody", stdin=TABS)
    assert (nobody.code, len(nobody.err.splitlines())) == (NotFound.exit_code, 1)
    box("payer", "add", "Harbor", "--kind", "broker")
    odd = box("manifest", "import", "-", "--payer", "Harbor", stdin=b"PK\x03\x04")
    assert odd.code == InputError.exit_code
    assert odd.err == "depotbox: file: this is a spreadsheet, not a CSV file (in the spreadsheet, save as CSV)\n"
