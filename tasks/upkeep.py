"""The worker's own small task."""

from __future__ import annotations

from tasks import watchdog
from tasks.celery import app

CANARY = "upkeep.canary"


@app.task(name=CANARY, time_limit=10, soft_time_limit=5)
def canary() -> None:
    """Shows that this worker's pool still runs what it is given."""
    watchdog.came_back()
