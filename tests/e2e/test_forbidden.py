"""What a role may not do: its pages do not offer it, no link leads to it, and who asks all the same is told so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from playwright.sync_api import Page

from appliance.domain.access import ROLES, Permission, Role
from tests.e2e.desk import Desk, quiet, running_desk
from tests.web import money_day, people_day, work_day, world
from web.app import create_app
from web.permissions import HANDLERS, Need

pytestmark = pytest.mark.browser

FORBIDDEN = "403 (Forbidden)"
OFFERED = """() => [...document.querySelectorAll("a[href], [hx-get], [hx-post], [data-form], form[action]")]
  .flatMap(e =>
  [["GET", e.getAttribute("href")], ["GET", e.getAttribute("hx-get")], ["POST", e.getAttribute("hx-post")],
   ["GET", e.dataset.form], [e.method?.toUpperCase(), e.getAttribute("action")]].filter(([, path]) => path))"""
"""Each thing that the page offers to do or to go to: method and address."""


def fill(made: world.World) -> dict[str, str]:
    money, jobs = money_day.make(made), work_day.make(made)
    return {"invoice": str(money["partly"]), "payer": str(money["payer"]), "job": jobs["failed"],
            "patient": str(people_day.make(made)), "trip": str(made.trips["T-1017"])}  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Desk]:
    with running_desk(fill) as found:
        yield found


@pytest.fixture
def desk(running: Desk) -> Iterator[Desk]:
    with quiet(running) as found:
        yield found


@pytest.fixture(scope="module")
def app(running: Desk) -> Litestar:
    return create_app(running.made.settings)


# Role; a page that it may see, and what another role finds there to do; the request behind that, as a form sends it; a
# page that it may not see at all.
STORIES = (
    ("viewer", "/trips/{trip}", "[data-act=cancel]", "dispatcher", "/trips/{trip}/acts/cancel", "/run-sheets"),
    ("dispatcher", "/invoices/{invoice}", "#act-pay", "biller", "/invoices/{invoice}/payments", "/payers/{payer}"),
    ("biller", "/work/jobs/{job}", "text=Retry", "administrator", "/work/jobs/{job}/retry", "/drivers/D1"),
)


@pytest.mark.parametrize(("role", "path", "act", "other", "request_path", "page_path"), STORIES)
def test_what_a_role_may_not_do_is_not_offered_and_is_refused_with_the_reason(
    desk: Desk, role: str, path: str, act: str, other: str, request_path: str, page_path: str
) -> None:
    before = desk.rows("SELECT id, state FROM trips"), desk.rows("SELECT id, owed_cents FROM invoices")
    jobs = desk.rows("SELECT id, state FROM jobs")
    allowed = desk.open(path.format_map(desk.found), role=other)
    allowed.locator(act).first.wait_for()
    page = desk.open(path.format_map(desk.found), role=role)
    page.locator("h1").wait_for()
    assert page.locator(act).count() == 0

    csrf = page.evaluate("JSON.parse(document.body.getAttribute('hx-headers'))['X-CSRF-Token']")
    sent = page.evaluate(
        """async ([path, token]) => { const answer = await fetch(path, {method: "POST", body: "amount=1&note=x",
             headers: {"X-CSRF-Token": token, "Content-Type": "application/x-www-form-urlencoded",
             Accept: "text/html"}});
             return [answer.status, await answer.text()]; }""",
        [request_path.format_map(desk.found), csrf],
    )
    assert sent[0] == 403
    assert f"A {role} may not do this." in sent[1]
    assert (desk.rows("SELECT id, state FROM trips"), desk.rows("SELECT id, owed_cents FROM invoices")) == before
    assert desk.rows("SELECT id, state FROM jobs") == jobs

    page.goto(desk.url + page_path.format_map(desk.found))
    assert page.locator("h1").inner_text() == "Not allowed"
    assert f"A {role} may not do this." in page.locator("main").inner_text()
    page.get_by_role("link", name="To the board").click()
    page.locator("#board").wait_for()
    desk.complaints[:] = [said for said in desk.complaints if FORBIDDEN not in said]  # they were meant


@pytest.mark.parametrize("role", ["viewer", "dispatcher", "biller"])
def test_no_page_offers_what_its_reader_may_not_do(desk: Desk, app: Litestar, role: str) -> None:
    """Every link and every form of the pages that the rail leads to, and of one of each kind behind them."""
    page = desk.open("/", role=role)
    page.locator("#board[data-ready=yes]").wait_for(state="attached")
    paths = set(page.locator("#menu a").evaluate_all("links => links.map(link => link.getAttribute('href'))"))
    assert len(paths) > 5
    paths |= {"/account", "/inbox", "/invoices/unbilled", "/invoices/adjustments", "/work/schedule", "/vehicles/V2"}
    paths |= {f"/invoices/{desk.found['invoice']}", f"/trips/{desk.found['trip']}", f"/work/jobs/{desk.found['job']}"}
    for path in sorted(paths):
        page.goto(desk.url + path)
        for method, address in offered(page):
            needed = need(app, method, urlsplit(address).path)
            assert not isinstance(needed, Permission) or needed in ROLES[Role(role)], (path, method, address)


def offered(page: Page) -> set[tuple[str, str]]:
    return {(method, address) for method, address in page.evaluate(OFFERED) if address.startswith("/")}


def need(app: Litestar, method: str, path: str) -> Need:
    """What the handler behind it asks for; a path without parameters comes before one with."""
    for route in sorted(app.routes, key=lambda route: route.path_format.count("{")):
        fits = re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.path_format), path)
        if fits and isinstance(route, HTTPRoute) and method in route.methods:
            (handler,) = {one for one in route.route_handlers if method in one.http_methods}
            return HANDLERS[handler.handler_name]
    raise AssertionError(f"{method} {path} leads nowhere")
