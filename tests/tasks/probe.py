"""A durable task whose work is whatever a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlite_utils import Database

from appliance.storage import jobs as job_rows
from appliance.storage.db import Row
from tasks.celery import app
from tasks.durable import Durable

PROBE = "tests.probe"


class Probe:
    """`work` is what it does; `calls` are the arguments with which it ran."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.work: Callable[[int], Any] = lambda n: n

    def __call__(self, n: int) -> Any:
        self.calls.append(n)
        return self.work(n)


current = Probe()


@app.task(base=Durable, name=PROBE)
def probe_task(n: int) -> Any:
    return current(n)


AWKWARD = "tests.awkward"


@app.task(base=Durable, name=AWKWARD)
def awkward(tx: int, name: str, now: str, key: str, id: int, delay_s: float = 1.5) -> list[Any]:
    """Its arguments have the names that a job's own columns have."""
    return [tx, name, now, key, id, delay_s]


def only_job(db: Database) -> Row:
    """The one job there is."""
    (found,) = job_rows.listed(db, None, 10)
    row = job_rows.get(db, found["id"])
    assert row is not None
    return row
