"""The pages Work, System, Inbox and Help in a real browser: charts that are drawn, numbers that go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from appliance.events import Event as LiveEvent
from appliance.storage import notifications
from appliance.storage.db import open_depot, write_tx
from tests.e2e.desk import Desk, quiet, running_desk
from tests.web import work_day
from tests.web.serving import wait_for

pytestmark = pytest.mark.browser

BLANK = """id => { const c = document.querySelector(`#${id} canvas`);
  return !c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(byte => byte); }"""


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    with running_desk(work_day.make) as found:
        yield found


@pytest.fixture
def desk(running: Desk) -> Iterator[Desk]:
    with quiet(running) as found:
        yield found


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
    assert desk.ask("SELECT count(*) FROM queue_pauses WHERE queue = 'normal'") == 1
    drawn(page, "day")
    page.locator("section", has=page.locator("#queue-normal")).get_by_text("Resume").click()
    wait_for(lambda: desk.ask("SELECT count(*) FROM queue_pauses") == 0, "it goes on")


def test_the_numbers_go_on_while_a_question_stays_open(desk: Desk) -> None:
    page = desk.open("/work")
    page.locator("#act-purge-high_priority summary").click()
    before = page.locator("#count-of-pending").text_content()
    db = open_depot(desk.made.settings.paths.depot_db)
    db.conn.execute("UPDATE jobs SET state = 'discarded' WHERE id = ?", (desk.found["pending"],))
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
    assert desk.publisher.publish(LiveEvent("inbox", "all", {}))
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
