"""The box's Celery app with two tasks more that do nothing: one durable, one plain."""

from __future__ import annotations

from celery import Task

from appliance import jobs
from tasks.celery import app
from tasks.durable import Durable

DURABLE, PLAIN = "bench.durable", "bench.plain"
jobs.TASKS[DURABLE] = jobs.TASKS[PLAIN] = "low_priority"


@app.task(base=Durable, name=DURABLE)
def durable() -> None:
    """Nothing, durably."""


@app.task(base=Task, name=PLAIN)
def plain() -> None:
    """Nothing."""


__all__ = ["app"]
