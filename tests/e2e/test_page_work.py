"""The pages Work, System, Inbox and Help in a real browser: charts that are drawn, numbers that go on, axe-core."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from appliance.events import Event as LiveEvent
from appliance.events import Publisher
from appliance.paths import PROJECT_ROOT
from appliance.storage import notifications
from appliance.storage.db import open_depot, value, write_tx
from tests.e2e.browser import chromium
from tests.web import work_day, world
from tests.web.serving import running_redis, running_web, wait_for

pytestmark = pytest.mark.browser

AXE = PROJECT_ROOT / "node_modules" / "axe-core" / "axe.min.js"
BLANK = """id => { const c = document.querySelector(`#${id} canvas`);
  return !c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(byte => byte); }"""


@dataclass
class Desk:
    """A depot with a day of work, in a browser; `complaints` is what the browser said."""

    made: world.World
    jobs: dict[str, str]
    url: str
    browser: Browser
    complaints: list[str]

    def open(self, path: str, *, phone: bool = False, role: str = "administrator", **options: Any) -> Page:
        size = {"width": 390, "height": 844} if phone else {"width": 1440, "height": 900}
        page = self.browser.new_page(viewport=size, has_touch=phone, is_mobile=phone, **options)  # type: ignore[arg-type]
        page.context.add_cookies([world.as_user(self.made.settings, role).cookie(self.url)])
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.url + path)
        return page

    def count(self, sql: str) -> int:
        db = open_depot(self.made.settings.paths.depot_db)
        found = int(value(db, sql))
        db.conn.close()
        return found


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("DEPOTBOX_")}
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    made = world.make(folder / "data", datetime.now(UTC))
    ids = work_day.make(made)
    with (
        running_redis(made.settings.paths),
        running_web(folder / "data", folder / "web.log") as web,
        chromium() as browser,
    ):
        yield Desk(made, ids, web.url, browser, [])
    shutil.rmtree(folder)
    os.environ.update(saved)


@pytest.fixture
def desk(running: Desk) -> Iterator[Desk]:
    """After the test no browser may have complained, the policy included."""
    running.complaints.clear()
    yield running
    for context in running.browser.contexts:
        context.close()
    assert running.complaints == []


def drawn(page: Page, span: str) -> None:
    wait_for(lambda: page.locator(f"#charts[data-ready={span}]").count(), "the charts stand")


def test_the_charts_are_drawn_for_each_span_and_told_in_words(desk: Desk) -> None:
    page = desk.open("/work")
    drawn(page, "day")
    for chart in ("chart-ended", "chart-waiting"):
        assert not page.evaluate(BLANK, chart)
    assert "4 of them failed" in (page.locator("#ended-said").text_content() or "")
    page.click("[data-span=hour]")
    drawn(page, "hour")
    assert page.locator("#ended-said").text_content() != ""
    assert page.locator("[data-span=hour]").get_attribute("aria-current") == "true"


def test_a_queue_is_paused_and_the_charts_are_drawn_again(desk: Desk) -> None:
    page = desk.open("/work")
    drawn(page, "day")
    page.locator("section", has=page.locator("#queue-normal")).get_by_text("Pause").click()
    wait_for(lambda: page.locator(".done").count(), "it is said")
    assert desk.count("SELECT count(*) FROM queue_pauses WHERE queue = 'normal'") == 1
    drawn(page, "day")
    page.locator("section", has=page.locator("#queue-normal")).get_by_text("Resume").click()
    wait_for(lambda: desk.count("SELECT count(*) FROM queue_pauses") == 0, "it goes on")


def test_the_numbers_go_on_while_a_question_stays_open(desk: Desk) -> None:
    page = desk.open("/work")
    page.locator("#act-purge-high_priority summary").click()
    before = page.locator("#count-of-pending").text_content()
    db = open_depot(desk.made.settings.paths.depot_db)
    db.conn.execute("UPDATE jobs SET state = 'discarded' WHERE id = ?", (desk.jobs["pending"],))
    db.conn.close()
    wait_for(lambda: page.locator("#count-of-pending").text_content() != before, "the number goes on")
    assert page.locator("#act-purge-high_priority[open]").count() == 1


def test_the_bell_rings_as_soon_as_somebody_is_told(desk: Desk) -> None:
    page = desk.open("/work")
    wait_for(lambda: page.locator("body[data-link=up]").count(), "connected")
    db = open_depot(desk.made.settings.paths.depot_db)
    with write_tx(db) as tx:
        notifications.tell_role(tx, "administrator", "note", "Look at trip 3", "once", desk.made.now)
    db.conn.close()
    assert Publisher(desk.made.settings.paths.redis_socket).publish(LiveEvent("inbox", "all", {}))
    wait_for(lambda: page.locator("#bell b").count(), "the bell counts it", 5)
    page.click("#bell")
    assert "Look at trip 3" in page.locator(".message.unread").inner_text()
    page.locator(".message button").click()
    wait_for(lambda: page.locator(".message.unread").count() == 0, "it is read")


def test_the_api_is_browsed_and_tried_without_the_internet(desk: Desk) -> None:
    page = desk.open("/help")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("link", name="Browse the API").click()
    page.locator("#operations-tag-healthz").click()
    page.get_by_text("Whether the box can serve").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".live-responses-table .response-col_status", has_text="200").first.wait_for()
    assert [url for url in asked if not url.startswith((desk.url, "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True])
def test_nothing_serious_stands_in_anybodys_way(desk: Desk, phone: bool, scheme: str) -> None:
    for path in ("/work", "/work/schedule", f"/work/jobs/{desk.jobs['failed']}", "/system", "/inbox", "/help"):
        page = desk.open(path, phone=phone, color_scheme=scheme)
        if path == "/work":
            drawn(page, "day")
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")["violations"]
        serious = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found
                   if one["impact"] in ("serious", "critical")]  # fmt: skip
        assert serious == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= (390 if phone else 1440)
        page.close()
