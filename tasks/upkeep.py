"""The box's own upkeep: a worker's canary, and what the broker is told each night."""

from __future__ import annotations

from appliance.servers import access
from tasks import watchdog
from tasks.box import box
from tasks.celery import app
from tasks.durable import Durable

CANARY = "upkeep.canary"


@app.task(name=CANARY, time_limit=10, soft_time_limit=5)
def canary() -> None:
    """Shows that this worker's pool still runs what it is given."""
    watchdog.came_back()


@app.task(base=Durable, name="upkeep.refresh_broker")
def refresh_broker() -> None:
    """The broker's certificate is renewed long before its end, and the running broker takes it. Each night, whether it
    is due or not: a broker that was not told of a change of the devices, or of the certificate, learns it then."""
    access.refresh(box().settings)
