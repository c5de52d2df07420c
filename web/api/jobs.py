"""`/api/v1/jobs` and `/api/v1/queues`: durable work, and what a person decides about it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from litestar import get, post
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlite_utils import Database

from appliance import job_desk, queue_desk, work_history
from appliance.errors import NotFound
from appliance.jobs import Queue as QueueName
from appliance.queues import Queues
from appliance.storage import board, jobs
from appliance.storage.db import write_tx
from web import names
from web.api.answers import Job, Jobs, JobState, JobWithDetail, Page, Purged, Queue, Retried, WorkHistory, make
from web.api.trips import Limit, Offset
from web.parts import Given, Parts

ByState = Annotated[JobState | None, QueryParameter(name="state")]
ByQueue = Annotated[QueueName | None, QueryParameter(name="queue")]
ByText = Annotated[
    str, QueryParameter(name="q", max_length=100, description="in the task's name, or the id's beginning")
]
ByTask = Annotated[str | None, QueryParameter(name="name", description="only jobs of this task (wire name)")]


@get("/jobs", sync_to_thread=True, summary="Durable jobs, newest first, with the counts by state")
def list_jobs(
    parts: Given,
    with_state: ByState = None,
    of_queue: ByQueue = None,
    q: ByText = "",
    limit: Limit = 100,
    offset: Offset = 0,
) -> Jobs:
    with parts.db() as db:
        found, total = board.jobs(db, with_state, limit, offset, queue=of_queue or "", q=q)
        counts = board.job_counts(db)
    return Jobs([make(Job, names.of_job(parts, row)) for row in found], total, counts)


@get("/jobs/{job_id:str}", sync_to_thread=True, summary="One job, with its arguments and its last error")
def get_job(parts: Given, job_id: FromPath[str]) -> JobWithDetail:
    with parts.db() as db:
        return job_of(parts, db, job_id)


@post("/jobs/{job_id:str}/retry", sync_to_thread=True, status_code=200, summary="Try a failed or discarded job again")
def retry_job(parts: Given, job_id: FromPath[str]) -> JobWithDetail:
    with parts.db() as db:
        with write_tx(db) as tx:
            ask = job_desk.retry(tx, job_id, parts.who, parts.now())
        parts.sender.send([ask])
        return job_of(parts, db, job_id)


@post("/jobs/retry", sync_to_thread=True, status_code=200, summary="Try every failed job again, or those of one task")
def retry_failed(parts: Given, task: ByTask = None) -> Retried:
    with parts.db() as db, write_tx(db) as tx:
        asks = job_desk.retry_failed(tx, task, parts.who, parts.now())
    parts.sender.send(asks)
    return Retried(len(asks))


@post("/jobs/{job_id:str}/discard", sync_to_thread=True, status_code=200, summary="Give a job up")
def discard_job(parts: Given, job_id: FromPath[str]) -> JobWithDetail:
    with parts.db() as db:
        with write_tx(db) as tx:
            job_desk.discard(tx, job_id, parts.who, parts.now())
        return job_of(parts, db, job_id)


@post("/jobs/{job_id:str}/revoke", sync_to_thread=True, status_code=200, summary="Give a job up that waits or runs")
def revoke_job(parts: Given, job_id: FromPath[str]) -> JobWithDetail:
    with parts.db() as db:
        with write_tx(db) as tx:
            job_desk.revoke(tx, job_id, parts.who, parts.now())
        return job_of(parts, db, job_id)


@get("/jobs/history", sync_to_thread=True, summary="Jobs that ended and jobs that waited, over a span of time")
def read_work_history(parts: Given, span: FromQuery[work_history.Span] = "day") -> WorkHistory:
    kept = timedelta(days=parts.settings.retention.jobs_days)
    with parts.db() as db:
        found = work_history.history(db, span, kept, parts.now())
    return WorkHistory(**asdict(found))


@get("/queues", sync_to_thread=True, summary="What waits in each queue, and which are paused")
def list_queues(parts: Given) -> Page[Queue]:
    found = queue_list(parts)
    return Page(found, len(found))


@post("/queues/{queue:str}/pause", sync_to_thread=True, status_code=200, summary="Begin no job of a queue")
def pause_queue(parts: Given, queue: FromPath[str]) -> Queue:
    with parts.db() as db, write_tx(db) as tx:
        queue_desk.pause(tx, queue, parts.who, parts.now())
    return _queue(parts, queue)


@post("/queues/{queue:str}/resume", sync_to_thread=True, status_code=200, summary="Let a paused queue go on")
def resume_queue(parts: Given, queue: FromPath[str]) -> Queue:
    with parts.db() as db, write_tx(db) as tx:
        queue_desk.resume(tx, queue, parts.who, parts.now())
    return _queue(parts, queue)


@post(
    "/queues/{queue:str}/purge", sync_to_thread=True, status_code=200, summary="Give up all jobs that wait in a queue"
)
def purge_queue(parts: Given, queue: FromPath[str]) -> Purged:
    with parts.db() as db, write_tx(db) as tx:
        return Purged(queue_desk.purge(tx, queue, parts.who, parts.now()))


def job_of(parts: Parts, db: Database, job_id: str) -> JobWithDetail:
    """A job with all that is known of it, as the caller may see it. Raises NotFound."""
    row = jobs.get(db, job_id)
    if row is None:
        raise NotFound("no such job", subject=job_id)
    result = json.loads(row["result"]) if row["result"] else None
    row |= {"arguments": json.loads(row["arguments"]), "result": result}
    return make(JobWithDetail, names.of_job(parts, row))


def queue_list(parts: Parts) -> list[Queue]:
    """The queues in the order of their priority."""
    lengths = Queues(parts.settings.paths.redis_socket).lengths()
    with parts.db() as db:
        return [make(Queue, row) for row in queue_desk.overview(db, lengths, parts.now())]


def _queue(parts: Parts, name: str) -> Queue:
    return next(found for found in queue_list(parts) if found.queue == name)


HANDLERS: list[Any] = [
    list_jobs, get_job, retry_job, retry_failed, discard_job, revoke_job, list_queues, pause_queue, resume_queue,
    purge_queue, read_work_history,
]  # fmt: skip
