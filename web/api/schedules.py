"""`/api/v1/schedules`: what runs by itself, and changing it while the box runs."""

from __future__ import annotations

import json
from typing import Annotated, Any

from litestar import delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, RequestBody
from msgspec import Meta, Struct

from appliance import timetable
from appliance.errors import NotFound
from appliance.storage import schedules
from appliance.storage.db import write_tx
from web.api.answers import Page, Schedule, make
from web.parts import Given, Parts
from web.problems import Problem


class NewSchedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `every_s` or `crontab`. What is left out stays as it is; a new entry needs its `task`. With `version`, the
    entry's own when it was read, it counts only if nobody was faster."""

    task: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    every_s: Annotated[float, Meta(ge=timetable.SHORTEST_S, le=timetable.LONGEST_S)] | None = None
    crontab: Annotated[str, Meta(max_length=200)] | None = None
    zone: Annotated[str, Meta(max_length=64)] | None = None
    arguments: dict[str, Any] | None = None
    version: int | None = None


class AskedFor(Struct, frozen=True):
    """The id of the job that was asked for."""

    job_id: str


@get("/schedules", sync_to_thread=True, summary="What runs by itself, and when it does so next")
def list_schedules(parts: Given) -> Page[Schedule]:
    with parts.db() as db:
        found = [_made(row) for row in schedules.listed(db)]
    return Page(found, len(found))


@put(
    "/schedules/{name:str}",
    sync_to_thread=True,
    summary="Add an entry, or change the one of that name",
    responses={409: ResponseSpec(Problem, description="It was changed since it was read")},
)
def set_schedule(parts: Given, name: FromPath[str], data: RequestBody[NewSchedule]) -> Schedule:
    with parts.db() as db:
        timetable.change(
            db,
            name,
            task=data.task,
            every_s=data.every_s,
            crontab=data.crontab,
            zone=data.zone,
            arguments=None if data.arguments is None else json.dumps(data.arguments),
            version=data.version,
            who=parts.who,
            now=parts.now(),
        )
    return _read(parts, name)


@post("/schedules/{name:str}/pause", sync_to_thread=True, status_code=200, summary="Pause an entry")
def pause_schedule(parts: Given, name: FromPath[str]) -> Schedule:
    with parts.db() as db:
        timetable.pause(db, name, parts.who, parts.now())
    return _read(parts, name)


@post("/schedules/{name:str}/resume", sync_to_thread=True, status_code=200, summary="Let a paused entry go on")
def resume_schedule(parts: Given, name: FromPath[str]) -> Schedule:
    with parts.db() as db:
        timetable.resume(db, name, parts.who, parts.now())
    return _read(parts, name)


@delete("/schedules/{name:str}", sync_to_thread=True, summary="Delete an entry; the box's own can only be paused")
def delete_schedule(parts: Given, name: FromPath[str]) -> None:
    with parts.db() as db:
        timetable.delete(db, name, parts.who, parts.now())


@post("/schedules/{name:str}/run", sync_to_thread=True, status_code=200, summary="Run an entry now, besides its times")
def run_schedule(parts: Given, name: FromPath[str]) -> AskedFor:
    with parts.db() as db, write_tx(db) as tx:
        ask = timetable.run_now(tx, name, parts.who, parts.now())
    parts.sender.send([ask])
    return AskedFor(ask.id)


def _read(parts: Parts, name: str) -> Schedule:
    with parts.db() as db:
        row = schedules.get(db, name)
    if row is None:
        raise NotFound("no such schedule entry", subject=name)
    return _made(row)


def _made(row: dict[str, Any]) -> Schedule:
    return make(Schedule, {**row, "arguments": json.loads(row["arguments"]), "enabled": bool(row["enabled"])})


HANDLERS: list[Any] = [
    list_schedules, set_schedule, pause_schedule, resume_schedule, delete_schedule, run_schedule
]  # fmt: skip
