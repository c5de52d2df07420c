"""Every page of the box in a real browser: nothing serious by axe-core, light and dark, no complaint, fits a phone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.e2e.browser import chromium
from tests.e2e.desk import DESKTOP, PHONE, REFUSED, clean_environment, serious, width_of
from tests.e2e.pages import PARTS, TABLE, Depots, Shown, running_depots
from tests.web import world
from web.app import create_app
from web.pages import shell

pytestmark = pytest.mark.browser

COLOURS = "{runOnly: ['color-contrast', 'link-in-text-block']}"
ANSWERS = ("404 (Not Found)", "403 (Forbidden)")
"""What the console says of the error pages, which are meant."""


@dataclass
class Screen:
    """The one tab that every page is opened in, and what the browser said meanwhile."""

    depots: Depots
    page: Page
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    with clean_environment(), chromium() as browser, running_depots(folder, browser) as depots:
        found = Screen(depots, browser.new_page(has_touch=True))
        found.page.on("console", lambda said: found.said.append(said.text) if said.type == "error" else None)
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        yield found
    shutil.rmtree(folder)


def test_every_address_of_the_box_is_in_the_table(depot_dir: Path) -> None:
    """A page that nobody looked at is no page. The other way round, the table names no page that is gone."""
    app = create_app(world.empty(depot_dir / "data"))
    addresses = {
        route.path_format
        for route in app.routes
        if "GET" in getattr(route, "methods", ()) and not route.path_format.startswith("/api/")
    }
    shown = {row.route for row in TABLE if row.route}
    assert addresses - PARTS == shown
    assert addresses > PARTS
    assert {path for path, *_ in shell.RAIL} <= shown


@pytest.mark.parametrize("shown", TABLE, ids=[row.name for row in TABLE])
def test_nothing_stands_in_anybodys_way(screen: Screen, shown: Shown) -> None:
    """On a wide screen by day, and on a phone by night, where nothing may stand out of the screen either."""
    page = screen.page
    screen.said.clear()
    page.set_viewport_size(PHONE if shown.small else DESKTOP)
    page.emulate_media(color_scheme="light")
    screen.depots.open(page, shown)
    assert serious(page) == []
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    assert serious(page, COLOURS if shown.small else "{}") == []
    assert width_of(page) <= PHONE["width"], "something stands out of the phone's screen"
    meant = (REFUSED, *(ANSWERS if not shown.route else ()))
    assert [said for said in screen.said if not any(one in said for one in meant)] == []
