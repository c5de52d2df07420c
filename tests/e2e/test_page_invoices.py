"""Invoices and payers in a real browser: a payment, a credit note, searching, a rate that overlaps; axe-core."""

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
from appliance.storage.db import open_depot, value
from tests.e2e.browser import chromium
from tests.web import money_day, world
from tests.web.serving import running_redis, running_web, wait_for

pytestmark = pytest.mark.browser

AXE = PROJECT_ROOT / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Desk:
    """A depot with invoices, in a biller's browser; `complaints` is what the browser said."""

    made: world.World
    ids: dict[str, int]
    url: str
    browser: Browser
    complaints: list[str]

    def open(self, path: str, *, phone: bool = False, **options: Any) -> Page:
        size = {"width": 390, "height": 844} if phone else {"width": 1440, "height": 900}
        page = self.browser.new_page(viewport=size, has_touch=phone, is_mobile=phone, **options)  # type: ignore[arg-type]
        page.context.add_cookies([world.as_user(self.made.settings, "biller").cookie(self.url)])
        # A refused form is answered with 422: the browser notes that, and it is meant.
        page.on("console", lambda said: self._complain(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.url + path)
        return page

    def ask(self, sql: str) -> Any:
        db = open_depot(self.made.settings.paths.depot_db)
        found = value(db, sql)
        db.conn.close()
        return found

    def _complain(self, said: str) -> None:
        if "422" not in said:
            self.complaints.append(said)


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("DEPOTBOX_")}
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    made = world.make(folder / "data", datetime.now(UTC))
    ids = money_day.make(made)
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


def done(page: Page, said: str) -> None:
    wait_for(
        lambda: said in (page.locator(".done").text_content() or "") if page.locator(".done").count() else "", said
    )


def test_a_biller_pays_a_part_and_credits_the_rest(desk: Desk) -> None:
    page = desk.open(f"/invoices/{desk.ids['paper']}")
    page.click("#act-pay > summary")
    assert page.input_value("#pay-amount") == "40.96"
    page.fill("#pay-amount", "ten")
    page.click("#act-pay button")
    wait_for(lambda: page.locator("#pay-amount-problem").count(), "it is refused beside the field")
    assert page.input_value("#pay-amount") == "ten"
    page.fill("#pay-amount", "30.96")
    page.click("#act-pay button")
    done(page, "GBP 30.96 recorded as paid.")
    page.click("#act-credit > summary")
    page.fill("#credit-amount", "10")
    page.fill("#credit-reason", "van was late")
    page.click("#act-credit button")
    done(page, "is issued, and goes out.")
    assert "paid" in page.locator("h1 .badge").inner_text()
    assert desk.ask(f"SELECT owed_cents FROM invoices WHERE id = {desk.ids['paper']}") == 0


def test_the_list_is_searched_while_one_types(desk: Desk) -> None:
    page = desk.open("/invoices")
    page.fill("#search", "M-2004")
    wait_for(lambda: page.locator("#list tbody tr").count() == 1, "one is found")
    page.click("#list tbody a")
    assert page.locator("h1").inner_text().startswith("DEMO-")


def test_bars_are_as_long_as_what_is_owed(desk: Desk) -> None:
    page = desk.open("/invoices")
    widths = [float(bar.get_attribute("width") or 0) for bar in page.locator(".aging rect:not(.bar-room)").all()]
    assert max(widths) == 100
    assert 0 in widths
    assert len(widths) == 5


def test_a_rate_that_overlaps_is_refused_in_its_open_form(desk: Desk) -> None:
    page = desk.open(f"/payers/{desk.ids['payer']}")
    page.click("#act-rate > summary")
    page.fill("#rate-valid_from", "2024-06-01")
    page.fill("#rate-base", "18.50")
    page.click("#act-rate .primary")
    wait_for(lambda: page.locator("#act-rate .complaint").count(), "it says what is wrong")
    assert "overlaps with the one from 2020-01-01" in page.locator("#act-rate .complaint").inner_text()
    assert page.input_value("#rate-base") == "18.50"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True])
def test_nothing_serious_stands_in_a_billers_way(desk: Desk, phone: bool, scheme: str) -> None:
    for path in (
        "/invoices", f"/invoices/{desk.ids['partly']}", f"/invoices/{desk.ids['void']}", "/invoices/unbilled",
        "/invoices/adjustments", "/invoices/print", "/payers", f"/payers/{desk.ids['payer']}",
    ):  # fmt: skip
        page = desk.open(path, phone=phone, color_scheme=scheme)
        for summary in page.locator("main summary").all():
            summary.click()
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")["violations"]
        serious = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found
                   if one["impact"] in ("serious", "critical")]  # fmt: skip
        assert serious == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= (390 if phone else 1440)
        page.close()
