"""The page about the certificate, the API beside it, and `/ca`."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance import ca
from appliance.servers import certificate
from appliance.storage.db import rows
from tests.web import world
from tests.web.conftest import NOON, Client, problem, sign_in, sign_out
from tests.web.test_https import another_authority


@pytest.fixture(autouse=True)
def own(depot: world.World) -> None:
    certificate.renew(depot.settings, NOON)


def test_anybody_sees_how_to_trust_the_box_with_the_fingerprint(client: Client, depot: world.World) -> None:
    sign_out(client)
    page = client.get("/ca")
    assert page.status_code == 200
    for pair in ca.own(depot.settings.paths).fingerprint.split(":"):
        assert f"<span>{pair}</span>" in page.text
    for system in ("Windows", "Android", "iPhone", "Firefox"):
        assert system in page.text


def test_an_administrator_installs_a_certificate_on_the_page_and_takes_it_away(
    client: Client, depot_db: Database, tmp_path: Path
) -> None:
    made = another_authority(tmp_path / "other").server(["depot.example"], NOON)
    assert "the box&#39;s own" in client.get("/system/certificate").text.replace("'", "&#39;")
    files = {"certificate": ("a.pem", made.certificate), "key": ("a.key", made.key)}
    page = client.post("/system/certificate/install", files=files)
    assert page.status_code == 200, page.text
    assert "open the pages as depot.example" in page.text
    assert client.get("/api/v1/system/certificate").json()["source"] == "uploaded"
    assert "PRIVATE KEY" not in client.get("/system/certificate").text
    assert client.post("/system/certificate/remove").status_code == 200
    assert client.get("/api/v1/system/certificate").json()["source"] == "own"
    assert client.post("/system/certificate/remove").status_code == 422
    actions = [row["action"] for row in rows(depot_db, "SELECT action FROM audit_log WHERE subject = 'certificate'")]
    assert actions == ["certificate.installed", "certificate.removed"]


def test_a_wrong_one_is_said_beside_its_field(client: Client, tmp_path: Path) -> None:
    authority = another_authority(tmp_path / "other")
    made, other = authority.server(["a.example"], NOON), authority.server(["b.example"], NOON)
    files = {"certificate": ("a.pem", made.certificate), "key": ("a.key", other.key)}
    page = client.post("/system/certificate/install", files=files)
    assert page.status_code == 422
    assert "It does not belong to the certificate." in page.text
    said = problem(client.put("/api/v1/system/certificate", json={"certificate": "x", "key": made.key}), 400)
    assert "expected PEM" in said


def test_only_administrators_change_it(client: Client, depot: world.World) -> None:
    sign_in(client, depot, "dispatcher")
    assert client.get("/system/certificate").status_code == 403
    assert client.get("/api/v1/system/certificate").json()["ca_sha256"] == ca.own(depot.settings.paths).fingerprint
    assert client.delete("/api/v1/system/certificate").status_code == 403
    assert "/system/certificate" not in client.get("/system").text
