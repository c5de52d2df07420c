"""`python -m tests.e2e.screenshots [name...]`: pictures of every page of `pages.TABLE` into ./screenshots/, desktop and
phone, light and dark; with names only of those."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from appliance.paths import PROJECT_ROOT
from tests.e2e import pages
from tests.e2e.browser import chromium
from tests.e2e.desk import DESKTOP, PHONE
from tests.e2e.pages import Depots, Shown

OUT = PROJECT_ROOT / "screenshots"
LAND_MS = 2500
SETTLE_MS = 400
LONGEST_PX = 3200
PRINTED = ("vehicle-card", "run-sheet", "run-sheets-day")


def main(names: list[str]) -> None:
    OUT.mkdir(exist_ok=True)
    table = [shown for shown in pages.TABLE if not names or shown.name in names]
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    try:
        with chromium() as browser, pages.running_depots(folder, browser) as depots:
            for size in (DESKTOP, PHONE):
                for scheme in ("light", "dark"):
                    _pictures(depots, table, size, scheme)
            for shown in table:
                if shown.name in PRINTED:
                    page = browser.new_page()
                    depots.open(page, shown)
                    page.pdf(path=OUT / f"{shown.name}.pdf", format="A4")
                    page.context.close()
    finally:
        shutil.rmtree(folder)


def _pictures(depots: Depots, table: list[Shown], size: Any, scheme: Any) -> None:
    phone = size is PHONE
    name = "phone" if phone else "desktop"
    context = depots.browser.new_context(viewport=size, color_scheme=scheme, has_touch=phone, is_mobile=phone)
    for shown in table:
        page = context.new_page()
        page.on("pageerror", lambda error: print("error:", error))
        depots.open(page, shown)
        _settle(page)
        _save(page, f"{shown.name}-{name}-{scheme}")
        page.close()
    context.close()


def _settle(page: Page) -> None:
    # The finer coast comes after the vehicles; a picture may wait for it, a page never does.
    page.wait_for_timeout(LAND_MS if page.locator("#map:visible").count() else SETTLE_MS)


def _save(page: Page, name: str) -> None:
    """The whole of a page that scrolls, up to a length; a dialog stands over one screen."""
    whole = page.locator("dialog[open], [popover]:popover-open").count() == 0
    height = min(LONGEST_PX, page.evaluate("document.documentElement.scrollHeight"))
    size = page.viewport_size
    assert size
    if whole and height > size["height"]:
        page.screenshot(path=OUT / f"{name}.png", full_page=True, clip={"x": 0, "y": 0, **size, "height": height})
    else:
        page.screenshot(path=OUT / f"{name}.png")
    print(f"screenshots/{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
