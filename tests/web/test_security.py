"""What a foreign site can and cannot do, and what every answer carries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from litestar.testing import TestClient

from appliance import log
from appliance.paths import WEB_DIR
from tests.web import world
from tests.web.conftest import NEW_TRIP, Client, problem, sign_in, sign_out
from web.app import create_app
from web.security import POLICY

STATIC = re.compile(r"/assets/static/[0-9a-f]+/app\.css")


def static_path(client: Client) -> str:
    found = STATIC.search(client.get("/").text)
    assert found
    return found.group()


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "192.168.1.5", "", "[::1"]
)
def test_a_name_that_is_not_this_machine_is_refused(client: Client, host: str) -> None:
    problem(client.get("/api/v1/trips", headers={"host": host}), 421)


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:9999", "[::1]:8080"])
def test_loopback_names_are_answered(client: Client, host: str) -> None:
    assert client.get("/api/v1/trips", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8080"])
def test_another_sites_page_changes_nothing(client: Client, origin: str) -> None:
    problem(client.post("/api/v1/trips", json=NEW_TRIP, headers={"origin": origin}), 403)
    assert client.get("/api/v1/trips").json()["total"] == 20


def test_a_form_of_another_site_without_origin_is_refused(client: Client) -> None:
    problem(client.post("/api/v1/trips", json=NEW_TRIP, headers={"sec-fetch-site": "cross-site"}), 403)


@pytest.mark.parametrize("headers", [{}, {"origin": "http://127.0.0.1:8080"}])
def test_our_own_page_and_programs_may_write(client: Client, headers: dict[str, str]) -> None:
    assert client.post("/api/v1/trips", json=NEW_TRIP, headers=headers).status_code == 201


@pytest.mark.parametrize(
    "path", ["/", "/board", "/healthz", "/api/v1/trips", "/nothing", "/api/v1/nothing", "/trips/1", "static"]
)
def test_every_answer_has_the_policy(client: Client, path: str) -> None:
    answer = client.get(static_path(client) if path == "static" else path)
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/login", 200), ("/", 303), ("/api/v1/trips", 401), ("/password/x", 404), ("/setup", 303), ("/sign-in/x", 404)],
)
def test_what_a_stranger_gets_has_the_policy_too_and_is_not_kept(client: Client, path: str, status: int) -> None:
    sign_out(client)
    answer = client.get(path, headers={"accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "no-store"


def test_the_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'; script-src 'self';")


@pytest.mark.parametrize("path", ["/", "/board", "/api/v1/trips", "/nothing", "/account"])
def test_pages_and_data_are_not_kept_by_browsers(client: Client, path: str) -> None:
    assert client.get(path).headers["cache-control"] == "no-store"


def test_static_files_may_be_kept_and_come_compressed(client: Client) -> None:
    answer = client.get(static_path(client))
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == (WEB_DIR / "static" / "app.css").read_text()


@pytest.mark.parametrize("name", ["..%2fapp.py", "%2e%2e/%2e%2e/app.py", "nothing.css", "/etc/passwd"])
def test_only_the_files_that_are_meant_are_served(client: Client, name: str) -> None:
    assert client.get(f"{static_path(client).removesuffix('app.css')}{name}").status_code == 404


def test_pages_have_no_inline_script_or_style(client: Client) -> None:
    for path in ("/", "/trips/1", "/board", "/nothing", "/account", "/login"):
        page = client.get(path, headers={"accept": "text/html"}).text
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|hx-on|javascript:", page), path


def test_what_people_typed_stands_as_text_on_the_page(client: Client) -> None:
    client.post("/api/v1/trips", json={**NEW_TRIP, "pickup_address": '"><script>alert(1)</script>', "patient": "<b>x"})
    page = client.get("/board").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_an_unforeseen_error_is_logged_and_answered_without_details(
    depot: world.World, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("the secret of Ada Marsh")

    log.configure("web", terminal=False)
    app = create_app(depot.settings, now=broken)  # type: ignore[arg-type]
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        sign_in(client, depot)
        answer = client.get("/api/v1/vehicles")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    problem(answer, 500)
    said = capsys.readouterr().err
    assert "web.unexpected" in said
    assert "RuntimeError" in said


def test_without_a_database_the_answer_says_what_to_do(data_dir: Path) -> None:
    with TestClient(create_app(world.settings_for(data_dir)), base_url="http://127.0.0.1") as client:
        assert "depotbox run" in problem(client.get("/api/v1/trips"), 503)
        page = client.get("/", headers={"accept": "text/html"})
    assert page.status_code == 503
    assert "depotbox run" in page.text
    assert page.headers["content-type"].startswith("text/html")
