"""What only the depot knows, after the set-up: on the page Depot and through the API."""

from __future__ import annotations

import html
import re
import stat
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlite_utils import Database

from appliance.settings_watch import changed
from appliance.storage import schedules
from appliance.storage.db import rows
from tests.web import world
from tests.web.conftest import Client, problem, sign_in
from tests.web.serving import Redis
from web.app import create_app

URL, PAGE = "/api/v1/settings", "/system/depot"
VARIABLES = {"DEPOTBOX_DEPOT__TAX_ID": "GB 7"}


@pytest.fixture
def client(depot: world.World, redis_server: Redis) -> Iterator[Client]:
    """The application as the role `web` runs it: it reads its settings again. The environment has the tax number."""

    def read() -> Any:
        return world.settings_for(depot.settings.paths.data_dir, **VARIABLES)

    app = create_app(read(), now=lambda: depot.now, reload=read)
    with TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False) as made:
        sign_in(made, depot)
        yield made


def form(client: Client, **changes: str) -> dict[str, str]:
    """The form as a browser sends it: each field that is not disabled."""
    page = client.get(PAGE).text
    inputs = re.findall(r'<input type="(?:text|password|hidden)"[^>]*>', page)
    fields = [re.findall(r'name="([\w.]+)" value="([^"]*)"', one)[0] for one in inputs if "disabled" not in one]
    areas = re.findall(r'<textarea[^>]*name="([\w.]+)"[^>]*>([^<]*)</textarea>', page)
    chosen = re.findall(r'<select[^>]*name="([\w.]+)".*?<option value="(\w+)" selected', page, re.DOTALL)
    return {name: html.unescape(text) for name, text in fields + areas + chosen} | changes


def test_what_is_entered_counts_at_once_and_roles_that_run_see_it(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    before = world.settings_for(depot.settings.paths.data_dir)
    said = client.post(PAGE, data=form(client, **{
        "depot.name": "Leeds <depot>", "depot.address": "1 Yard\r\nLeeds", "mail.host": "relay.example.org",
        "mail.port": "587", "mail.password": "hush hush", "upstream.url": "https://centre.example",
    }))  # fmt: skip
    assert (said.status_code, "Saved." in said.text, "Leeds &lt;depot&gt;" in said.text) == (200, True, True)
    assert changed(before)
    found = world.settings_for(depot.settings.paths.data_dir)
    assert (found.depot.name, found.depot.address) == ("Leeds <depot>", "1 Yard\nLeeds")
    assert (found.mail.port, found.mail.password) == (587, "hush hush")
    assert stat.S_IMODE(found.paths.own_config.stat().st_mode) == 0o600
    assert "Leeds &lt;depot&gt;" in client.get("/").text
    (entry,) = rows(depot_db, "SELECT who, detail FROM audit_log WHERE action = 'box.settings_changed'")
    assert entry == {
        "who": world.address_of("administrator"),
        "detail": "depot.address, depot.name, mail.host, mail.password, mail.port, upstream.url",
    }
    assert "sync.nightly" in [one["name"] for one in schedules.listed(depot_db)]
    assert "Nothing was changed." in client.post(PAGE, data=form(client)).text


def test_a_secret_is_never_shown_stays_where_nothing_is_typed_and_can_be_forgotten(
    client: Client, depot: world.World
) -> None:
    def stored() -> str:
        return world.settings_for(depot.settings.paths.data_dir).mail.password

    said = client.put(URL, json={"values": {"mail.password": "hush hush", "mail.port": 587}}).json()
    assert {"mail.port": 587, "mail.password": "********"}.items() <= {
        one["key"]: one["value"] for one in said["items"]
    }.items()
    assert "hush" not in client.get(PAGE).text
    assert "hush" not in client.get(URL).text
    client.post(PAGE, data=form(client, **{"mail.host": "relay.example.org"}))
    assert stored() == "hush hush"
    wrong = client.post(PAGE, data=form(client, **{"mail.password": "new word", "mail.port": "x"}))
    assert (wrong.status_code, "new word" in wrong.text) == (422, False)
    client.post(PAGE, data=form(client, forget="yes"))
    assert stored() == ""


def test_what_the_environment_has_is_said_and_cannot_be_entered(client: Client, depot: world.World) -> None:
    page = client.get(PAGE).text
    assert "Set in DEPOTBOX_DEPOT__TAX_ID, which wins." in page
    assert "depot.tax_id" not in form(client)
    items = {one["key"]: one for one in client.get(URL).json()["items"]}
    assert (items["depot.tax_id"]["value"], items["depot.tax_id"]["fixed_in"]) == ("GB 7", "DEPOTBOX_DEPOT__TAX_ID")
    assert items["depot.name"]["fixed_in"] is None
    said = problem(client.put(URL, json={"values": {"depot.tax_id": "GB 8"}}), 400)
    assert "depot.tax_id: is set in DEPOTBOX_DEPOT__TAX_ID" in said


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("depot.timezone", "Leeds", "Expected a time zone like Europe/London."),
        ("mail.port", "70000", "Expected 1 to 65535."),
        ("mail.sender", "bills", "Expected an address like billing@example.org."),
        ("upstream.url", "http://centre.example", "Expected an address like https://centre.example"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_kept(
    client: Client, depot: world.World, field: str, typed: str, said: str
) -> None:
    answer = client.post(PAGE, data=form(client, **{field: typed, "depot.name": "Elsewhere"}))
    assert answer.status_code == 422
    assert f'id="depot-{field}-problem">{said}' in answer.text
    assert f'value="{typed}"' in answer.text
    assert 'value="Elsewhere"' in answer.text
    assert not depot.settings.paths.own_config.exists()
    problem(client.put(URL, json={"values": {field: typed}}), 400)


def test_the_second_of_two_administrators_is_told(client: Client, depot: world.World) -> None:
    opened, version = form(client), client.get(URL).json()["version"]
    assert client.put(URL, json={"values": {"depot.name": "First"}, "version": version}).status_code == 200
    answer = client.post(PAGE, data=opened | {"depot.name": "Second"})
    assert answer.status_code == 422
    assert f"meanwhile by {world.address_of('administrator')} (depot.name)" in answer.text
    assert 'value="Second"' in answer.text
    assert "<b>Stored now:</b> First" in answer.text
    assert "meanwhile by" in problem(client.put(URL, json={"values": {"depot.name": "x"}, "version": version}), 409)
    assert world.settings_for(depot.settings.paths.data_dir).depot.name == "First"
    assert client.post(PAGE, data=form(client, **{"depot.name": "Second"})).status_code == 200


def test_what_invoices_stand_on_stays(client: Client) -> None:
    for key, value in (("depot.code", "LDS"), ("depot.currency", "EUR")):
        assert "invoices were issued with it" in problem(client.put(URL, json={"values": {key: value}}), 409)
    problem(client.put(URL, json={"values": {"web.port": 80}}), 400)
    problem(client.put(URL, json={"values": {"mail.port": "25"}}), 400)


def test_only_an_administrator_sees_and_changes_them(client: Client, depot: world.World) -> None:
    for role in ("dispatcher", "biller", "viewer"):
        sign_in(client, depot, role)
        assert [client.get(path).status_code for path in (PAGE, URL)] == [403, 403]
        assert client.post(PAGE, data={}).status_code == 403
        assert client.put(URL, json={"values": {}}).status_code == 403
        assert PAGE not in client.get("/system").text
