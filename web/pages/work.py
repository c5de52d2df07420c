"""`/work`: queues, jobs and charts; `/work/jobs/{id}`: one job; `/work/schedule`: what runs by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from litestar import get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, QueryParameter
from litestar.response import Template

from appliance import job_desk, queue_desk, timetable, work_history
from appliance.errors import DepotError, InputError
from appliance.jobs import QUEUE_TITLES, QUEUES
from appliance.jobs import Queue as QueueName
from appliance.storage import board, schedules, times
from appliance.storage.db import Row, Tx, write_tx
from appliance.storage.jobs import STATES
from web import cards, names
from web.api.answers import JobState
from web.api.jobs import job_of, queue_list
from web.forms import Form, refused
from web.lists import ROWS, Listing, PageNumber, Search, offset
from web.pages import shell
from web.parts import Given, Parts
from web.typed import version

QUEUE_WORDS = {
    "high_priority": "what drivers and dispatchers wait for",
    "normal": "completed trips and their invoices",
    "low_priority": "mail, reminders and upkeep",
}
SPAN_TITLES = {"hour": "Hour", "day": "Day", "week": "Week", "month": "30 days"}

ByState = Annotated[JobState | Literal[""], QueryParameter(name="state")]
ByQueue = Annotated[QueueName | Literal[""], QueryParameter(name="queue")]
Fields = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/work", sync_to_thread=True, include_in_schema=False)
def work_page(
    parts: Given, page: PageNumber = 1, with_state: ByState = "", of_queue: ByQueue = "", q: Search = ""
) -> Template:
    return _work(parts, page=page, state=with_state, queue=of_queue, q=q.strip())


@get("/work/figures", sync_to_thread=True, include_in_schema=False)
def work_figures(parts: Given) -> Template:
    """The numbers of the page that go on by themselves."""
    with parts.db() as db:
        counts = board.job_counts(db)
    return Template("work_figures.html", context={"queues": _queues(parts), "counts": counts, "states": STATES})


@post("/work/queues/{queue:str}/pause", sync_to_thread=True, status_code=200, include_in_schema=False)
def work_pause(parts: Given, queue: FromPath[str]) -> Template:
    def act(tx: Tx) -> str:
        queue_desk.pause(tx, queue, parts.who, parts.now())
        return f"{QUEUE_TITLES[queue]} is paused: no job of it is begun. What runs is finished."

    return _acted(parts, queue, act)


@post("/work/queues/{queue:str}/resume", sync_to_thread=True, status_code=200, include_in_schema=False)
def work_resume(parts: Given, queue: FromPath[str]) -> Template:
    def act(tx: Tx) -> str:
        queue_desk.resume(tx, queue, parts.who, parts.now())
        return f"{QUEUE_TITLES[queue]} goes on; what has waited begins within seconds."

    return _acted(parts, queue, act)


@post("/work/queues/{queue:str}/purge", sync_to_thread=True, status_code=200, include_in_schema=False)
def work_purge(parts: Given, queue: FromPath[str]) -> Template:
    def act(tx: Tx) -> str:
        count = queue_desk.purge(tx, queue, parts.who, parts.now())
        return f"{_jobs(count)} of {QUEUE_TITLES[queue]} given up. Each can be tried again until it is forgotten."

    return _acted(parts, f"purge-{queue}", act)


@post("/work/retry", sync_to_thread=True, status_code=200, include_in_schema=False)
def work_retry(parts: Given) -> Template:
    with parts.db() as db, write_tx(db) as tx:
        asks = job_desk.retry_failed(tx, None, parts.who, parts.now())
    parts.sender.send(asks)
    return _work(parts, done=f"{_jobs(len(asks))} will be tried again.")


@get("/work/jobs/{job_id:str}", sync_to_thread=True, include_in_schema=False)
def job_page(parts: Given, job_id: FromPath[str]) -> Template:
    return _job(parts, job_id)


@post("/work/jobs/{job_id:str}/retry", sync_to_thread=True, status_code=200, include_in_schema=False)
def job_retry(parts: Given, job_id: FromPath[str]) -> Template:
    try:
        with parts.db() as db, write_tx(db) as tx:
            ask = job_desk.retry(tx, job_id, parts.who, parts.now())
    except DepotError as error:
        return _job(parts, job_id, form=refused("job", {}, error))
    parts.sender.send([ask])
    return _job(parts, job_id, done="It will be tried again.")


@post("/work/jobs/{job_id:str}/discard", sync_to_thread=True, status_code=200, include_in_schema=False)
def job_discard(parts: Given, job_id: FromPath[str]) -> Template:
    """Gives a job up, whether it waits, runs or has failed."""
    try:
        with parts.db() as db, write_tx(db) as tx:
            give_up = job_desk.revoke if job_of(parts, tx, job_id).state == "running" else job_desk.discard
            give_up(tx, job_id, parts.who, parts.now())
    except DepotError as error:
        return _job(parts, job_id, form=refused("job", {}, error))
    return _job(parts, job_id, done="The job is given up.")


@get("/work/schedule", sync_to_thread=True, include_in_schema=False)
def schedule_page(parts: Given) -> Template:
    return _schedule(parts)


@post("/work/schedule/{name:str}", sync_to_thread=True, status_code=200, include_in_schema=False)
def schedule_set(parts: Given, name: FromPath[str], data: Fields) -> Template:
    typed = {field: text.strip()[:200] for field, text in data.items()}
    try:
        with parts.db() as db:
            if schedules.get(db, name) is None:
                raise timetable.unknown(name)
            timetable.change(
                db, name, **_rhythm(typed), task=None, arguments=None, version=version(typed),
                who=parts.who, now=parts.now(),
            )  # fmt: skip
    except DepotError as error:
        return _schedule(parts, form=refused(f"edit-{name}", typed, error))
    return _schedule(parts, done=f"{name} is changed, and planned anew.")


@post("/work/schedule/{name:str}/{verb:str}", sync_to_thread=True, status_code=200, include_in_schema=False)
def schedule_act(parts: Given, name: FromPath[str], verb: FromPath[Literal["pause", "resume", "run"]]) -> Template:
    now, who = parts.now(), parts.who
    if verb == "run":
        with parts.db() as db, write_tx(db) as tx:
            ask = timetable.run_now(tx, name, who, now)
        parts.sender.send([ask])
        return _schedule(parts, done=f"{name} runs now, besides its times.", job=ask.id)
    with parts.db() as db:
        (timetable.pause if verb == "pause" else timetable.resume)(db, name, who, now)
    return _schedule(parts, done=f"{name} is paused." if verb == "pause" else f"{name} goes on, and is planned anew.")


def _work(
    parts: Parts,
    *,
    page: int = 1,
    state: str = "",
    queue: str = "",
    q: str = "",
    done: str = "",
    form: Form | None = None,
) -> Template:
    with parts.db() as db:
        found, total = board.jobs(db, state or None, ROWS, offset(page), queue=queue, q=q)
        counts = board.job_counts(db)
    filters = (("state", state), ("queue", queue), ("q", q))
    return shell.page(
        parts,
        "work.html",
        here="/work",
        done=done,
        form=form,
        queues=_queues(parts),
        counts=counts,
        states=STATES,
        spans=SPAN_TITLES,
        listing=Listing("/work", [_shown(parts, row) for row in found], total, page, filters),
        queue_options=[(name, QUEUE_TITLES[name]) for name in QUEUES],
        kept_days=parts.settings.retention.jobs_days,
        samples_days=work_history.KEPT.days,
    )


def _acted(parts: Parts, form: str, act: Callable[[Tx], str]) -> Template:
    """Does it, and shows the page with what was done or with the refusal."""
    try:
        with parts.db() as db, write_tx(db) as tx:
            done = act(tx)
    except DepotError as error:
        return _work(parts, form=refused(form, {}, error))
    return _work(parts, done=done)


def _queues(parts: Parts) -> list[dict[str, Any]]:
    now = parts.now()
    return [
        {
            "queue": one,
            "title": QUEUE_TITLES[one.queue],
            "words": QUEUE_WORDS[one.queue],
            "oldest": cards.minutes(now - one.oldest_due_at) if one.oldest_due_at else "",
            "paused": _moment(parts, one.paused_at.isoformat()) if one.paused_at else None,
        }
        for one in queue_list(parts)
    ]


def _shown(parts: Parts, row: Row) -> Row:
    """A job's row with its times as they are shown."""
    stamps = {key: _moment(parts, row[key]) for key in ("created_at", "due_at", "claimed_at", "finished_at")}
    return {**names.of_job(parts, row), **stamps, "queue_title": QUEUE_TITLES.get(row["queue"], row["queue"])}


def _moment(parts: Parts, stored: str | None) -> cards.Moment | None:
    return cards.moment(times.parse(stored), parts.now(), parts.settings.zone) if stored else None


def _job(parts: Parts, job_id: str, *, done: str = "", form: Form | None = None) -> Template:
    with parts.db() as db:
        found = job_of(parts, db, job_id)
    stamps = {
        title: cards.moment(at, parts.now(), parts.settings.zone)
        for title, at in (
            ("Asked for", found.created_at),
            ("Due", found.due_at),
            ("Begun", found.claimed_at),
            ("Ended", found.finished_at),
            ("Decided", found.decided_at),
        )
        if at
    }
    return shell.page(
        parts,
        "work_job.html",
        here="/work",
        done=done,
        form=form,
        job=found,
        stamps=stamps,
        queue_title=QUEUE_TITLES.get(found.queue, found.queue),
        result=json.dumps(found.result, ensure_ascii=False) if found.result is not None else "",
    )


def _schedule(parts: Parts, *, done: str = "", form: Form | None = None, job: str = "") -> Template:
    with parts.db() as db:
        found = schedules.listed(db)
    entries = [
        {
            **row,
            "last": _moment(parts, row["last_run_at"]),
            "next": _moment(parts, row["next_run_at"]) if row["enabled"] else None,
            "rhythm": _words(row),
        }
        for row in found
    ]
    return shell.page(parts, "work_schedule.html", here="/work", done=done, form=form, entries=entries, job=job)


def _words(row: Row) -> str:
    """`every 5 min`, or the crontab."""
    if row["every_s"] is None:
        return str(row["crontab"])
    every = float(row["every_s"])
    for unit, size in (("h", 3600), ("min", 60)):
        if every >= size and every % size == 0:
            return f"every {every / size:g} {unit}"
    return f"every {every:g} s"


def _rhythm(typed: dict[str, str]) -> dict[str, Any]:
    """What an entry is changed to: an interval, or a crontab with its zone. Raises InputError for no number."""
    if typed.get("kind") == "crontab":
        return {"every_s": None, "crontab": typed.get("crontab", ""), "zone": typed.get("zone", "")}
    try:
        every_s = float(typed.get("every_s", ""))
    except ValueError:
        raise InputError("expected a number of seconds", subject="every_s") from None
    return {"every_s": every_s, "crontab": None, "zone": None}


def _jobs(count: int) -> str:
    return f"{count:,} job" if count == 1 else f"{count:,} jobs"


HANDLERS: list[Any] = [
    work_page, work_figures, work_pause, work_resume, work_purge, work_retry, job_page, job_retry, job_discard,
    schedule_page, schedule_set, schedule_act,
]  # fmt: skip
