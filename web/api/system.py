"""`/healthz`, `/api/v1/system` and `/api/v1/jobs`."""

from __future__ import annotations

import platform
import sqlite3
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import Parameter
from msgspec import Struct

from appliance import __version__
from appliance.errors import DepotError
from appliance.storage import board
from web.api.answers import Job, Jobs, JobState, make
from web.api.trips import Limit, Offset
from web.parts import Parts

ByState = Annotated[JobState | None, Parameter(query="state")]


class Health(Struct, frozen=True, kw_only=True):
    """`ok` is true when everything that the pages stand on answers."""

    ok: bool
    version: str
    database: bool
    redis: bool


class Role(Struct, frozen=True, kw_only=True):
    """A process of the box as its supervisor sees it."""

    name: str
    state: str
    ready: bool


class System(Struct, frozen=True, kw_only=True):
    """The box itself. `roles` is empty where no supervisor keeps a status file."""

    version: str
    python: str
    sqlite: str
    redis: str | None
    depot: str
    timezone: str
    roles: list[Role]


@get("/healthz", sync_to_thread=True, summary="Whether the box can serve; 503 when it cannot")
def healthz(parts: Parts) -> Response[Health]:
    """Answers also before the box is set up."""
    database, redis = _database_answers(parts), parts.positions.redis_answers()
    health = Health(ok=database and redis, version=__version__, database=database, redis=redis)
    return Response(health, status_code=200 if health.ok else 503)


@get("/system", sync_to_thread=True, summary="Versions, and the box's processes")
def system(parts: Parts) -> System:
    return System(
        version=__version__,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        redis=parts.positions.redis_version(),
        depot=parts.settings.depot.name,
        timezone=parts.settings.depot.timezone,
        roles=roles(parts),
    )


@get("/jobs", sync_to_thread=True, summary="Durable jobs, newest first, with the counts by state")
def list_jobs(parts: Parts, with_state: ByState = None, limit: Limit = 100, offset: Offset = 0) -> Jobs:
    with parts.db() as db:
        found, total = board.jobs(db, with_state, limit, offset)
        counts = board.job_counts(db)
    return Jobs([make(Job, row) for row in found], total, counts)


def roles(parts: Parts) -> list[Role]:
    """The roles in the supervisor's status file, in its order; none where there is no such file."""
    try:
        status = msgspec.json.decode(parts.settings.paths.status_file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return []
    return [_role(found) for found in _each(status)]


def _each(status: Any) -> list[dict[str, Any]]:
    found = status.get("roles", []) if isinstance(status, dict) else []
    if isinstance(found, dict):
        found = [{"name": name, **role} for name, role in found.items() if isinstance(role, dict)]
    return [role for role in found if isinstance(role, dict)]


def _role(found: dict[str, Any]) -> Role:
    state = str(found.get("state", "unknown"))
    return Role(name=str(found.get("name", "")), state=state, ready=state in {"ready", "done"})


def _database_answers(parts: Parts) -> bool:
    try:
        with parts.db() as db:
            return board.answers(db)
    except (sqlite3.Error, DepotError):
        return False


HANDLERS: list[Any] = [system, list_jobs]
