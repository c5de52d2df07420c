"""The page System: issues in plain words, and the clock that an administrator confirms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient
from sqlite_utils import Database

from appliance import clock
from appliance.storage.db import open_depot, rows
from tests.web import world
from tests.web.conftest import NOON, Client, problem, sign_in
from tests.web.serving import running_redis
from web.app import create_app


@pytest.fixture
def careful(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Client, world.World]]:
    """A depot whose clock must be synchronized, where it is not."""
    monkeypatch.setattr(clock, "SYNCHRONIZED", tmp_path / "synchronized")
    world.empty(data_dir)
    settings = world.settings_for(data_dir, DEPOTBOX_CLOCK__TRUST="synchronized")
    made = world.World(settings, NOON, {}, {}, [])
    with (
        running_redis(settings.paths),
        TestClient(create_app(settings, now=lambda: NOON), base_url="http://127.0.0.1:8080") as client,
    ):
        sign_in(client, made)
        yield client, made


def test_an_administrator_confirms_the_clock_and_it_stands_in_the_audit_log(
    careful: tuple[Client, world.World],
) -> None:
    client, made = careful
    assert "clock not trusted" in client.get("/strip").text
    page = client.get("/system").text
    assert 'id="issue-clock_untrusted"' in page
    assert "Monday, 26 January 2026, 12:00" in page
    after = client.post("/system/clock").text
    assert "The clock is confirmed" in after
    assert 'id="issue-clock_untrusted"' not in after
    assert "clock not trusted" not in client.get("/strip").text
    assert client.post("/system/clock").status_code == 422
    problem(client.post("/api/v1/system/clock/confirm"), 409)
    db: Database = open_depot(made.settings.paths.depot_db)
    assert [row["who"] for row in rows(db, "SELECT who FROM audit_log WHERE action = 'clock.confirmed'")] == [
        world.address_of("administrator")
    ]
    db.conn.close()


def test_who_may_look_sees_the_clock_and_cannot_confirm_it(careful: tuple[Client, world.World]) -> None:
    client, made = careful
    sign_in(client, made, "dispatcher")
    assert "Confirm the clock" not in client.get("/system").text
    assert client.post("/system/clock").status_code == 403
    assert client.post("/api/v1/system/clock/confirm").status_code == 403
    assert "clock_untrusted" in {one["code"] for one in client.get("/api/v1/system/issues").json()["items"]}


def test_the_page_says_what_is_not_there(client: Client) -> None:
    """The pages run here without a supervisor, and no central office is set up."""
    page = client.get("/system").text
    assert "No supervisor of the box's own runs here" in page.replace("&#39;", "'")
    assert "No central office is set up." in page
    assert "Restart" not in page.partition("Roles</h2>")[2].partition("Clock")[0]
    assert client.post("/system/roles/beat/restart").status_code == 422
    problem(client.post("/api/v1/system/roles/beat/restart"), 503)
    problem(client.post("/api/v1/system/roles/nothing/restart"), 404)
    problem(client.post("/api/v1/system/roles/init/restart"), 409)
