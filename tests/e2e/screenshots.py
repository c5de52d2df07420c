"""`python -m tests.e2e.screenshots`: pictures of each page, desktop and phone, light and dark, into ./screenshots/."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from appliance.events import Publisher
from appliance.paths import PROJECT_ROOT
from tests.e2e.browser import chromium
from tests.web import doubtful, money_day, people_day, work_day, world
from tests.web.serving import running_redis, running_web, wait_for

OUT = PROJECT_ROOT / "screenshots"
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
LAND_MS = 6000


def main() -> None:
    OUT.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="depot-"))
    try:
        made = world.make(folder / "day", datetime.now(UTC))
        doubtful.make(made)
        jobs = work_day.make(made)
        session = world.as_user(world.empty(folder / "empty"))
        with chromium() as browser:
            with running_redis(made.settings.paths), running_web(folder / "day", folder / "day.log") as web:
                Publisher(made.settings.paths.redis_socket).publish(*made.live, *world.troubled(made))
                _day(browser, web.url, made)
                _work(browser, web.url, made, jobs["failed"])
            people = world.make(folder / "people", datetime.now(UTC))
            patient = people_day.make(people)
            with running_redis(people.settings.paths), running_web(folder / "people", folder / "people.log") as web:
                _people(browser, web.url, people, patient)
            with (
                running_redis(world.settings_for(folder / "empty").paths),
                running_web(folder / "empty", folder / "empty.log") as web,
            ):
                for size in SIZES:
                    page = _open(browser, web.url, session, size, "light", "/")
                    _save(page, f"empty-{size}")
    finally:
        shutil.rmtree(folder)


def _day(browser: Browser, url: str, made: world.World) -> None:
    session = world.as_user(made.settings)
    for size in SIZES:
        for scheme in ("light", "dark"):
            page = _open(browser, url, session, size, scheme, "/")
            _save(page, f"board-{size}-{scheme}")
            if size == "phone":
                page.click("#tab-map")
                _map_ready(page)
                _save(page, f"map-{size}-{scheme}")
            page.click("#alerts-button")
            _save(page, f"alerts-{size}-{scheme}")
            page.keyboard.press("Escape")
            page.locator(".van-marker").nth(1).click()
            page.wait_for_timeout(1500)
            _save(page, f"selected-{size}-{scheme}")
            page.goto(f"{url}/trips/{made.trips['T-1005']}")
            _map_ready(page)
            _save(page, f"trip-{size}-{scheme}")
            if size == "phone":
                page.locator("#map").scroll_into_view_if_needed()
                _save(page, f"trip-map-{size}-{scheme}")
            page.goto(f"{url}/replay")
            _map_ready(page)
            page.locator("#player-at").fill("1500")
            page.locator(".replay-list button").nth(1).click()
            _save(page, f"replay-{size}-{scheme}")
            page.goto(f"{url}/system/map")
            _save(page, f"base-map-{size}-{scheme}")
            page.close()
    for size in SIZES:
        _today(browser, url, made, size)
    page = _open(browser, url, session, "desktop", "light", "/")
    page.keyboard.press("?")
    _save(page, "help-desktop")
    page.close()


def _people(browser: Browser, url: str, made: world.World, patient: int) -> None:
    paths = {"vehicles": "/vehicles", "vehicle": "/vehicles/V1", "drivers": "/drivers", "driver": "/drivers/D1",
             "patients": "/patients", "patient": f"/patients/{patient}", "users": "/users", "user": "/users/2",
             "account": "/account"}  # fmt: skip
    _each(browser, url, made, paths)
    page = browser.new_page()
    page.context.add_cookies([world.as_user(made.settings).cookie(url)])
    page.goto(f"{url}/vehicles/V2")
    page.click("#act-device > summary")
    page.click("#act-device button.primary")
    page.locator("#card").wait_for()
    page.click("label[for=model-owntracks]")
    _save(page, "card")
    page.pdf(path=OUT / "card.pdf", format="A4")
    page.close()


def _today(browser: Browser, url: str, made: world.World, size: str) -> None:
    """The panel of a trip and the forms of its acts."""
    page = _open(browser, url, world.as_user(made.settings, "dispatcher"), size, "light", "/")
    page.locator('.card[data-title="T-1013"] .choose').click()
    wait_for(lambda: page.locator("#trip-panel [data-act]").count(), "the panel")
    _save(page, f"today-panel-{size}")
    for act in ("assign", "times", "no_show", "cancel", "change"):
        page.click(f"#trip-panel [data-act={act}]")
        wait_for(lambda: page.locator("#act-form").count(), "the form")
        _save(page, f"today-{act}-{size}")
        page.click("[data-close]")
    for name, opens in (("new", "#new-trip"), ("crew", '[data-crew][data-driver="D3"]')):
        page.click(opens)
        wait_for(lambda: page.locator("#act-body form").count(), "the form")
        _save(page, f"today-{name}-{size}")
        page.click("[data-close]")
    page.close()


def _work(browser: Browser, url: str, made: world.World, job: str) -> None:
    paths = {"work": "/work", "job": f"/work/jobs/{job}", "schedule": "/work/schedule", "system": "/system",
             "log": "/system/log", "diagnostics": "/system/diagnostics", "backup": "/system/backup", "sync": "/sync",
             "certificate": "/system/certificate", "ca": "/ca", "inbox": "/inbox", "help": "/help", "api": "/help/api",
             "import": "/trips/import", "run-sheets": "/run-sheets", "run-sheet": "/run-sheets/D1",
             **_money_paths(made)}  # fmt: skip
    _each(browser, url, made, paths)


def _each(browser: Browser, url: str, made: world.World, paths: dict[str, str]) -> None:
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            phone = size == "phone"
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                has_touch=phone,
                is_mobile=phone,  # type: ignore[arg-type]
            )
            page.context.add_cookies([world.as_user(made.settings).cookie(url)])
            for name, path in paths.items():
                page.goto(url + path)
                if name == "work":
                    wait_for(lambda: page.locator("#charts[data-ready=day]").count(), "the charts")  # noqa: B023
                _save(page, f"{name}-{size}-{scheme}")
            page.close()


def _money_paths(made: world.World) -> dict[str, str]:
    ids = money_day.make(made)
    return {"invoices": "/invoices", "invoice": f"/invoices/{ids['partly']}", "unbilled": "/invoices/unbilled",
            "adjustments": "/invoices/adjustments", "print-list": "/invoices/print", "payers": "/payers",
            "payer": f"/payers/{ids['payer']}"}  # fmt: skip


def _open(browser: Browser, url: str, session: world.SignedIn, size: str, scheme: Any, path: str) -> Page:
    width, height = SIZES[size]
    phone = size == "phone"
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=phone, is_mobile=phone
    )
    page.context.add_cookies([session.cookie(url)])
    page.on("console", lambda message: print(size, message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: print(size, error))
    page.goto(url + path)
    if size == "desktop":
        _map_ready(page)
    else:
        wait_for(lambda: page.locator("#choose-1, #board-empty").count(), "the board")
    return page


def _map_ready(page: Page) -> None:
    wait_for(lambda: page.locator("#map[data-ready=yes]").count(), "the map stands")
    # The finer coast comes after the vehicles; a picture may wait for it, a page never does.
    page.wait_for_timeout(LAND_MS)


def _save(page: Page, name: str) -> None:
    page.screenshot(path=OUT / f"{name}.png")
    print(f"screenshots/{name}.png")


if __name__ == "__main__":
    main()
