"""`/system`: how the box is, what is wrong with it in plain words, and its clock."""

from __future__ import annotations

import platform
import sqlite3
from datetime import timedelta
from typing import Any

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Template

from appliance import __version__, clock, clock_desk, disk, roles, uplink_desk
from appliance.errors import DepotError
from appliance.storage.db import write_tx
from appliance.supervisor import report, restart
from web import cards
from web.api.system import trouble
from web.forms import Form, refused
from web.pages import sections
from web.parts import Given, Parts

RESTARTS = {
    "redis": "Work that is under way goes on; live views pause for a second. Nothing that was stored is lost.",
    "mosquitto": "Vehicles are cut off for a moment and connect again; their trackers send what they have kept.",
    "bridge": "Positions pause for a few seconds and come in late. Nothing that was acknowledged is lost.",
    "web": "These pages are away for some seconds; the live view comes back by itself.",
    "beat": "The schedule pauses for a few seconds; what was due runs then.",
} | {f"worker-{one}": "It finishes the job that it does, then starts again." for one in ("high", "normal", "low")}
"""What a restart of each role means, before somebody asks for it."""


@get("/system", sync_to_thread=True, include_in_schema=False)
def system_page(parts: Given) -> Template:
    return _page(parts)


@post("/system/clock", sync_to_thread=True, status_code=200, include_in_schema=False)
def system_clock(parts: Given) -> Template:
    try:
        with parts.db() as db, write_tx(db) as tx:
            clock_desk.confirm(tx, parts.settings, parts.who, parts.now())
    except DepotError as error:
        return _page(parts, form=refused("clock", {}, error))
    return _page(parts, done="The clock is confirmed. Invoices that waited for it follow within minutes.")


@post("/system/roles/{name:str}/restart", sync_to_thread=True, status_code=200, include_in_schema=False)
def system_restart(parts: Given, name: FromPath[str]) -> Template:
    try:
        with parts.db() as db, write_tx(db) as tx:
            restart.restart(tx, parts.settings, name, who=parts.who, now=parts.now())
    except DepotError as error:
        return _page(parts, form=refused(f"restart-{name}", {}, error))
    return _page(parts, done=f"{name} is asked to end, and is started again within seconds.")


def _page(parts: Parts, *, done: str = "", form: Form | None = None) -> Template:
    settings = parts.settings
    found, room = report.measure(settings.paths), disk.room(settings.paths.data_dir)
    with parts.db() as db:
        central = uplink_desk.told(uplink_desk.status(db, settings, parts.now()), settings)
    local = parts.now().astimezone(settings.zone)
    return sections.page(
        parts,
        "system.html",
        here="/system",
        done=done,
        form=form,
        issues=trouble(parts),
        running=found.running,
        roles=[
            {
                "role": role,
                "restartable": not roles.find(role.name).once and not roles.find(role.name).demo_only,
                "up": cards.minutes(timedelta(seconds=role.uptime_s)) if role.uptime_s is not None else "",
            }
            for role in found.roles
        ],
        memory=found.memory_bytes,
        room=room,
        used=round(100 * (room.total - room.free) / room.total) if room.total else 0,
        clock_trusted=clock.trusted(settings),
        clock_confirmed=clock.confirmed(settings),
        clock_rule=settings.clock.trust,
        clock_shows=f"{local:%A, %d %B %Y, %H:%M}",
        central=central,
        versions=_versions(parts),
        restarts=RESTARTS,
    )


def _versions(parts: Parts) -> dict[str, str]:
    return {
        "depotbox": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "Redis": parts.positions.redis_version() or "does not answer",
    }


HANDLERS: list[Any] = [system_page, system_clock, system_restart]
