"""A trip from a broker's file to a paid invoice, in a real browser over a whole box, by those whose work it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from running_box import RunningBox, wait_for

from appliance import config
from tests.e2e.browser import chromium
from tests.web import world

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PATIENT = "Wilhelmina Quist"
STEPS = ("arrived_pickup", "on_board", "arrived_dropoff", "completed")


def test_a_trip_goes_from_a_brokers_file_to_a_paid_invoice(tmp_path: Path) -> None:
    world.empty(tmp_path / "data")
    issuer = {
        "LEGAL_NAME": "Invented Transport Ltd",
        "ADDRESS": "1 Example Yard",
        "TAX_ID": "GB 1",
        "BANK_DETAILS": "X",
    }
    with (
        RunningBox(tmp_path / "data", **{f"DEPOTBOX_DEPOT__{name}": text for name, text in issuer.items()}) as box,
        chromium() as browser,
    ):
        for command in (
            ("payer", "add", "Harbour Brokers", "--kind", "broker", "--delivery", "print", "--address", "1 Pier"),
            ("rate", "add", "Harbour Brokers", "ambulatory", "--from", "2020-01-01", "--base", "21.50"),
            ("vehicle", "add", "VAN-1"),
            ("driver", "add", "D1", "--name", "Dee Frost"),
        ):
            done = box.run(*command)
            assert done.returncode == 0, (command, done.stderr)
        _dispatch(box, _desk(box, browser, "dispatcher"))
        wait_for(lambda: box.query("SELECT count(*) FROM invoices") == [(1,)], "the invoice", 60)
        _bill(_desk(box, browser, "biller"))
        _look(_desk(box, browser, "viewer"))


def _desk(box: RunningBox, browser: Browser, role: str) -> Page:
    """The start page as somebody with that role sees it."""
    url = f"http://127.0.0.1:{box.web_port}"
    page = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=url)
    page.context.add_cookies([world.as_user(config.load(environ=box.environment), role).cookie(url)])
    page.goto("/")
    page.locator("body[data-link=up]").wait_for()
    return page


def _dispatch(box: RunningBox, page: Page) -> None:
    """The file comes in, the trip is assigned by keyboard, and its driver tells the times by phone."""
    zone = config.load(environ=box.environment).zone
    pickup = datetime.now(UTC).astimezone(zone) - timedelta(minutes=50)
    day = (
        "Trip Number,Trip Date,Pickup Time,Patient,Pickup Address,Dropoff Address,Level of Service\n"
        f"HB-1,{pickup:%Y-%m-%d},{pickup:%H:%M},{PATIENT},1 High Street,Day Clinic,ambulatory\n"
    )
    page.locator("#main").get_by_role("link", name="Import", exact=True).click()
    page.select_option("#file-payer", "Harbour Brokers")
    page.set_input_files("#file-file", {"name": "day.csv", "mimeType": "text/csv", "buffer": day.encode()})
    page.get_by_text("Look at its columns").click()
    page.get_by_text("Show what it would do").click()
    page.get_by_text("Import just this").click()
    page.locator(".done").wait_for()

    page.goto("/")
    page.locator("body[data-link=up]").wait_for()
    page.locator('.card[data-title="HB-1"] .choose').click()
    page.keyboard.press("a")
    page.locator('#act-form input[name="vehicle"][value="VAN-1"]').check()
    page.locator('#act-form input[name="driver"][value="D1"]').check()
    page.keyboard.press("Enter")
    page.locator("#said").get_by_text("given to VAN-1 with Dee Frost").wait_for()
    page.keyboard.press("t")
    page.locator("#times-completed").wait_for()
    for number, step in enumerate(STEPS):
        page.fill(f"#times-{step}", f"{pickup + timedelta(minutes=10 * (number + 1)):%H:%M}")
    page.get_by_role("button", name="Enter by phone").click()
    page.locator('#board [data-column="done"] .card[data-title="HB-1"]').wait_for()


def _bill(page: Page) -> None:
    """The invoice is there without anybody's doing; it is paid in two parts."""
    page.get_by_role("link", name="Invoices").click()
    page.get_by_role("link", name="-A000001").click()
    assert "21.50" in page.locator("#main").inner_text()
    link = page.get_by_role("link", name="PDF").first.get_attribute("href")
    assert link
    answer = page.request.get(link)
    assert answer.body().startswith(b"%PDF")
    for amount, state in (("10.00", "issued"), ("11.50", "paid")):
        page.locator("#act-pay > summary").click()
        page.fill("#pay-amount", amount)
        page.locator("#act-pay button.primary").click()
        page.locator("#main .badge", has_text=state).first.wait_for()
        page.locator(".done").wait_for()


def _look(page: Page) -> None:
    """A viewer sees that there is a trip, not of whom, and can do nothing with it."""
    card = page.locator('.card[data-title="HB-1"]')
    card.locator(".choose").click()
    page.locator("#trip-panel").get_by_text("Day Clinic").wait_for()
    assert PATIENT not in page.content()
    assert page.locator("[data-act]").count() == 0
    assert page.request.post("/trips/1/acts/cancel", form={"note": "x"}).status == 403
    assert page.request.get("/invoices").status in (200, 403)
