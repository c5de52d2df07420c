"""Invoices and payers in a real browser: a payment, a credit note, searching, a rate that overlaps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.e2e.desk import Desk, quiet, running_desk
from tests.web import money_day
from tests.web.serving import wait_for

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    with running_desk(money_day.make, role="biller") as found:
        yield found


@pytest.fixture
def desk(running: Desk) -> Iterator[Desk]:
    with quiet(running) as found:
        yield found


def done(page: Page, said: str) -> None:
    wait_for(
        lambda: said in (page.locator(".done").text_content() or "") if page.locator(".done").count() else "", said
    )


def test_a_biller_pays_a_part_and_credits_the_rest(desk: Desk) -> None:
    page = desk.open(f"/invoices/{desk.found['paper']}")
    page.click("#act-pay > summary")
    owed = desk.ask(f"SELECT owed_cents FROM invoices WHERE id = {desk.found['paper']}")  # more after hours
    assert page.input_value("#pay-amount") == f"{owed // 100}.{owed % 100:02d}"
    part = f"{owed // 100 - 10}.{owed % 100:02d}"
    page.fill("#pay-amount", "ten")
    page.click("#act-pay button")
    wait_for(lambda: page.locator("#pay-amount-problem").count(), "it is refused beside the field")
    assert page.input_value("#pay-amount") == "ten"
    page.fill("#pay-amount", part)
    page.click("#act-pay button")
    done(page, f"GBP {part} recorded as paid.")
    page.click("#act-credit > summary")
    page.fill("#credit-amount", "10")
    page.fill("#credit-reason", "van was late")
    page.click("#act-credit button")
    done(page, "is issued, and goes out.")
    assert "paid" in page.locator("h1 .badge").inner_text()
    assert desk.ask(f"SELECT owed_cents FROM invoices WHERE id = {desk.found['paper']}") == 0


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
    page = desk.open(f"/payers/{desk.found['payer']}")
    page.click("#act-rate > summary")
    page.fill("#rate-valid_from", "2024-06-01")
    page.fill("#rate-base", "18.50")
    page.click("#act-rate .primary")
    wait_for(lambda: page.locator("#act-rate .complaint").count(), "it says what is wrong")
    assert "overlaps with the one from 2020-01-01" in page.locator("#act-rate .complaint").inner_text()
    assert page.input_value("#rate-base") == "18.50"
