"""What the browser tests of pages share: an invented depot behind a web role, in a browser that must not complain."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, ViewportSize

from appliance.events import Publisher
from appliance.paths import PROJECT_ROOT
from appliance.storage.db import open_depot, rows, value
from tests.e2e.browser import chromium
from tests.web import world
from tests.web.serving import Redis, Web, running_redis, running_web, wait_for

AXE = (PROJECT_ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text
DESKTOP = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)
REFUSED = "422 (Unprocessable"
"""What the browser's console says of a form that was refused, which is meant."""

Fill = Callable[[world.World], Any]
"""Puts something into a depot, and returns what tests look at."""


@dataclass
class Desk:
    """A running depot in a browser; `found` is what filling it returned, `complaints` what browsers said."""

    made: world.World
    found: Any
    redis: Redis
    web: Web
    browser: Browser
    role: str
    complaints: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.web.url

    def open(self, path: str = "/", *, phone: bool = False, role: str = "", **options: Any) -> Page:
        """The page as somebody with that role sees it."""
        page = self.browser.new_page(viewport=PHONE if phone else DESKTOP, has_touch=phone, is_mobile=phone, **options)
        page.context.add_cookies([world.as_user(self.made.settings, role or self.role).cookie(self.url)])
        self.listen(page)
        page.goto(self.url + path)
        return page

    def listen(self, page: Page) -> None:
        """From here on what the browser says against this page is a complaint."""
        page.on("console", lambda said: self._hear(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def ask(self, sql: str) -> Any:
        """The one value that the depot's database has for it."""
        db = open_depot(self.made.settings.paths.depot_db)
        with contextlib.closing(db.conn):
            return value(db, sql)

    def rows(self, sql: str) -> list[Any]:
        db = open_depot(self.made.settings.paths.depot_db)
        with contextlib.closing(db.conn):
            return rows(db, sql)

    @property
    def publisher(self) -> Publisher:
        return Publisher(self.made.settings.paths.redis_socket)

    def _hear(self, said: str) -> None:
        if REFUSED not in said:
            self.complaints.append(said)


@contextlib.contextmanager
def running_desk(fill: Fill = lambda _made: None, *, role: str = "administrator") -> Iterator[Desk]:
    """A depot of the caller's own, its Redis, its web role and a browser. Pages are opened as `role`."""
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    try:
        made = world.make(folder / "data", datetime.now(UTC))
        found = fill(made)
        with (
            clean_environment(),
            running_redis(made.settings.paths) as redis,
            running_web(folder / "data", folder / "web.log") as web,
            chromium() as browser,
        ):
            yield Desk(made, found, redis, web, browser, role)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def clean_environment() -> Iterator[None]:
    """Nothing that the caller set for a box of its own is heard by the one of the test."""
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("DEPOTBOX_")}
    try:
        yield
    finally:
        os.environ.update(saved)


@contextlib.contextmanager
def quiet(desk: Desk) -> Iterator[Desk]:
    """For one test: its pages are closed after it, and no browser may have complained, the policy included."""
    desk.complaints.clear()
    yield desk
    for context in desk.browser.contexts:
        context.close()
    assert desk.complaints == []


def serious(page: Page, options: str = "{}") -> list[tuple[str, list[str]]]:
    """What axe-core finds on the page that stands in somebody's way: rule, and the elements it is about."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE())
    found = page.evaluate(f"axe.run({{exclude: ['.maplibregl-canvas']}}, {options})")["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found
            if one["impact"] in ("serious", "critical")]  # fmt: skip


def width_of(page: Page) -> int:
    """How wide the page's content is, in CSS pixels."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def map_stands(page: Page) -> None:
    wait_for(lambda: page.locator("#map[data-ready=yes]").count(), "the map stands")
