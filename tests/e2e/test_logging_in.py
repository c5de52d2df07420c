"""Logging in and out in a real browser, under the strict policy."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page

from appliance import access, passwords
from appliance.config import Settings
from appliance.storage import users
from appliance.storage.db import open_depot, write_tx
from tests.e2e.browser import chromium
from tests.web import world
from tests.web.serving import running_redis, running_web, wait_for

pytestmark = pytest.mark.browser

ANN, GOOD, NEXT = world.address_of("dispatcher"), "correct horse battery", "another good battery"


@dataclass
class Open:
    settings: Settings
    url: str
    page: Page


@pytest.fixture
def opened() -> Iterator[Open]:
    """A page of a browser that nobody is logged in with; it must not complain."""
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    made = world.make(folder / "data", datetime.now(UTC))
    db = open_depot(made.settings.paths.depot_db)
    with write_tx(db) as tx:
        user = users.by_email(tx, ANN)
        assert user is not None
        users.set_password(tx, user["id"], passwords.hashed(GOOD))
    db.conn.close()
    complaints: list[str] = []
    with (
        chromium() as browser,
        running_redis(made.settings.paths),
        running_web(folder / "data", folder / "log") as web,
    ):
        page = browser.new_page()
        page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield Open(made.settings, web.url, page)
        assert GOOD not in (folder / "log").read_text()
    shutil.rmtree(folder)
    assert complaints == []


def log_in(page: Page, password: str = GOOD) -> None:
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def test_a_dispatcher_logs_in_by_keyboard_changes_the_password_and_logs_out(opened: Open) -> None:
    page = opened.page
    page.goto(f"{opened.url}/trips/1")
    assert "/login?next=" in page.url
    page.locator("#email:focus").wait_for()  # the first field
    page.keyboard.type(ANN)
    page.keyboard.press("Tab")
    log_in(page, "not my password")
    page.get_by_role("alert").get_by_text("wrong").wait_for()
    assert page.locator("#email").input_value() == ANN
    wait_for(lambda: _again(page), "the wait is over")
    page.wait_for_url(f"{opened.url}/trips/1")

    page.click("#me-button")
    assert "dispatcher" in page.locator("#me").inner_text()
    page.click("#me a")
    for name, typed in (("current", GOOD), ("password", NEXT), ("again", NEXT)):
        page.fill(f"#{name}", typed)
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("Your password is changed").wait_for()

    page.goto(opened.url)
    page.click("#me-button")
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Demonstration depot").wait_for()
    page.goto(opened.url)
    assert page.url == f"{opened.url}/login"


def _again(page: Page) -> bool:
    """Tries the right password; the page that says "wait" keeps the address and has the focus in the password."""
    if page.locator("#password").count():
        page.locator("#password:focus").wait_for()
        log_in(page)
        page.wait_for_load_state()
    return page.locator(".timeline").count() > 0


def test_an_open_board_goes_to_the_login_page_when_its_session_ends(opened: Open) -> None:
    page, session = opened.page, world.as_user(opened.settings, "viewer")
    page.context.add_cookies([session.cookie(opened.url)])
    page.goto(opened.url)
    wait_for(lambda: page.locator("body[data-link=up]").count(), "connected")
    db = open_depot(opened.settings.paths.depot_db)
    with write_tx(db) as tx:
        access.end_session(tx, session.session)
    db.conn.close()
    # Both the lost stream and the next refresh lead there: one of the two navigations may be given up for the other.
    page.locator("#password").wait_for(timeout=10_000)
    assert page.url == f"{opened.url}/login"
