"""What every page has: the strip with its numbers, the rail of pages, and what templates are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from litestar import Litestar, get
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template

from appliance import __version__, clock
from appliance.access import Caller
from appliance.config import Settings
from appliance.domain.access import Permission
from appliance.domain.invoice import money
from appliance.domain.presence import VehicleState
from appliance.paths import VENDOR_DIR
from appliance.storage import board, notifications
from web import cards, icons, signs
from web.api.answers import Alert
from web.api.system import trouble
from web.api.vehicles import fleet, shown_alerts
from web.assets import Assets
from web.forms import Form
from web.parts import Given, Parts

RAIL: tuple[tuple[str, str, str, Permission], ...] = (
    ("/", "today", "Today", Permission.view),
    ("/vehicles", "vehicles", "Vehicles", Permission.view),
    ("/drivers", "drivers", "Drivers", Permission.dispatch),
    ("/patients", "patients", "Patients", Permission.patients),
    ("/users", "users", "Users", Permission.administer),
    ("/replay", "history", "Replay", Permission.view),
    ("/trips/import", "upload", "Import", Permission.dispatch),
    ("/run-sheets", "print", "Run sheets", Permission.dispatch),
    ("/invoices", "invoices", "Invoices", Permission.view),
    ("/payers", "money", "Payers", Permission.bill),
    ("/work", "work", "Work", Permission.view),
    ("/system", "system", "System", Permission.view),
    ("/help", "help", "Help", Permission.view),
)  # fmt: skip
"""Address, sign, title, and who sees it, in the order of the rail."""


@dataclass(frozen=True, slots=True)
class Strip:
    """The numbers of the top strip."""

    vehicles: dict[str, int]
    """How many there are in each state; those that never had a position count as silent."""
    alerts: list[Alert]
    waiting: int
    failed: int
    invoices: int
    invoiced: str
    troubles: list[str]
    warnings: int
    unread: int
    clock: str
    clock_trusted: bool


def page(
    parts: Parts, template: str, *, here: str = "", done: str = "", form: Form | None = None, **context: Any
) -> Template:
    """A whole page. `here` is its address in the rail; `done` the line that says what was just done; `form` the form
    that was refused. A page with a refused form is answered with 422."""
    given = {"strip": strip(parts), "here": here, "done": done, "form": form or Form(), **context}
    return Template(template, context=given, status_code=422 if form and form.problems else 200)


@get("/strip", sync_to_thread=True, include_in_schema=False)
def strip_fragment(parts: Given) -> Template:
    return Template("strip.html", context={"strip": strip(parts)})


@get("/favicon.ico", include_in_schema=False, sync_to_thread=False, status_code=204)
def favicon() -> None:
    """Pages name their own icon; this answers the browsers that ask anyway."""


def templates(parts: Parts, assets: Assets) -> Callable[[Litestar], Any]:
    """Puts what every page needs into the template engine, once the application has one."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        engine = app.template_engine
        assert isinstance(engine, JinjaTemplateEngine)
        engine.engine.globals.update(
            asset=assets.url,
            icons=icons.sprite(VENDOR_DIR),
            has_map=assets.has("vendor", "maplibre-gl.mjs"),
            rail=_rail,
            version=__version__,
            column_titles=cards.COLUMNS,
            key_table=signs.KEYS,
            me=_me,
            may=_may,
        )
        show(app, parts.settings)
        engine.engine.trim_blocks = engine.engine.lstrip_blocks = True
        yield

    return lifespan


def show(app: Litestar, settings: Settings) -> None:
    """From here on the pages show these settings."""
    engine = app.template_engine
    assert isinstance(engine, JinjaTemplateEngine)
    engine.engine.globals.update(depot=settings.depot, vehicle_signs=signs.vehicles(settings.limits))


@pass_context
def _me(context: Context) -> Caller | None:
    """In a template: who looks at the page, with `user` and `csrf`."""
    caller: Caller | None = context["request"].scope["auth"]
    return caller


@pass_context
def _rail(context: Context) -> list[tuple[str, str, str]]:
    """In a template: the pages of the rail that who looks may open."""
    return [(path, sign, title) for path, sign, title, needed in RAIL if _may(context, needed)]


@pass_context
def _may(context: Context, permission: str) -> bool:
    """In a template: whether who looks may do that. `{% if may("dispatch") %}`."""
    caller: Caller | None = context["request"].scope["auth"]
    return caller is not None and caller.user.may(Permission(permission))


def strip(parts: Parts) -> Strip:
    local = parts.now().astimezone(parts.settings.zone)
    issues = trouble(parts)
    with parts.db() as db:
        unread = notifications.unread(db, parts.caller.user.id) if parts.caller else 0
        states = Counter(vehicle.state for vehicle in fleet(db, parts))
        alerts = shown_alerts(db, parts)
        jobs = board.job_counts(db)
        count, cents = board.invoices_on(db, local.date().isoformat())
    return Strip(
        vehicles={
            state.value: states[state] + (states[VehicleState.never] if state is VehicleState.silent else 0)
            for state in VehicleState
            if state is not VehicleState.never
        },
        alerts=alerts,
        waiting=jobs.get("pending", 0) + jobs.get("running", 0) + jobs.get("waiting", 0),
        failed=jobs.get("failed", 0),
        invoices=count,
        invoiced=money(cents, parts.settings.depot.currency),
        troubles=[issue.title for issue in issues if issue.severity == "urgent"],
        warnings=sum(issue.severity == "warning" for issue in issues),
        unread=unread,
        clock=f"{local:%H:%M}",
        clock_trusted=clock.trusted(parts.settings),
    )


HANDLERS: list[Any] = [strip_fragment, favicon]
