"""`/healthz`, `/api/v1/system` and `/api/v1/jobs`."""

from __future__ import annotations

import platform
import sqlite3
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from msgspec import Struct
from sqlite_utils import Database

from appliance import __version__, job_desk
from appliance.errors import DepotError, NotFound
from appliance.storage import board, jobs
from appliance.storage.db import write_tx
from appliance.supervisor import statusfile
from appliance.supervisor.unit import State
from web.api.answers import Job, Jobs, JobState, make
from web.api.trips import Limit, Offset
from web.parts import WHO, Given, Parts

_WELL = frozenset({State.READY, State.DONE})

ByState = Annotated[JobState | None, QueryParameter(name="state")]


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


@get("/healthz", sync_to_thread=True, summary="Whether the box can serve; 503 when it cannot")
def healthz(parts: Given) -> Response[Health]:
    """Answers also before the box is set up."""
    database, redis = _database_answers(parts), parts.positions.redis_answers()
    health = Health(ok=database and redis, version=__version__, database=database, redis=redis)
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
    )


@get("/jobs", sync_to_thread=True, summary="Durable jobs, newest first, with the counts by state")
def list_jobs(parts: Given, with_state: ByState = None, limit: Limit = 100, offset: Offset = 0) -> Jobs:
    with parts.db() as db:
        found, total = board.jobs(db, with_state, limit, offset)
        counts = board.job_counts(db)
    return Jobs([make(Job, row) for row in found], total, counts)


@get("/jobs/{job_id:str}", sync_to_thread=True, summary="One job, with its last error")
def get_job(parts: Given, job_id: FromPath[str]) -> Job:
    with parts.db() as db:
        return _job(db, job_id)


@post("/jobs/{job_id:str}/retry", sync_to_thread=True, status_code=200, summary="Try a failed or discarded job again")
def retry_job(parts: Given, job_id: FromPath[str]) -> Job:
    with parts.db() as db:
        with write_tx(db) as tx:
            ask = job_desk.retry(tx, job_id, WHO, parts.now())
        parts.sender.send([ask])
        return _job(db, job_id)


@post("/jobs/{job_id:str}/discard", sync_to_thread=True, status_code=200, summary="Give a job up")
def discard_job(parts: Given, job_id: FromPath[str]) -> Job:
    with parts.db() as db:
        with write_tx(db) as tx:
            job_desk.discard(tx, job_id, WHO, parts.now())
        return _job(db, job_id)


def _job(db: Database, job_id: str) -> Job:
    row = jobs.get(db, job_id)
    if row is None:
        raise NotFound("no such job", subject=job_id)
    return make(Job, row)


def roles(parts: Parts) -> list[Role]:
    """The roles as the supervisor of this data folder sees them, in start order; none where no supervisor runs."""
    run = statusfile.read(parts.settings.paths)
    return [
        Role(name=one.name, state=one.state, ready=one.state in _WELL, restarts=one.restarts, started_at=one.started_at)
        for one in (run.roles if run else [])
    ]


def _database_answers(parts: Parts) -> bool:
    try:
        with parts.db() as db:
            return board.answers(db)
    except (sqlite3.Error, DepotError):
        return False


HANDLERS: list[Any] = [system, list_jobs, get_job, retry_job, discard_job]
