"""The set-up of a box, by page and by file: once, with a code, and nothing else answers before."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlite_utils import Database

from appliance import config, passwords, setup
from appliance.config import Settings
from appliance.settings_watch import changed
from appliance.storage import users
from appliance.storage.db import open_depot, rows, write_tx
from appliance.storage.migrations import migrate
from tests.web import world
from tests.web.conftest import NOON, Client, problem
from tests.web.serving import wait_for
from web.app import create_app
from web.security import POLICY

PAGE = {"accept": "text/html"}
GOOD = "correct horse battery"
FORM = {
    "email": "ada@example.org", "name": "Ada  King", "password": GOOD, "again": GOOD, "depot.name": "Leeds <depot>",
    "depot.code": "LDS", "depot.timezone": "Europe/London", "depot.currency": "GBP", "depot.units": "mile",
    "depot.legal_name": 'Leeds "PTS" Ltd', "depot.address": "1 Yard\r\nLeeds", "depot.tax_id": "GB 1",
    "depot.bank_details": "Bank 1", "mail.host": "relay.example.org", "mail.port": "587", "mail.security": "starttls",
    "mail.username": "leeds", "mail.password": "hush hush", "mail.sender": "bills@example.org", "upstream.url": "",
}  # fmt: skip


@pytest.fixture
def fresh(data_dir: Path) -> Settings:
    """A box as `init` leaves it at its first start."""
    settings = world.settings_for(data_dir)
    settings.paths.prepare()
    migrate(settings.paths.depot_db)
    db = open_depot(settings.paths.depot_db)
    setup.ensure_code(db, settings.paths)
    db.conn.close()
    return settings


@pytest.fixture
def db(fresh: Settings) -> Iterator[Database]:
    opened = open_depot(fresh.paths.depot_db)
    yield opened
    opened.conn.close()


@pytest.fixture
def page(fresh: Settings) -> Iterator[Client]:
    app = create_app(fresh, now=lambda: NOON, reload=lambda: world.settings_for(fresh.paths.data_dir))
    with TestClient(app, base_url="http://127.0.0.1:8080") as client:
        client.follow_redirects = False
        yield client


def code(settings: Settings) -> str:
    return settings.paths.setup_code.read_text().strip()


def enter(client: Client, settings: Settings, **changes: str) -> Any:
    return client.post("/setup", data={"code": code(settings), **FORM, **changes}, headers=PAGE)


def test_before_the_set_up_no_other_page_answers(page: Client) -> None:
    for path in ("/", "/board", "/login", "/account", "/trips/1", "/password/x", "/api/schema"):
        answer = page.get(path, headers=PAGE)
        if path.startswith("/api"):
            problem(answer, 503)
        else:
            assert (answer.status_code, answer.headers.get("location")) == (303, "/setup"), path
    assert "not set up" in problem(page.get("/api/v1/trips"), 503)
    assert "not set up" in problem(page.post("/login", data={"email": "a", "password": "b"}), 503)
    assert page.get("/healthz").json()["set_up"] is False


def test_the_page_sets_the_box_up_once(page: Client, fresh: Settings, db: Database) -> None:
    used = code(fresh)
    answer = enter(page, fresh)
    assert (answer.status_code, "The box is set up" in answer.text) == (200, True)
    assert not fresh.paths.setup_code.exists()
    (ada,) = users.listed(db)
    assert (ada["email"], ada["name"], ada["role"]) == ("ada@example.org", "Ada King", "administrator")
    assert passwords.fits(ada["password_hash"], GOOD)
    assert [row["action"] for row in rows(db, "SELECT action FROM audit_log ORDER BY id")] == [
        "user.made_administrator",
        "box.set_up",
    ]
    assert page.get("/setup", headers=PAGE).headers["location"] == "/"
    again = page.post("/setup", data={"code": used, **FORM, "email": "eve@example.org"}, headers=PAGE)
    assert (again.status_code, len(users.listed(db))) == (303, 1)
    assert page.get("/healthz").json()["set_up"] is True


def test_what_was_entered_is_the_configuration_from_then_on(page: Client, fresh: Settings) -> None:
    enter(page, fresh)
    found = world.settings_for(fresh.paths.data_dir)
    assert (found.depot.name, found.depot.code, found.depot.units) == ("Leeds <depot>", "LDS", "mile")
    assert (found.depot.legal_name, found.depot.address) == ('Leeds "PTS" Ltd', "1 Yard\nLeeds")
    assert (found.mail.host, found.mail.port, found.mail.password) == ("relay.example.org", 587, "hush hush")
    assert found.source("depot", "name") == str(fresh.paths.own_config)
    assert stat.S_IMODE(fresh.paths.own_config.stat().st_mode) == 0o600
    login = page.get("/login")
    assert (login.status_code, "Leeds &lt;depot&gt;" in login.text) == (200, True)
    assert page.post("/login", data={"email": "ada@example.org", "password": GOOD}).status_code == 303


def test_roles_that_run_see_that_something_was_entered(page: Client, fresh: Settings) -> None:
    assert not changed(fresh)
    enter(page, fresh)
    assert changed(fresh)
    assert not changed(world.settings_for(fresh.paths.data_dir))


@pytest.mark.parametrize("wrong", ["", "x", "ABCD-EFGH-JKLM"])
def test_a_wrong_code_keeps_nothing_and_the_next_attempt_waits(
    page: Client, fresh: Settings, db: Database, wrong: str
) -> None:
    answer = enter(page, fresh, code=wrong)
    assert (answer.status_code, "not the code" in answer.text) == (400, True)
    assert enter(page, fresh).status_code == 429
    assert users.listed(db) == []
    assert not fresh.paths.own_config.exists()
    wait_for(lambda: enter(page, fresh).status_code == 200, "the second is over")


def test_the_code_may_be_typed_in_small_letters_and_with_spaces(page: Client, fresh: Settings) -> None:
    assert enter(page, fresh, code=" " + code(fresh).lower().replace("-", " ")).status_code == 200


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("email", "ada", "address like"),
        ("name", " ", "1 to 100 characters"),
        ("password", "short", "not the same"),
        ("depot.code", "leeds", "2 to 8 capital letters"),
        ("depot.currency", "pounds", "three capital letters"),
        ("depot.timezone", "Leeds", "time zone like Europe/London"),
        ("depot.units", "ell", "km or mile"),
        ("depot.name", "", "length &gt;= 1"),
        ("mail.port", "70000", "expected 1 to 65535"),
        ("mail.port", "smtp", "int, got str"),
        ("mail.sender", "bills", "address like"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_is_kept(
    page: Client, fresh: Settings, db: Database, field: str, typed: str, said: str
) -> None:
    answer = enter(page, fresh, **{field: typed})
    assert answer.status_code == 400
    beside = answer.text.partition(f'id="said-{field}"')[2].partition("</p>")[0]
    assert said in beside.lower() or said in beside
    assert 'value="Leeds &lt;depot&gt;"' in answer.text or field == "depot.name"
    assert GOOD not in answer.text
    assert "hush hush" not in answer.text
    assert users.listed(db) == []
    assert enter(page, fresh).status_code == 200  # the code stays good


def test_what_the_configuration_has_cannot_be_entered(data_dir: Path, fresh: Settings) -> None:
    settings = world.settings_for(data_dir, DEPOTBOX_DEPOT__CODE="ENV")
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as client:
        shown = client.get("/setup").text
        assert "Set in DEPOTBOX_DEPOT__CODE" in shown
        assert enter(client, fresh).status_code == 200
    assert b"LDS" not in settings.paths.own_config.read_bytes()
    assert world.settings_for(data_dir, DEPOTBOX_DEPOT__CODE="ENV").depot.code == "ENV"


def test_the_page_has_the_policy_and_nothing_inline(page: Client) -> None:
    answer = page.get("/setup")
    assert answer.headers["content-security-policy"] == POLICY
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=", answer.text)


def test_another_sites_form_sets_nothing_up(page: Client, fresh: Settings, db: Database) -> None:
    headers = {"origin": "http://evil.example"}
    assert page.post("/setup", data={"code": code(fresh), **FORM}, headers=headers).status_code == 403
    assert users.listed(db) == []


def test_the_code_is_shown_on_the_box_only_and_kept_as_a_hash(page: Client, fresh: Settings) -> None:
    assert stat.S_IMODE(os.stat(fresh.paths.setup_code).st_mode) == 0o600
    plain = code(fresh).replace("-", "")
    stored = b"".join(path.read_bytes() for path in fresh.paths.data_dir.glob("depot.db*"))
    assert plain.encode() not in stored
    assert plain not in page.get("/setup").text.replace("-", "")


def test_the_code_stays_the_same_over_restarts(fresh: Settings, db: Database) -> None:
    before = code(fresh)
    setup.ensure_code(db, fresh.paths)
    assert (code(fresh), setup.shown_code(db, fresh.paths)) == (before, before)
    fresh.paths.setup_code.unlink()
    setup.ensure_code(db, fresh.paths)
    assert code(fresh) != before
    assert not setup.fits(db, before)


def test_a_new_code_makes_a_forgotten_administrator_anew_and_nothing_else(
    page: Client, fresh: Settings, db: Database
) -> None:
    enter(page, fresh)
    own = fresh.paths.own_config.read_bytes()
    made = setup.new_code(db, fresh.paths)
    shown = page.get("/setup", headers=PAGE).text
    assert "Make an administrator" in shown
    assert "depot.code" not in shown
    changed_form = {"password": "another horse battery", "again": "another horse battery", "depot.name": "Elsewhere"}
    assert enter(page, fresh, **changed_form).status_code == 200
    assert fresh.paths.own_config.read_bytes() == own
    (ada,) = users.listed(db)
    assert passwords.fits(ada["password_hash"], "another horse battery")
    setup.new_code(db, fresh.paths)
    assert not setup.fits(db, made)
    assert enter(page, fresh, email="eve@example.org").status_code == 200
    assert {user["role"] for user in users.listed(db)} == {"administrator"}
    assert not setup.is_open(db)


def test_the_code_of_the_first_start_opens_nothing_once_there_is_an_administrator(
    page: Client, fresh: Settings, db: Database
) -> None:
    """Where the box was set up without the page."""
    with write_tx(db) as tx:
        users.add(tx, "ada@example.org", "Ada", "administrator", NOON)
    assert not setup.fits(db, code(fresh))
    assert page.get("/setup", headers=PAGE).headers["location"] == "/"


def test_the_own_configuration_names_what_is_wrong_in_it(fresh: Settings) -> None:
    fresh.paths.own_config.write_text('[web]\nhost = "0.0.0.0"\n')
    with pytest.raises(config.ConfigError, match=r"depot\.toml: \[web\]: unknown key"):
        world.settings_for(fresh.paths.data_dir)
