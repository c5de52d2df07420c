"""Every page of the box in one table: where it is, and what it shows at its fullest. For pictures and for axe-core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from appliance import passwords, setup
from appliance.config import Settings
from appliance.events import Publisher
from appliance.storage import notifications, users
from appliance.storage.db import open_depot, write_tx
from appliance.storage.migrations import migrate
from tests.e2e.desk import map_stands
from tests.manifests import SEA
from tests.web import doubtful, money_day, people_day, work_day, world
from tests.web.serving import running_redis, running_web, wait_for

LINK = "a" * 64
"""The one-time link of a welcome mail."""

Step = Callable[[Page], None]


def _nothing_more(_page: Page) -> None:
    pass


@dataclass(frozen=True)
class Shown:
    """A page as somebody sees it. `path` may name ids of `Depots.ids`; `then` opens what it opens by a click. `depot`:
    of a full day, empty, or not set up yet. Without a role nobody is logged in. `small`: axe-core sees it on the phone
    alone, because it stands over a page that it has seen and that takes long to draw."""

    name: str
    route: str
    path: str = ""
    then: Step = _nothing_more
    role: str = "administrator"
    depot: str = "day"
    small: bool = False


PARTS = {
    "/assets/{folder}/{digest}/{name}", "/board", "/ca.crt", "/crews", "/favicon.ico", "/healthz",
    "/invoices/print.pdf", "/metrics", "/sign-in/{token}", "/strip", "/system/diagnostics/file",
    "/tiles/{version}/{z}/{x}/{y}", "/trips/new/form", "/trips/{trip_id}/acts", "/trips/{trip_id}/forms/{act}",
    "/trips/{trip_id}/panel", "/work/figures",
}  # fmt: skip
"""Addresses that are part of a page, or no page at all."""


def board_stands(page: Page) -> None:
    wait_for(lambda: page.locator("#board[data-ready=yes]").count(), "the board listens")
    if page.locator("#map-pane").is_visible():
        map_stands(page)


def chosen(page: Page) -> None:
    board_stands(page)
    page.locator('.card[data-title="T-1013"] .choose').click()
    page.locator("#trip-panel [data-act]").first.wait_for()


def _act(name: str) -> Step:
    def opened(page: Page) -> None:
        chosen(page)
        page.click(f"#trip-panel [data-act={name}]")
        page.locator("#act-form").wait_for()

    return opened


def _form(button: str) -> Step:
    def opened(page: Page) -> None:
        board_stands(page)
        page.click(button)
        page.locator("#act-body form").wait_for()

    return opened


def _clicked(button: str, shows: str) -> Step:
    def opened(page: Page) -> None:
        board_stands(page)
        page.click(button)
        page.locator(shows).wait_for()

    return opened


def map_tab(page: Page) -> None:
    wait_for(lambda: page.locator("#board[data-ready=yes]").count(), "the board listens")
    if page.locator("#tab-map").is_visible():
        page.click("#tab-map")
    map_stands(page)


def van_chosen(page: Page) -> None:
    map_tab(page)
    page.locator(".van-marker").nth(1).click()
    page.locator("#vehicle-panel").wait_for()


def trip_map(page: Page) -> None:
    map_stands(page)
    page.locator("#map").scroll_into_view_if_needed()


def replayed(page: Page) -> None:
    map_stands(page)
    page.locator("#player-at").fill("1500")
    page.locator(".replay-list button").nth(1).click()


def charts_stand(page: Page) -> None:
    wait_for(lambda: page.locator("#charts[data-ready=day]").count(), "the charts")


def acts_open(page: Page) -> None:
    page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true; })")


def columns(page: Page) -> None:
    page.select_option("#file-payer", world.BROKER)
    page.set_input_files("#file-file", {"name": "day.csv", "mimeType": "text/csv", "buffer": SEA})
    page.click("text=Look at its columns")
    page.locator(".mapping").wait_for()


def preview(page: Page) -> None:
    columns(page)
    page.locator("#level-0").select_option("wheelchair")
    page.click("text=Show what it would do")
    page.locator(".counts").wait_for()


def found(page: Page) -> None:
    page.fill("#search", people_day.PATIENT)
    page.keyboard.press("Enter")
    page.locator("#list td.main a").wait_for()


def card(page: Page) -> None:
    page.click("#act-device > summary")
    page.click("#act-device button.primary")
    page.locator("#card").wait_for()
    page.click("label[for=model-owntracks]")


def refused(page: Page) -> None:
    page.click("#act-pay > summary")
    page.fill("#pay-amount", "ten")
    page.click("#act-pay button")
    page.locator("#pay-amount-problem").wait_for()


def api_stands(page: Page) -> None:
    page.locator("#operations-tag-healthz").wait_for()


TABLE = (
    Shown("setup", "/setup", role="", depot="new"),
    Shown("login", "/login", role=""),
    Shown("password", "/password/{token}", "/password/" + LINK, role=""),
    Shown("ca", "/ca", role=""),
    Shown("account", "/account", then=acts_open),
    Shown("system-depot", "/system/depot"),
    Shown("today", "/", then=board_stands),
    Shown("today-viewer", "/", then=board_stands, role="viewer", small=True),
    Shown("today-empty", "/", then=board_stands, depot="empty", small=True),
    Shown("today-chosen", "/", then=chosen, role="dispatcher", small=True),
    *(Shown(f"today-{act}", "/", then=_act(act), role="dispatcher", small=True)
      for act in ("assign", "times", "no_show", "cancel", "change")),
    Shown("today-new", "/", then=_form("#new-trip"), role="dispatcher", small=True),
    Shown("today-crew", "/", then=_form('[data-crew][data-driver="D3"]'), role="dispatcher", small=True),
    Shown("today-alerts", "/", then=_clicked("#alerts-button", "#alerts"), small=True),
    Shown("today-me", "/", then=_clicked("#me-button", "#me"), small=True),
    Shown("today-help", "/", then=_clicked("#help-button", "#help"), small=True),
    Shown("map", "/", then=map_tab, small=True),
    Shown("map-chosen", "/", then=van_chosen, small=True),
    Shown("trip", "/trips/{trip_id}", "/trips/{trip}", map_stands),
    Shown("trip-map", "/trips/{trip_id}", "/trips/{trip}", trip_map, small=True),
    Shown("trip-open", "/trips/{trip_id}", "/trips/{waiting}", map_stands, role="dispatcher", small=True),
    Shown("import", "/trips/import"),
    Shown("import-columns", "/trips/import", then=columns),
    Shown("import-preview", "/trips/import", then=preview),
    Shown("run-sheets", "/run-sheets"),
    Shown("run-sheet", "/run-sheets/{driver}", "/run-sheets/D1"),
    Shown("run-sheets-day", "/run-sheets/day/{day}", "/run-sheets/day/{day}"),
    Shown("replay", "/replay", then=replayed),
    Shown("vehicles", "/vehicles"),
    Shown("vehicles-empty", "/vehicles", then=acts_open, depot="empty"),
    Shown("vehicle", "/vehicles/{code}", "/vehicles/V1"),
    Shown("vehicle-acts", "/vehicles/{code}", "/vehicles/V4", acts_open),
    Shown("vehicle-card", "/vehicles/{code}", "/vehicles/V2", card),
    Shown("drivers", "/drivers"),
    Shown("drivers-empty", "/drivers", depot="empty"),
    Shown("driver", "/drivers/{code}", "/drivers/D1"),
    Shown("driver-acts", "/drivers/{code}", "/drivers/D1", acts_open),
    Shown("patients", "/patients", then=found),
    Shown("patients-empty", "/patients", depot="empty"),
    Shown("patient", "/patients/{patient_id}", "/patients/{patient}"),
    Shown("patient-acts", "/patients/{patient_id}", "/patients/{patient}", acts_open),
    Shown("users", "/users"),
    Shown("users-add", "/users", then=acts_open),
    Shown("user", "/users/{user_id}", "/users/2"),
    Shown("user-acts", "/users/{user_id}", "/users/2", acts_open),
    Shown("invoices", "/invoices"),
    Shown("invoices-empty", "/invoices", depot="empty"),
    Shown("invoice", "/invoices/{invoice_id}", "/invoices/{partly}"),
    Shown("invoice-acts", "/invoices/{invoice_id}", "/invoices/{partly}", acts_open),
    Shown("invoice-refused", "/invoices/{invoice_id}", "/invoices/{partly}", refused),
    Shown("invoice-void", "/invoices/{invoice_id}", "/invoices/{void}"),
    Shown("unbilled", "/invoices/unbilled", then=acts_open),
    Shown("adjustments", "/invoices/adjustments", then=acts_open),
    Shown("print-list", "/invoices/print", then=acts_open),
    Shown("payers", "/payers"),
    Shown("payers-empty", "/payers", then=acts_open, depot="empty"),
    Shown("payer", "/payers/{payer_id}", "/payers/{payer}"),
    Shown("payer-acts", "/payers/{payer_id}", "/payers/{payer}", acts_open),
    Shown("work", "/work", then=charts_stand),
    Shown("work-empty", "/work", depot="empty"),
    Shown("job", "/work/jobs/{job_id}", "/work/jobs/{failed}"),
    Shown("schedule", "/work/schedule"),
    Shown("schedule-acts", "/work/schedule", then=acts_open),
    Shown("system", "/system"),
    Shown("system-acts", "/system", then=acts_open),
    Shown("certificate", "/system/certificate", then=acts_open),
    Shown("log", "/system/log"),
    Shown("diagnostics", "/system/diagnostics", then=acts_open),
    Shown("backup", "/system/backup"),
    Shown("base-map", "/system/map", then=acts_open),
    Shown("sync", "/sync", then=acts_open),
    Shown("inbox", "/inbox"),
    Shown("inbox-empty", "/inbox", depot="empty"),
    Shown("help", "/help"),
    Shown("api", "/help/api", then=api_stands),
    Shown("not-found", "", "/no/such/page"),
    Shown("not-allowed", "", "/users", role="viewer"),
)  # fmt: skip


@dataclass
class Depots:
    """The depots behind the table, each with a web role of its own, and the ids that its paths name."""

    browser: Browser
    made: world.World
    settings: dict[str, Settings]
    urls: dict[str, str]
    ids: dict[str, Any]
    sessions: dict[tuple[str, str], world.SignedIn] = field(default_factory=dict)

    def url(self, shown: Shown) -> str:
        return self.urls[shown.depot] + (shown.path or shown.route).format_map(self.ids)

    def sign_in(self, page: Page, shown: Shown) -> None:
        page.context.clear_cookies()
        if shown.role:
            who = (shown.depot, shown.role)
            if who not in self.sessions:
                self.sessions[who] = world.as_user(self.settings[shown.depot], shown.role)
            session = self.sessions[who]
            page.context.add_cookies([session.cookie(self.urls[shown.depot])])

    def open(self, page: Page, shown: Shown) -> None:
        """Shows it in `page`, with everything that `then` opens."""
        page.goto("about:blank")  # what was there asks for nothing more while the login changes
        self.sign_in(page, shown)
        page.goto(self.url(shown))
        shown.then(page)


@contextmanager
def running_depots(folder: Path, browser: Browser) -> Iterator[Depots]:
    made = world.make(folder / "day", datetime.now(UTC))
    ids = _fill(made)
    settings = {"day": made.settings, "empty": world.empty(folder / "empty"), "new": _new(folder / "new")}
    with ExitStack() as stack:
        urls = {}
        for name, known in settings.items():
            stack.enter_context(running_redis(known.paths))
            urls[name] = stack.enter_context(running_web(folder / name, folder / f"{name}.log")).url
        Publisher(made.settings.paths.redis_socket).publish(*made.live, *world.troubled(made))
        yield Depots(browser, made, settings, urls, ids)


def _new(data_dir: Path) -> Settings:
    """A box as it is before anybody set it up."""
    settings = world.settings_for(data_dir)
    settings.paths.prepare()
    migrate(settings.paths.depot_db)
    db = open_depot(settings.paths.depot_db)
    setup.ensure_code(db, settings.paths)
    db.conn.close()
    return settings


def _fill(made: world.World) -> dict[str, Any]:
    """A day with something of everything."""
    trip = doubtful.make(made)
    ids = {**money_day.make(made), **work_day.make(made)}
    patient = people_day.make(made)  # last: it takes V8 out of use
    db = open_depot(made.settings.paths.depot_db)
    with write_tx(db) as tx:
        user = users.add(tx, "new@depot.example", "Nora New", "dispatcher", made.now)
        users.add_password_link(tx, user, passwords.token_hash(LINK), made.now, timedelta(days=7))
        for number, text in enumerate(("V5 is offline, on trip T-1012", "Invoice 3 could not be sent")):
            notifications.tell_role(tx, "administrator", "note", text, f"note-{number}", made.now)
    db.conn.close()
    day = made.now.astimezone(made.settings.zone).date().isoformat()
    return {**ids, "trip": trip, "waiting": made.trips["T-1017"], "patient": patient, "day": day}
