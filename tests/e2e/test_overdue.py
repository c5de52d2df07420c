"""An overdue invoice, seen in the aging of what is owed, opened from there and paid, by a biller in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page

from tests.e2e.desk import Desk, quiet, running_desk
from tests.web import money_day
from tests.web.serving import wait_for

pytestmark = pytest.mark.browser


@pytest.fixture
def desk() -> Iterator[Desk]:
    with running_desk(money_day.make, role="biller") as running, quiet(running) as found:
        yield found


def test_an_overdue_invoice_is_seen_in_the_aging_and_paid(desk: Desk) -> None:
    """The bar of its age, the list behind the bar, the invoice, the payment: then neither bar nor list has it."""
    page = desk.open("/invoices")
    assert owed(page, "1 to 30 days") == "GBP 30.82"
    assert bar(page, "1 to 30 days") > 0
    page.click(".aging a:has-text('1 to 30 days')")
    page.wait_for_url("**aging=**")
    (row,) = page.locator("#list tbody tr").all()
    assert "8 days overdue" in row.inner_text()
    number = row.locator("td.main a").inner_text()

    page.click("#list tbody td.main a")
    wait_for(lambda: page.locator("h1").inner_text().startswith(number), "the invoice")
    page.click("#act-pay > summary")
    assert page.input_value("#pay-amount") == "30.82", "what is still owed is filled in"
    page.click("#act-pay button")
    page.locator("h1 .badge", has_text="paid").wait_for()
    assert desk.ask(f"SELECT owed_cents FROM invoices WHERE number = '{number}'") == 0

    page.goto(f"{desk.url}/invoices")
    assert owed(page, "1 to 30 days") == "GBP 0.00"
    assert bar(page, "1 to 30 days") == 0
    paid = page.locator("#list tbody tr", has_text=number)
    assert "paid" in paid.inner_text()
    assert "overdue" not in paid.inner_text()


def age(page: Page, title: str) -> Locator:
    return page.locator(".aging li", has_text=title)


def owed(page: Page, title: str) -> str:
    return age(page, title).locator(".aging-sum").inner_text()


def bar(page: Page, title: str) -> float:
    """How long the bar is, of 100."""
    return float(age(page, title).locator("rect:not(.bar-room)").get_attribute("width") or 0)
