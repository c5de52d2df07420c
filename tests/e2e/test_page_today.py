"""Today in a real browser: assigning by key and by drag, two dispatchers, filters, and a board that goes on."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page

from appliance.storage.db import open_depot
from tests.e2e.browser import chromium
from tests.web import world
from tests.web.serving import running_redis, running_web, wait_for

pytestmark = pytest.mark.browser

REFUSED = "422 (Unprocessable"
"""What the browser's console says of a form that was refused."""


@dataclass
class Desk:
    """A depot in a browser; `complaints` is what the browser said."""

    made: world.World
    url: str
    browser: Browser
    complaints: list[str]
    token: dict[str, str]

    def open(self, path: str = "/", *, phone: bool = False, role: str = "dispatcher", **options: Any) -> Page:
        size = {"width": 390, "height": 844} if phone else {"width": 1440, "height": 900}
        page = self.browser.new_page(viewport=size, has_touch=phone, is_mobile=phone, **options)  # type: ignore[arg-type]
        page.context.add_cookies([world.as_user(self.made.settings, role).cookie(self.url)])
        page.on("console", lambda said: self._hear(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.url + path)
        wait_for(lambda: page.locator("body[data-link=up]").count(), "connected")
        wait_for(lambda: path != "/" or page.locator("#board[data-ready=yes]").count(), "the board listens")
        return page

    def _hear(self, said: str) -> None:
        if REFUSED not in said:
            self.complaints.append(said)

    def say(self, ref: str, **event: Any) -> None:
        path = f"{self.url}/api/v1/trips/{self.made.trips[ref]}/events"
        assert httpx.post(path, json=event, headers=self.token).status_code == 200

    def trip(self, ref: str) -> Any:
        return httpx.get(f"{self.url}/api/v1/trips/{self.made.trips[ref]}", headers=self.token).json()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A depot of its own for each test; no browser may complain, the policy included."""
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("DEPOTBOX_")}
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    made = world.make(folder / "data", datetime.now(UTC))
    with (
        running_redis(made.settings.paths),
        running_web(folder / "data", folder / "web.log") as web,
        chromium() as browser,
    ):
        found = Desk(made, web.url, browser, [], world.api_token(made.settings))
        yield found
        for context in browser.contexts:
            context.close()
    shutil.rmtree(folder)
    os.environ.update(saved)
    assert found.complaints == []


def card(page: Page, ref: str) -> Locator:
    return page.locator(f'.card[data-title="{ref}"]')


def stands_in(page: Page, ref: str, column: str) -> bool:
    return page.locator(f'#cards-{column} .card[data-title="{ref}"]').count() == 1


def drag(page: Page, ref: str, vehicle: str) -> None:
    start = card(page, ref).bounding_box()
    end = page.locator(f'[data-crew][data-vehicle="{vehicle}"]').bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 60, start["y"] + 40)
    page.mouse.down()
    page.mouse.move(end["x"] + 30, end["y"] + 12, steps=5)


def choose(page: Page, name: str, code: str) -> None:
    page.locator(f'#act-form input[name="{name}"][value="{code}"]').check()


def test_a_trip_is_assigned_with_the_keyboard_alone(desk: Desk) -> None:
    page = desk.open()
    page.keyboard.press("b")
    assert page.evaluate("document.activeElement.closest('.card').dataset.title") == "T-1017"
    page.keyboard.press("a")
    wait_for(lambda: page.locator("#act-form").count(), "the form")
    choose(page, "vehicle", "V8")
    choose(page, "driver", "D8")
    page.keyboard.press("Enter")
    wait_for(lambda: stands_in(page, "T-1017", "assigned"), "it is assigned", 5)
    assert "given to V8 with Hope Lane" in page.locator("#said").inner_text()
    assert not page.locator("#act-dialog").is_visible()
    assert page.evaluate("document.activeElement.closest('.card')?.dataset.title") == "T-1017"


def test_a_card_is_dropped_on_a_crew_and_an_overlap_asks(desk: Desk) -> None:
    page = desk.open()
    drag(page, "T-1020", "V8")
    page.mouse.up()
    wait_for(lambda: stands_in(page, "T-1020", "assigned"), "it is assigned", 5)
    assert page.locator(".card.chosen").count() == 0  # a drop is no click
    drag(page, "T-1017", "V4")
    page.mouse.up()
    wait_for(lambda: page.locator("#act-form .complaint").count(), "the warning")
    assert "It overlaps: V4 has T-1016" in page.locator("#act-form .complaint").inner_text()
    page.click("#act-form button.go")
    wait_for(lambda: stands_in(page, "T-1017", "assigned"), "it is assigned all the same", 5)


def test_a_crew_that_does_not_fit_says_so_while_a_card_is_held(desk: Desk) -> None:
    db = open_depot(desk.made.settings.paths.depot_db)
    db.conn.execute("UPDATE vehicles SET levels = 'ambulatory' WHERE code = 'V8'")
    db.conn.close()
    page = desk.open()
    drag(page, "T-1020", "V8")
    assert page.locator('[data-vehicle="V8"] .unfit').inner_text() == "not fitted for stretcher"
    page.keyboard.press("Escape")
    page.mouse.up()
    assert page.locator(".ghost").count() == 0
    assert desk.trip("T-1020")["state"] == "scheduled"


def test_the_board_goes_on_while_a_form_is_half_typed(desk: Desk) -> None:
    page = desk.open()
    card(page, "T-1018").locator(".choose").click()
    page.click("#trip-panel [data-act=cancel]")
    wait_for(lambda: page.locator("#cancel-note").count(), "the form")
    page.fill("#cancel-note", "in hosp")
    desk.say("T-1017", event="assign", vehicle="V8", driver="D8")
    wait_for(lambda: stands_in(page, "T-1017", "assigned"), "the board goes on", 5)
    assert page.input_value("#cancel-note") == "in hosp"
    assert page.evaluate("document.activeElement.id") == "cancel-note"
    assert "chosen" in (card(page, "T-1018").get_attribute("class") or "")


def test_the_second_of_two_dispatchers_is_told_and_keeps_the_choice(desk: Desk) -> None:
    page = desk.open()
    card(page, "T-1017").locator(".choose").click()
    page.keyboard.press("a")
    wait_for(lambda: page.locator("#act-form").count(), "the form")
    choose(page, "vehicle", "V7")
    desk.say("T-1017", event="assign", vehicle="V8", driver="D8")
    page.click("#act-form button.go")
    wait_for(lambda: page.locator("#act-form .complaint").count(), "it is told")
    assert "changed meanwhile" in page.locator("#act-form .complaint").inner_text()
    assert page.locator('#act-form input[value="V7"]').is_checked()


def test_filters_and_the_text_stay_while_the_board_goes_on(desk: Desk) -> None:
    page = desk.open()
    page.keyboard.press("/")
    page.keyboard.type("dialysis")
    assert not card(page, "T-1017").is_visible()
    assert card(page, "T-1019").is_visible()
    desk.say("T-1017", event="assign", vehicle="V8", driver="D8")
    wait_for(lambda: stands_in(page, "T-1017", "assigned"), "the board goes on", 5)
    assert not card(page, "T-1017").is_visible()
    assert page.input_value("#search") == "dialysis"
    page.keyboard.press("Escape")
    assert card(page, "T-1017").is_visible()
    page.select_option("[name=vehicle]", "V8")
    assert page.locator(".card:visible").count() == 1
    page.reload()
    wait_for(lambda: page.locator(".card:visible").count() == 1, "the filter is kept")


def test_a_new_trip_is_planned_with_n_and_selected(desk: Desk) -> None:
    page = desk.open()
    page.keyboard.press("n")
    wait_for(lambda: page.locator("#new-patient").count(), "the form")
    page.keyboard.type("quen")
    page.click(".found")
    local = datetime.now(desk.made.settings.zone)
    page.fill("#new-pickup_time", f"{local:%H%M}")
    page.fill("#new-pickup_address", "1 High Street")
    page.click("#act-form button.go")
    wait_for(lambda: page.locator("#new-dropoff_address-problem").count(), "what is missing")
    assert page.input_value("#new-pickup_address") == "1 High Street"
    page.fill("#new-dropoff_address", "Day Clinic")
    page.click("#act-form button.go")
    wait_for(lambda: page.locator(".card.chosen").count(), "it is there, and selected", 5)
    assert "Quentin Vale" in page.locator(".card.chosen").inner_text()


def test_a_driver_is_unavailable_and_it_is_undone(desk: Desk) -> None:
    page = desk.open()
    page.click('[data-crew][data-driver="D3"]')
    wait_for(lambda: page.locator("#unavailable-to").count(), "the form")
    page.select_option("#unavailable-to", "D8")
    page.click("#act-body button.go")
    wait_for(lambda: card(page, "T-1015").get_attribute("data-driver") == "D8", "they are given on", 5)
    page.click("#said button.button")
    wait_for(lambda: card(page, "T-1015").get_attribute("data-driver") == "D3", "they are back", 5)


def test_times_are_typed_where_the_driver_is_now(desk: Desk) -> None:
    page = desk.open()
    card(page, "T-1009").locator(".choose").click()
    page.keyboard.press("t")
    wait_for(lambda: page.locator("#act-form").count(), "the form")
    assert page.evaluate("document.activeElement.id") == "times-arrived_dropoff"
    page.keyboard.type(f"{datetime.now(desk.made.settings.zone):%H%M}")
    page.keyboard.press("Enter")
    wait_for(lambda: "At drop-off" in card(page, "T-1009").locator(".progress").inner_text(), "the stamp is there", 5)
    wait_for(lambda: "by phone" in page.locator("#trip-panel .stamps").inner_text(), "it is marked")


def test_no_key_throws_on_any_page(desk: Desk) -> None:
    page = desk.open("/help", role="viewer")
    for key in ("a", "n", "t", "/", "ArrowDown", "Escape", "?"):
        page.keyboard.press(key)
    assert page.locator("#help").is_visible()


def test_an_act_on_the_page_of_a_trip_shows_what_became_of_it(desk: Desk) -> None:
    page = desk.open(f"/trips/{desk.made.trips['T-1018']}")
    page.click("[data-act=cancel]")
    wait_for(lambda: page.locator("#cancel-note").count(), "the form")
    page.select_option("#cancel-cancelled_by", "facility")
    page.fill("#cancel-note", "closed")
    page.click("#act-form button.go")
    wait_for(lambda: "Cancelled" in page.locator("h1").inner_text(), "it is cancelled", 10)


def test_what_a_finger_is_to_hit_in_a_form_is_large_enough(desk: Desk) -> None:
    page = desk.open(phone=True)
    card(page, "T-1013").locator(".choose").click()
    wait_for(lambda: page.locator("#trip-panel [data-act]").count(), "the panel")
    for act in ("assign", "times", "no_show", "cancel", "change"):
        page.click(f"#trip-panel [data-act={act}]")
        wait_for(lambda: page.locator("#act-form").count(), "the form")
        check(page, act)
        page.click("[data-close]")
    page.click("#new-trip")
    wait_for(lambda: page.locator("#new-patient").count(), "the form")
    check(page, "new")


def check(page: Page, where: str) -> None:
    for button in page.locator(
        "dialog[open] :is(button, .choice, input:not([type=hidden], [type=checkbox])):visible"
    ).all():
        box = button.bounding_box()
        assert box
        if not button.evaluate("e => e.matches('[type=radio]')"):
            assert box["height"] >= 43.5, (where, button.evaluate("e => e.outerHTML"))
