"""The pages: the board with its map, their fragments, and the page of one trip."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from litestar import Litestar, get
from litestar.params import FromPath
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template

from appliance import __version__, disk
from appliance.access import Caller
from appliance.domain.access import Permission
from appliance.domain.invoice import money
from appliance.domain.presence import VehicleState
from appliance.paths import VENDOR_DIR
from appliance.storage import board
from appliance.storage.times import parse
from web import cards, icons
from web.api.answers import Alert
from web.api.system import roles
from web.api.trips import unknown
from web.api.vehicles import fleet, shown_alerts
from web.assets import Assets
from web.parts import Given, Parts

AROUND = timedelta(hours=12)
"""The board shows the local day, and at night what is this near on its other side."""


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
    clock: str


@get("/", sync_to_thread=True, include_in_schema=False)
def index(parts: Given) -> Template:
    return Template("board_page.html", context={"columns": _columns(parts), "strip": _strip(parts)})


@get("/board", sync_to_thread=True, include_in_schema=False)
def board_fragment(parts: Given) -> Template:
    return Template("board.html", context={"columns": _columns(parts)})


@get("/strip", sync_to_thread=True, include_in_schema=False)
def strip_fragment(parts: Given) -> Template:
    return Template("strip.html", context={"strip": _strip(parts)})


@get("/trips/{trip_id:int}", sync_to_thread=True, include_in_schema=False)
def trip_page(parts: Given, trip_id: FromPath[int]) -> Template:
    now, zone = parts.now(), parts.settings.zone
    with parts.db() as db:
        row = board.trip(db, trip_id)
        if row is None:
            raise unknown(trip_id)
        events = board.trip_events(db, trip_id)
    timeline = [
        {**event, "moment": cards.moment(parse(event["at"]), now, zone), "title": cards.event_title(event["event"])}
        for event in events
    ]
    context = {
        "card": cards.card(row, now, zone, parts.settings.depot.units),
        "trip": row,
        "duration": cards.minutes(timedelta(seconds=row["duration_s"])) if row["duration_s"] is not None else "",
        "timeline": timeline,
        "strip": _strip(parts),
    }
    return Template("trip_page.html", context=context)


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
            depot=parts.settings.depot,
            rail=[("/", "today", "Today")],
            limits=parts.settings.limits,
            version=__version__,
            column_titles=cards.COLUMNS,
            caller=_caller,
            may=_may,
        )
        engine.engine.trim_blocks = engine.engine.lstrip_blocks = True
        yield

    return lifespan


@pass_context
def _caller(context: Context) -> Caller | None:
    """In a template: who looks at the page, with `user` and `csrf`."""
    caller: Caller | None = context["request"].scope["auth"]
    return caller


@pass_context
def _may(context: Context, permission: str) -> bool:
    """In a template: whether who looks may do that. `{% if may("dispatch") %}`."""
    caller: Caller | None = context["request"].scope["auth"]
    return caller is not None and caller.user.may(Permission(permission))


def _columns(parts: Parts) -> dict[str, list[cards.Card]]:
    now, zone = parts.now(), parts.settings.zone
    since, until = span(now, parts)
    with parts.db() as db:
        rows = board.cards(db, since, until)
    return cards.columns(rows, now, zone, parts.settings.depot.units)


def span(now: datetime, parts: Parts) -> tuple[datetime, datetime]:
    """The time that the board shows: the local day of `now`, widened to `AROUND` on both sides."""
    zone = parts.settings.zone
    today = now.astimezone(zone).date()
    begin, end = (datetime.combine(today + timedelta(days=days), time(), zone) for days in (0, 1))
    return min(begin, now - AROUND), max(end, now + AROUND)


def _strip(parts: Parts) -> Strip:
    local = parts.now().astimezone(parts.settings.zone)
    with parts.db() as db:
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
        troubles=_troubles(parts),
        clock=f"{local:%H:%M}",
    )


def _troubles(parts: Parts) -> list[str]:
    """Roles that are not ready (without a supervisor here at least Redis is asked itself), and a disk that fills up."""
    found = [role.name for role in roles(parts) if not role.ready]
    if "redis" not in found and not parts.positions.redis_answers():
        found.append("redis")
    free_mb = disk.room(parts.settings.paths.data_dir).free // 2**20
    if free_mb < parts.settings.limits.disk_free_mb:
        found.append(f"disk ({free_mb} MiB free)")
    return found


HANDLERS: list[Any] = [index, board_fragment, strip_fragment, trip_page, favicon]
