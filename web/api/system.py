"""`/healthz` and `/api/v1/system`."""

from __future__ import annotations

import platform
import sqlite3
from datetime import date
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Struct

from appliance import __version__, clock_desk, health, setup
from appliance.errors import DepotError
from appliance.health import Issue
from appliance.storage import board
from appliance.storage.db import write_tx
from appliance.supervisor import checkup, restart, statusfile
from appliance.supervisor.checkup import WELL
from web.api.answers import Page
from web.parts import Given, Parts


class Health(Struct, frozen=True, kw_only=True):
    """`ok` is true when everything that the pages stand on answers. `set_up`: whether the box has an administrator."""

    ok: bool
    version: str
    database: bool
    redis: bool
    set_up: bool


class Role(Struct, frozen=True, kw_only=True):
    """A process of the box as its supervisor sees it."""

    name: str
    state: str
    ready: bool
    restarts: int
    started_at: str | None


class System(Struct, frozen=True, kw_only=True):
    """The box itself. `roles` is empty where no supervisor of its own runs (systemd, tests)."""

    version: str
    python: str
    sqlite: str
    redis: str | None
    depot: str
    timezone: str
    roles: list[Role]
    damaged_days: list[date]
    """UTC days of which a part of the fixes is damaged, as far as it was noticed."""


@get("/healthz", sync_to_thread=True, summary="Whether the box can serve; 503 when it cannot")
def healthz(parts: Given) -> Response[Health]:
    """Answers also before the box is set up."""
    database, redis = _database_answers(parts), parts.positions.redis_answers()
    health = Health(
        ok=database and redis,
        version=__version__,
        database=database,
        redis=redis,
        set_up=database and _is_set_up(parts),
    )
    return Response(health, status_code=200 if health.ok else 503)


@get("/system", sync_to_thread=True, summary="Versions, and the box's processes")
def system(parts: Given) -> System:
    return System(
        version=__version__,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        redis=parts.positions.redis_version(),
        depot=parts.settings.depot.name,
        timezone=parts.settings.depot.timezone,
        roles=roles(parts),
        damaged_days=parts.store.damaged_days(),
    )


@get("/system/issues", sync_to_thread=True, summary="What is wrong with the box, and what to do about it")
def list_issues(parts: Given) -> Page[Issue]:
    found = trouble(parts)
    return Page(found, len(found))


@post("/system/clock/confirm", sync_to_thread=True, status_code=204, summary="Confirm that the clock is right")
def confirm_clock(parts: Given) -> None:
    with parts.db() as db, write_tx(db) as tx:
        clock_desk.confirm(tx, parts.settings, parts.who, parts.now())


@post(
    "/system/roles/{name:str}/restart",
    sync_to_thread=True,
    status_code=202,
    summary="Restart one role of the box; a worker finishes its job first",
)
def restart_role(parts: Given, name: FromPath[str]) -> None:
    with parts.db() as db, write_tx(db) as tx:
        restart.restart(tx, parts.settings, name, who=parts.who, now=parts.now())


def trouble(parts: Parts) -> list[Issue]:
    """What is wrong with the box now, the most urgent first."""
    redis = parts.positions.redis_answers()
    return health.issues(checkup.collect(parts.settings, redis=redis, now=parts.now()))


def roles(parts: Parts) -> list[Role]:
    """The roles as the supervisor of this data folder sees them, in start order; none where no supervisor runs."""
    run = statusfile.read(parts.settings.paths)
    return [
        Role(name=one.name, state=one.state, ready=one.state in WELL, restarts=one.restarts, started_at=one.started_at)
        for one in (run.roles if run else [])
    ]


def _is_set_up(parts: Parts) -> bool:
    with parts.db() as db:
        return setup.is_set_up(db)


def _database_answers(parts: Parts) -> bool:
    try:
        with parts.db() as db:
            return board.answers(db)
    except (sqlite3.Error, DepotError):
        return False


HANDLERS: list[Any] = [system, list_issues, confirm_clock, restart_role]
