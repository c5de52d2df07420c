"""Streets, the replay of a past hour and the doubts of a trip, in a real browser."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.events import Publisher
from tests.e2e.browser import chromium
from tests.e2e.desk import serious
from tests.e2e.test_page import Box
from tests.web import doubtful, tileset, world
from tests.web.serving import running_redis, running_web, wait_for

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def running() -> Iterator[Box]:
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("DEPOTBOX_")}
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    made = world.make(folder / "data", datetime.now(UTC))
    doubtful.make(made)
    with (
        running_redis(made.settings.paths) as redis,
        running_web(folder / "data", folder / "web.log") as web,
        chromium() as browser,
    ):
        publisher = Publisher(made.settings.paths.redis_socket)
        publisher.publish(*made.live)
        yield Box(made, redis, web, browser, publisher, world.api_token(made.settings))
    shutil.rmtree(folder)
    os.environ.update(saved)


@pytest.fixture
def box(running: Box) -> Iterator[Box]:
    """After the test no browser may have complained, the policy included."""
    running.complaints.clear()
    yield running
    for context in running.browser.contexts:
        context.close()
    assert running.complaints == []


def test_an_hour_is_played_with_its_speed_and_moved_by_the_keyboard(box: Box) -> None:
    page = box.with_map("/replay")
    clock = page.locator("#replay-clock")
    slider = page.locator("#player-at")
    begin = clock.inner_text()
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "10"
    page.keyboard.press("PageUp")
    assert slider.input_value() == "310"
    assert slider.get_attribute("aria-valuetext") == clock.inner_text() != begin
    page.locator("[name=speed][value='60']").check(force=True)
    page.locator("#play").press("Space")
    wait_for(lambda: float(slider.input_value()) >= 370, "a minute has gone by in a second or two")
    page.locator("#play").press("Space")
    assert page.locator("#play").get_attribute("aria-pressed") == "false"
    assert page.locator(".van-marker").count() == 7
    page.keyboard.press("Home")
    page.locator(".replay-list button").nth(1).click()
    assert page.locator(".van-marker.chosen").count() == 1
    assert serious(page) == []


def test_a_doubtful_position_is_decided_by_a_click_on_the_map(box: Box) -> None:
    page = box.with_map(f"/trips/{box.made.trips[doubtful.REF]}")
    assert page.locator(".doubt-marker").count() == 2
    page.locator(".doubt-marker.outlier").click()
    assert "too far to get there in time" in page.locator("#fix-panel").inner_text()
    with page.expect_response(lambda answer: "/trail" in answer.url) as drawn:
        page.locator("#fix-panel").get_by_role("button", name="Keep").click()
    (line,) = drawn.value.json()["features"]
    assert [-2.8703, 53.4702] in line["geometry"]["coordinates"]
    wait_for(lambda: page.locator(".doubt-marker.kept").count(), "the marker says so")
    assert page.locator("#map canvas").count() == 1  # the map stays as it is
    page.locator("#fix-panel").get_by_role("button", name="Leave out").click()
    wait_for(lambda: page.locator(".doubt-marker.outlier").count(), "it is left out again")
    assert serious(page) == []


def test_the_page_of_a_trip_follows_what_happens(box: Box) -> None:
    page = box.with_map(f"/trips/{box.made.trips['T-1017']}")
    box.say("T-1017", event="assign", vehicle="V8", driver="D8")
    wait_for(lambda: "Assigned" in page.locator("#trip-head").inner_text(), "the page has taken it over")
    assert "Hope Lane" in page.locator("#trip-story").inner_text()


@pytest.mark.parametrize("make", [tileset.pictures, tileset.streets])
def test_a_map_that_is_sent_is_drawn(box: Box, tmp_path: Path, make: Any) -> None:
    page = box.open("/system/map")
    page.set_input_files("#map-file", make(tmp_path / "sent.mbtiles"))
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/system/map?sent=true")
    assert "Invented is the base map now" in page.locator(".done").inner_text()
    assert serious(page) == []
    tiles: list[int] = []
    page.on("response", lambda answer: tiles.append(answer.status) if "/tiles/" in answer.url else None)
    page.goto(box.web.url + "/")
    wait_for(lambda: page.locator("#map[data-ready=yes]").count(), "the map stands")
    wait_for(lambda: 200 in tiles, "tiles are loaded")
    assert page.locator(".map-attribution").inner_text() == "© Invented"


def test_what_is_no_map_says_so_beside_the_button(box: Box, tmp_path: Path) -> None:
    page = box.open("/system/map")
    (tmp_path / "no.mbtiles").write_bytes(b"PK\x03\x04" * 5000)
    page.set_input_files("#map-file", tmp_path / "no.mbtiles")
    page.get_by_role("button", name="Send").click()
    wait_for(lambda: page.locator("#map-problem").is_visible(), "the page says so")
    assert "no SQLite file" in page.locator("#map-problem").inner_text()
    box.complaints.clear()  # the refused request
