"""A broker's file through the page in a real browser, and run sheets on paper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.e2e.desk import Desk, quiet, running_desk
from tests.manifests import SEA
from tests.web import world

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    with running_desk(role="dispatcher") as found:
        yield found
        log = found.web.log.read_text()
        assert "Brennan" not in log
        assert "Muirhead" not in log


@pytest.fixture
def desk(running: Desk) -> Iterator[Desk]:
    with quiet(running) as found:
        yield found


def trips(desk: Desk) -> list[str]:
    return [row["ref"] for row in desk.rows("SELECT ref FROM trips WHERE ref LIKE 'MB-%' ORDER BY ref")]


def choose(page: Page, content: bytes) -> None:
    page.select_option("#file-payer", world.BROKER)
    page.set_input_files("#file-file", {"name": "day.csv", "mimeType": "text/csv", "buffer": content})
    page.click("text=Look at its columns")
    page.wait_for_selector(".mapping")


def test_a_file_becomes_the_day_and_the_next_one_changes_what_changed(desk: Desk) -> None:
    page = desk.open("/trips/import")
    choose(page, SEA)
    page.click("text=Show what it would do")
    page.wait_for_selector("#main > form > .complaint")  # a word for a level that the box does not know
    page.select_option("#level-0", "wheelchair")
    page.click("text=Show what it would do")
    page.wait_for_selector(".counts")
    assert trips(desk) == []
    page.click("text=Import just this")
    page.wait_for_selector(".done")
    assert trips(desk) == ["MB-301", "MB-301-R", "MB-302", "MB-302-R"]
    choose(page, SEA.replace(b"09:20;", b"09:05;"))
    page.click("text=Show what it would do")
    page.wait_for_selector(".counts")
    assert page.locator(".change").all_inner_texts() == ["Pickup Fri 13 Feb 09:20 Fri 13 Feb 09:05"]
    page.click("text=Give up")
    page.wait_for_selector(".done")


def test_a_file_that_is_too_large_does_not_travel(desk: Desk) -> None:
    page = desk.open("/trips/import")
    page.set_input_files("#file-file", {"name": "x.csv", "mimeType": "text/csv", "buffer": b"x" * (6 * 2**20)})
    assert (
        page.evaluate("document.getElementById('file-file').validationMessage")
        == "The file is too large: at most 5 MiB."
    )


def test_a_sheet_prints_without_the_page_around_it_and_each_driver_begins_a_page(desk: Desk) -> None:
    page = desk.open("/run-sheets")
    drivers = page.locator(".list tbody tr").count()
    page.click("text=All drivers, to print")
    page.wait_for_selector(".sheet")
    assert page.locator(".sheet").count() == drivers
    page.emulate_media(media="print")
    for hidden in (".strip", ".rail", "#print"):
        assert not page.locator(hidden).is_visible()
    assert page.locator(".sheet td.signature").first.is_visible()
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.count(b"/Type /Page\n") >= drivers
