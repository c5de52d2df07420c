"""`depotbox certificate`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from appliance import ca, config
from appliance.config import Settings
from tests.cli.conftest import Box


def test_a_certificate_is_installed_shown_and_removed(box: Box, settings: Settings, tmp_path: Path) -> None:
    paths = config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": str(tmp_path / "other")}).paths
    paths.prepare()
    made = ca.own(paths).server(["depot.example"], datetime.now(UTC))
    (tmp_path / "a.pem").write_text(made.certificate)
    (tmp_path / "a.key").write_text(made.key)
    assert "SHA" not in box("certificate", "show").err
    assert box("certificate", "show", "--json").json["source"] == "own"
    assert "depot.example" in box("certificate", "install", str(tmp_path / "a.pem"), str(tmp_path / "a.key")).out
    assert box("certificate", "show", "--json").json["names"] == ["depot.example"]
    wrong = box("certificate", "install", str(tmp_path / "a.key"), str(tmp_path / "a.pem"))
    assert (wrong.code, wrong.err.count("\n")) == (65, 1)
    assert box("certificate", "remove").code == 0
    assert box("certificate", "remove").code == 66
    assert box("certificate", "show", "--json").json["source"] == "own"
