"""Giving jobs up from Celery's own commands: revoke and purge on the rows, with a line in the audit log each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlite_utils import Database

from appliance import clock, config
from appliance.storage import audit, queues
from appliance.storage.db import open_depot, write_tx

WHO = "celery"


@contextmanager
def depot() -> Iterator[Database]:
    """The depot's database for one command, closed at its end: the process may fork later. Raises ConfigError."""
    db = open_depot(config.load().paths.depot_db)
    try:
        yield db
    finally:
        db.conn.close()


def discard_jobs(ids: Collection[str], *, running: bool) -> dict[str, str]:
    """Discards those of the jobs that have not begun, and with `running` those that run. Returns the state after that
    of each that has a row."""
    now = clock.now()
    with depot() as db:
        if set(queues.states(db, ids).values()) & {"pending", "waiting", "running"}:
            with write_tx(db) as tx:
                for id in ids:
                    if found := queues.revoke(tx, id, WHO, now, running=running):
                        audit.record(tx, WHO, "job.discarded", "job", id, now, found["name"])
        return queues.states(db, ids)


def discard_queue(queue: str) -> int:
    """Discards all jobs of the queue that have not begun. Returns how many."""
    now = clock.now()
    with depot() as db, write_tx(db) as tx:
        count = queues.purge(tx, queue, WHO, now)
        audit.record(tx, WHO, "queue.purged", "queue", queue, now, f"{count} jobs")
    return count
