"""Durable tasks: the row in `jobs` is the truth, Celery's message only carries its id (design section 6).

A worker claims the row by compare-and-set; the effect and `done` commit together, fenced by the attempt number; a
second delivery finds nothing to do. An error becomes a later attempt or a parked job by what it is:
`Transient` waits 60 s, doubling to 1 h, or as long as it says, for as long as it takes; `Permanent` parks at once;
anything else has three tries, a minute apart.
"""

from __future__ import annotations

import inspect
import traceback
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import Ignore

from appliance import clock, jobs, log
from appliance.errors import Busy, InputError, Permanent, Transient
from appliance.events import Event
from appliance.storage import jobs as job_rows
from appliance.storage.db import Row, Tx, write_tx
from tasks.box import Box, box
from tasks.job_result import JobResult

if TYPE_CHECKING:
    BaseTask = Task[..., Any]
else:
    BaseTask = Task

TRIES = 3
RETRY_S = 60.0
LONGEST_RETRY_S = 3600.0

_log = log.get(__name__)


class Fenced(Exception):
    """The attempt is not the current one any more."""


@dataclass(slots=True)
class Step:
    """The last transaction of a job: what it writes, returns, and says after the commit."""

    tx: Tx
    now: datetime
    result: Any = None
    asks: list[jobs.Ask] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class _Attempt:
    id: str
    name: str
    number: int
    failures: int
    waits: int
    finished: bool = False
    result: Any = None
    recorded: bool = False
    """Whether the row says what became of the attempt."""


_current: ContextVar[_Attempt] = ContextVar("attempt")


def current_job() -> str:
    """The id of the job that this task runs."""
    return _current.get().id


@contextmanager
def finishing() -> Iterator[Step]:
    """The transaction in which a durable task takes effect: its changes and the job's `done` commit together, or
    neither does. Then its jobs are sent and its events published. Used once in a task."""
    attempt = _current.get()
    parts = box()
    now = clock.now()
    with write_tx(parts.db) as tx:
        step = Step(tx, now)
        yield step
        if not job_rows.finish(tx, attempt.id, attempt.number, step.result, now):
            raise Fenced
    attempt.finished, attempt.recorded, attempt.result = True, True, step.result
    _log.info("job.done", job=attempt.id, task=attempt.name, attempt=attempt.number)
    parts.sender.send(step.asks)
    parts.publisher.publish(*step.events)


class Durable(BaseTask):
    """The base of durable tasks. `.delay()` writes the row, then sends its id; `.apply()` does all of it here."""

    abstract = True
    typing = False  # the message is empty; the arguments are checked against the signature before the row is written
    throws = (Permanent,)  # Celery logs no traceback: it stands in the row

    def apply_async(  # type: ignore[override]
        self, args: Sequence[Any] | None = None, kwargs: dict[str, Any] | None = None, task_id: str | None = None,
        countdown: float | None = None, eta: datetime | str | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        if self.app.conf.task_always_eager:
            return super().apply_async(tuple(args or ()), kwargs, task_id=task_id, **options)
        if unfit := options.keys() & {"link", "link_error", "chain", "chord"}:
            raise TypeError(f"a durable task takes no {', '.join(sorted(unfit))}: a later job is asked for inside it")
        now = clock.now()
        delay_s = countdown or (max(0.0, (moment(eta) - now).total_seconds()) if eta else 0.0)
        with write_tx(box().db) as tx:
            ask = jobs.enqueue_call(tx, self.name, self.by_name(args, kwargs), now=now, delay_s=delay_s, id=task_id)
        box().sender.send([ask])  # later, when it is due or Redis is back, the sweeper does
        return self.AsyncResult(ask.id)

    def AsyncResult(self, task_id: str, **options: Any) -> JobResult:  # noqa: N802  Celery's own name
        return JobResult(task_id, app=self.app, task_name=self.name, **options)

    def retry(self, *_args: Any, **_options: Any) -> Any:
        """Refused: what Celery would send is a message without a row."""
        hint = "raise appliance.errors.Transient to be tried until it works, or any other error for three tries"
        raise Permanent("a job is not retried by self.retry()", subject=self.name, hint=hint)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        parts = box()
        row = self._claim(parts, self.request.id or str(uuid.uuid4()), args, kwargs)
        attempt = _Attempt(row["id"], row["name"], row["attempts"], row["failures"], row["waits"])
        token = _current.set(attempt)
        try:
            result = self.run(**self._fitting(job_rows.arguments(row)))
            if not attempt.finished:
                with finishing() as step:
                    step.result = result
            return attempt.result
        except Fenced:
            attempt.recorded = True
            _log.warning("job.fenced", job=attempt.id, task=self.name, attempt=attempt.number)
            raise Ignore from None
        except Exception as error:
            if attempt.finished:
                raise  # it took effect; only what came after the commit failed
            self._not_done(parts, attempt, error)
            if self.request.is_eager or self.request.called_directly:
                raise
            # Celery puts what it is given into its log, its events and its results: no text of an error goes there.
            raise Permanent(type(error).__name__, subject=f"job {attempt.id}", hint="it is parked") from None
        finally:
            _current.reset(token)
            if not attempt.recorded:
                parts.lock.give_up()  # the disk or the lock did not let it be written: the sweeper frees the job

    def _claim(self, parts: Box, id: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Row:
        """The claimed row; made first where the task was called by its name from outside. Raises Ignore where
        another worker has it or it has ended."""
        now = clock.now()
        known = job_rows.get(parts.db, id) is not None
        # A claim that a power cut takes back is a job that was not begun; the effect's own commit is synced.
        with write_tx(parts.db, synced=not known) as tx:
            if not known:
                jobs.enqueue_call(tx, self.name, self.named(args, kwargs), now=now, id=id)
            row = job_rows.claim(tx, id, parts.lock.name, now)
        if row is None:
            raise Ignore
        return row

    def _not_done(self, parts: Box, attempt: _Attempt, error: Exception) -> None:
        """Records what the error means for the job. Raises Ignore where it will be tried again."""
        now = clock.now()
        text = f"{type(error).__name__}: {error}"
        failures = attempt.failures + (0 if isinstance(error, (Transient, Busy)) else 1)
        if isinstance(error, Permanent) or failures >= TRIES:
            trace = traceback.format_exc()
            with write_tx(parts.db) as tx:
                job_rows.fail(tx, attempt.id, attempt.number, text, trace, now, failures=failures)
            attempt.recorded = True
            _log.error("job.failed", job=attempt.id, task=self.name, error_type=type(error).__name__)
            return
        delay_s, waits = RETRY_S, 0
        if isinstance(error, Transient):
            delay_s, waits = min(RETRY_S * 2 ** min(attempt.waits, 10), LONGEST_RETRY_S), attempt.waits + 1
            if error.retry_s is not None:
                delay_s = error.retry_s
        elif isinstance(error, Busy):
            delay_s = 1.0
        with write_tx(parts.db) as tx:
            due_at = now + timedelta(seconds=delay_s)
            job_rows.wait(tx, attempt.id, attempt.number, due_at, text, failures=failures, waits=waits)
        attempt.recorded = True
        _log.warning("job.retrying", job=attempt.id, task=self.name, error_type=type(error).__name__, delay_s=delay_s)
        raise Ignore from error

    def by_name(self, args: Sequence[Any] | None, kwargs: dict[str, Any] | None) -> dict[str, Any]:
        """The arguments by name. Raises TypeError where they do not fit the task."""
        bound = inspect.signature(self.run).bind(*(args or ()), **(kwargs or {}))
        bound.apply_defaults()
        return dict(bound.arguments)

    def named(self, args: Sequence[Any] | None, kwargs: dict[str, Any] | None) -> dict[str, Any]:
        """The same for a row that must be written whatever was sent: what does not fit stands in it as it came, and
        the job is parked for it."""
        try:
            return self.by_name(args, kwargs)
        except TypeError:
            return as_sent(args, kwargs)

    def _fitting(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a row. Raises Permanent where they do not fit the task: trying again does not help."""
        try:
            inspect.signature(self.run).bind(**arguments)
        except TypeError as error:
            raise Permanent(f"the arguments do not fit: {error}", subject=self.name) from error
        return arguments


def as_sent(args: Sequence[Any] | None, kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Arguments of no known signature, as a row keeps them: those without a name by their number."""
    return {f"argument {number}": value for number, value in enumerate(args or (), 1)} | (kwargs or {})


def moment(eta: datetime | str) -> datetime:
    """An ETA, which is in UTC where it does not say otherwise, as Celery has it. Raises InputError."""
    try:
        found = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, AttributeError) as error:
        raise InputError(
            "expected a date and time", subject=f"eta {eta!r}", hint="like 2026-01-26T18:00+00:00"
        ) from error
