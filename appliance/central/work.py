"""The work on batches, handed to workers over a Redis that they share with the web replicas.

The table `batches` is the outbox: a message that is lost is asked for again by `sweep`, and one that comes twice finds
nothing to do. What shows money goes before trips, and both before trails.
"""

from __future__ import annotations

from typing import Any

import kombu.exceptions
import redis
from celery import Celery

from appliance import log
from appliance.central.config import Settings
from appliance.wire import Stream

APPLY = "central.tasks.apply_batch"
SWEEP = "central.tasks.sweep"
QUEUE_OF: dict[Stream, str] = {
    "invoices": "high_priority",
    "trips": "normal",
    "reference": "normal",
    "trails": "low_priority",
}

_log = log.get(__name__)


def basics(settings: Settings) -> dict[str, Any]:
    """The settings that a producer and the workers must share: those of a box, over TCP."""
    return {
        "broker_url": settings.central.redis,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_compression": "gzip",
        "timezone": "UTC",
        "enable_utc": True,
        "task_default_queue": "normal",
        "task_ignore_result": True,
        "task_routes": {SWEEP: {"queue": "high_priority"}},
        "broker_transport_options": {"socket_timeout": 5.0, "socket_connect_timeout": 2.0},
    }


class Sender:
    """Asks for batches to be applied. One a process."""

    def __init__(self, settings: Settings) -> None:
        self._app = Celery("central-sender", set_as_current=False)
        self._app.conf.update(basics(settings))
        # Without Redis the depot is answered all the same, and at once: the batch is on the disk.
        self._app.conf.broker_transport_options |= {
            "max_retries": 1,
            "interval_start": 0.0,
            "interval_step": 0.0,
            "interval_max": 0.0,
        }
        self._down = False

    def received(self, batch_id: int, stream: Stream) -> None:
        """Asks for that batch to be applied; without Redis it is left to the sweep."""
        try:
            self._app.send_task(APPLY, args=[batch_id], queue=QUEUE_OF[stream], retry=False, ignore_result=True)
            self._down = False
        except (kombu.exceptions.OperationalError, redis.RedisError, OSError) as error:
            if not self._down:
                _log.warning("centre.redis_away", error=type(error).__name__)
            self._down = True
