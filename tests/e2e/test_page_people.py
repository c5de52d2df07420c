"""The pages of vehicles, drivers, patients, users and the account in a real browser, under the strict policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.desk import Desk, quiet, running_desk
from tests.web import people_day
from tests.web.serving import wait_for

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    with running_desk(people_day.make) as found:
        yield found


@pytest.fixture
def office(running: Desk) -> Iterator[Desk]:
    with quiet(running) as found:
        yield found


def test_a_vehicle_is_added_and_its_card_can_be_had_for_each_model_as_a_file_and_on_paper(office: Desk) -> None:
    page = office.open("/vehicles")
    page.click("#act-add > summary")
    page.fill("#add-code", "V20")
    page.click("#act-add button.primary")
    card = page.locator("#card")
    card.wait_for()
    wait_for(lambda: page.url == f"{office.url}/vehicles/V20", "the address is the vehicle's")
    assert page.locator("#settings-any .qr svg").is_visible()
    page.click("label[for=model-owntracks]")
    assert page.locator("#settings-owntracks").is_visible()
    assert not page.locator("#settings-any").is_visible()
    with page.expect_download() as found:
        page.click("#card a[download]")
    assert "BEGIN CERTIFICATE" in Path(found.value.path()).read_text()
    page.emulate_media(media="print")
    assert not page.locator("#strip").is_visible()
    assert not page.locator(".models").is_visible()
    assert page.locator(".printed").is_visible()
    page.emulate_media(media="screen")
    page.reload()
    assert page.locator("h1").inner_text().startswith("V20")
    assert card.count() == 0
    page.go_back()
    wait_for(lambda: page.url == f"{office.url}/vehicles", "back to the list")


def test_the_list_is_searched_while_one_types_and_its_address_keeps_it(office: Desk) -> None:
    page = office.open("/drivers")
    page.locator("#search").press_sequentially("dunn")
    wait_for(lambda: page.locator("#list td.main").all_inner_texts() == ["D3"], "one is left")
    wait_for(lambda: page.url.endswith("/drivers?q=dunn"), "the address says so")
    assert page.locator("#list .badge.bad").inner_text().strip() == "licence ended 9 days ago"


def test_a_refused_form_stays_open_with_what_was_typed(office: Desk) -> None:
    page = office.open(f"/patients/{office.found}")
    page.click("#act-edit > summary")
    page.fill("#edit-email", "nobody@")
    page.fill("#edit-needs", "Two companions")
    page.evaluate("document.querySelector('#act-edit form').noValidate = true")
    page.click("#act-edit button.primary")
    page.locator("#edit-email-problem").wait_for()
    assert page.locator("#edit-needs").input_value() == "Two companions"
    page.fill("#edit-email", "ada@example.org")
    page.click("#act-edit button.primary")
    page.locator(".done").wait_for()
    assert "Two companions" in page.locator(".facts-list").inner_text()


def test_a_patient_is_found_and_no_address_has_the_name(office: Desk) -> None:
    page = office.open("/patients")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.fill("#search", people_day.PATIENT)
    page.keyboard.press("Enter")
    page.locator("#list td.main a").click()
    wait_for(lambda: page.locator("h1").inner_text() == people_day.PATIENT, "the record")
    assert not [url for url in asked if "Ada" in url or "Marsh" in url]


def test_a_user_is_added_with_a_link_and_a_token_is_made(office: Desk) -> None:
    page = office.open("/users")
    page.click("#act-add > summary")
    page.fill("#add-name", "Fay Whitmore")
    page.fill("#add-email", "fay@example.org")
    page.uncheck("#act-add input[name=mail]")
    page.click("#act-add button.primary")
    page.locator("#secret").wait_for()
    link = page.locator("#secret").inner_text()
    fay = office.browser.new_page()
    fay.goto(link)
    fay.get_by_text("Hello Fay Whitmore").wait_for()
    page.goto(f"{office.url}/account")
    page.click("#act-token > summary")
    page.fill("#token-name", "wall screen")
    page.click("#act-token button.primary")
    page.locator("#secret").wait_for()
    token = page.locator("#secret").inner_text()
    assert re.fullmatch(r"depot_[\w-]{43}", token)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[data-copy]")
    wait_for(lambda: page.evaluate("navigator.clipboard.readText()") == token, "it is in the clipboard")
