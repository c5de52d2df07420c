"""What the program says that it is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance import parts
from appliance.cli.version import version


def test_a_checkout_knows_its_packages_with_versions_and_licences() -> None:
    known = {part.name: part for part in parts.known()}
    assert known["celery"].licence == "BSD-3-Clause"
    assert known["python"].kind == "generic"
    assert "msgspec" in known
    assert "pytest" not in known


def test_the_frozen_program_tells_what_its_bill_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licence, choice = {"license": {"name": "BSD"}}, {"expression": "MIT OR Apache-2.0"}
    components = [
        {"name": "redis", "version": "5:7", "purl": "pkg:deb/debian/redis@5:7", "licenses": [licence]},
        {"name": "anyio", "version": "4", "purl": "pkg:pypi/anyio@4", "licenses": [choice]},
    ]
    bill = tmp_path / "bill.json"
    bill.write_text(json.dumps({"components": components}))
    monkeypatch.setattr(parts, "BILL", bill)
    told = json.loads(CliRunner().invoke(version, ["--all", "--json"]).output)["parts"]
    assert told == [
        {"name": "redis", "version": "5:7", "kind": "deb", "licence": "BSD"},
        {"name": "anyio", "version": "4", "kind": "pypi", "licence": "MIT OR Apache-2.0"},
    ]
    lines = CliRunner().invoke(version, ["--all"]).output.splitlines()
    assert lines[1].split() == ["deb", "redis", "5:7", "BSD"]


def test_the_version_alone_is_one_line() -> None:
    assert len(CliRunner().invoke(version).output.splitlines()) == 1
