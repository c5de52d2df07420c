"""Choosing a password in a real browser, behind the link of the welcome mail."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance import passwords
from appliance.storage import users
from appliance.storage.db import open_depot, value, write_tx
from tests.e2e.browser import chromium
from tests.web import world
from tests.web.serving import running_redis, running_web

pytestmark = pytest.mark.browser

TOKEN = "a" * 64
GOOD = "correct horse battery"


def test_a_password_is_chosen_by_keyboard_and_what_is_wrong_is_said() -> None:
    """A form is sent with the Origin that the guard asks for, which depends on the page's own Referrer-Policy."""
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    settings = world.empty(folder / "data")
    db = open_depot(settings.paths.depot_db)
    now = datetime.now(UTC)
    with write_tx(db) as tx:
        user = users.add(tx, "ann@example.org", "Ann Lee", "dispatcher", now)
        users.add_password_link(tx, user, passwords.token_hash(TOKEN), now, timedelta(days=7))
    try:
        with chromium() as browser, running_redis(settings.paths), running_web(folder / "data", folder / "log") as web:
            page = browser.new_page()
            page.goto(f"{web.url}/password/{TOKEN}")
            for password, again, said in (
                (GOOD, "correct horse", "The two passwords are not the same."),
                ("aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaa", "That is too easy to guess."),
            ):
                page.keyboard.type(password)  # the first field has the focus
                page.keyboard.press("Tab")
                page.keyboard.type(again)
                page.keyboard.press("Enter")
                page.get_by_role("alert").get_by_text(said).wait_for()
            page.fill("#password", GOOD)
            page.fill("#again", GOOD)
            page.get_by_role("button", name="Set the password").click()
            page.get_by_role("heading", name="Your password is set").wait_for()
            assert str(value(db, "SELECT password_hash FROM users WHERE id = ?", user)).startswith("$argon2id$")
            assert GOOD not in (folder / "log").read_text()
            assert TOKEN not in (folder / "log").read_text()
    finally:
        db.conn.close()
        shutil.rmtree(folder)
