"""Giving jobs up from Celery's own commands: revoke and purge on the rows, with a line in the audit log each."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from celery.platforms import signals
from sqlite_utils import Database

from appliance import clock, config, queue_desk
from appliance.cli.depot import operator
from appliance.errors import InputError
from appliance.storage import audit, queues
from appliance.storage.db import Row, Tx, open_depot, write_tx

__all__ = ["check_signal", "depot", "discard_jobs", "discard_queue", "operator"]


@contextmanager
def depot() -> Iterator[Database]:
    """The depot's database for one command, closed at its end: the process may fork later. Raises ConfigError."""
    db = open_depot(config.load().paths.depot_db)
    try:
        yield db
    finally:
        db.conn.close()


def check_signal(name: str | int | None) -> None:
    """Raises InputError for what no signal is called; asked before a row is touched."""
    try:
        known = signals.signum(name or "SIGTERM") in signal.valid_signals()
    except (TypeError, AttributeError):
        known = False
    if not known:
        raise InputError("there is no such signal", subject=f"signal {name}", hint="like SIGTERM or SIGKILL")


def discard_jobs(ids: Collection[str], who: str, *, running: bool) -> dict[str, str]:
    """Discards those of the jobs that have not begun, and with `running` those that run. Returns the state after that
    of each that has a row."""
    with depot() as db:
        if set(queues.states(db, ids).values()) & {"pending", "waiting", "running"}:
            with write_tx(db) as tx:
                now = clock.now()
                _record(tx, (found for id in ids if (found := queues.revoke(tx, id, who, now, running=running))), who)
        return queues.states(db, ids)


def discard_queue(queue: str, who: str) -> int:
    """Discards all jobs of the queue that have not begun. Returns how many. Raises NotFound."""
    with depot() as db, write_tx(db) as tx:
        return queue_desk.purge(tx, queue, who, clock.now())


def _record(tx: Tx, discarded: Iterable[Row], who: str) -> None:
    now = clock.now()
    for job in discarded:
        audit.record(tx, who, "job.discarded", "job", job["id"], now, job["name"])
