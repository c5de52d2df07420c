"""A broker's file through the page in a real browser, and run sheets on paper."""

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

from appliance.paths import PROJECT_ROOT
from appliance.storage.db import open_depot, rows
from tests.e2e.browser import chromium
from tests.manifests import SEA
from tests.web import world
from tests.web.serving import running_redis, running_web

pytestmark = pytest.mark.browser

AXE = PROJECT_ROOT / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Desk:
    """A depot in a browser; `complaints` is what the browser said."""

    made: world.World
    url: str
    browser: Browser
    complaints: list[str]

    def open(self, path: str, *, phone: bool = False, **options: Any) -> Page:
        size = {"width": 390, "height": 844} if phone else {"width": 1440, "height": 900}
        page = self.browser.new_page(viewport=size, has_touch=phone, is_mobile=phone, **options)  # type: ignore[arg-type]
        page.context.add_cookies([world.as_user(self.made.settings, "dispatcher").cookie(self.url)])
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.url + path)
        return page

    def trips(self) -> list[str]:
        db = open_depot(self.made.settings.paths.depot_db)
        found = [row["ref"] for row in rows(db, "SELECT ref FROM trips WHERE ref LIKE 'MB-%' ORDER BY ref")]
        db.conn.close()
        return found


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("DEPOTBOX_")}
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    made = world.make(folder / "data", datetime.now(UTC))
    with (
        running_redis(made.settings.paths),
        running_web(folder / "data", folder / "web.log") as web,
        chromium() as browser,
    ):
        yield Desk(made, web.url, browser, [])
        log = (folder / "web.log").read_text()
        assert "Brennan" not in log
        assert "Muirhead" not in log
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


def choose(page: Page, content: bytes) -> None:
    page.select_option("#file-payer", world.BROKER)
    page.set_input_files("#file-file", {"name": "day.csv", "mimeType": "text/csv", "buffer": content})
    page.click("text=Look at its columns")
    page.wait_for_selector(".mapping")


def fine(page: Page, width: int) -> None:
    """Nothing serious stands in anybody's way, and nothing stands out of the page."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found
            if one["impact"] in ("serious", "critical")] == []  # fmt: skip
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_file_becomes_the_day_and_the_next_one_changes_what_changed(desk: Desk) -> None:
    page = desk.open("/trips/import")
    choose(page, SEA)
    page.click("text=Show what it would do")
    page.wait_for_selector("#main > form > .complaint")  # a word for a level that the box does not know
    (said,) = desk.complaints
    assert "422" in said
    desk.complaints.clear()
    page.select_option("#level-0", "wheelchair")
    page.click("text=Show what it would do")
    page.wait_for_selector(".counts")
    assert desk.trips() == []
    page.click("text=Import just this")
    page.wait_for_selector(".done")
    assert desk.trips() == ["MB-301", "MB-301-R", "MB-302", "MB-302-R"]
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True])
def test_nothing_serious_is_wrong_with_any_step(desk: Desk, phone: bool, scheme: str) -> None:
    width = 390 if phone else 1440
    page = desk.open("/trips/import", phone=phone, color_scheme=scheme)
    fine(page, width)
    choose(page, SEA.replace(b"MB-30", b"MB-40"))
    fine(page, width)
    if page.locator("#level-0").input_value() == "":
        page.select_option("#level-0", "wheelchair")
    page.click("text=Show what it would do")
    page.wait_for_selector(".counts")
    fine(page, width)
    for path in ("/run-sheets", "/run-sheets/D1"):
        page.goto(desk.url + path)
        fine(page, width)


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
