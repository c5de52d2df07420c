"""A thin Celery producer: hands job ids to the queues. One a process, made by its `main()`.

A send that finds no Redis is not an error: the row stands, and the sweeper sends it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kombu.exceptions
import redis
from celery import Celery

from appliance import log
from appliance.config import Settings
from appliance.jobs import TASKS, Ask
from appliance.paths import Paths

HAS_ROW = "depot_has_row"
"""A header of messages whose job stands in the table: a worker need not look."""

_log = log.get(__name__)


def redis_url(paths: Paths, db: int) -> str:
    """Celery's address of one database of the box's Redis. `virtual_host` is kombu's word for it."""
    return f"redis+socket://{paths.redis_socket}?virtual_host={db}"


def celery_basics(paths: Paths) -> dict[str, Any]:
    """The settings that a producer and the workers must share."""
    return {
        "broker_url": redis_url(paths, 0),
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_compression": "gzip",
        "timezone": "UTC",
        "enable_utc": True,
        "task_default_queue": "normal",
        "task_routes": {name: {"queue": queue} for name, queue in TASKS.items()},
        "broker_transport_options": {"socket_timeout": 5.0, "socket_connect_timeout": 2.0},
    }


class Sender:
    """Sends jobs that stand in the table, and ephemeral tasks that never do."""

    def __init__(self, settings: Settings) -> None:
        self._app = Celery("sender", set_as_current=False)
        self._app.conf.update(celery_basics(settings.paths))
        # Without Redis a send must give up at once (measured: 6 s with the defaults): the sweeper sends again.
        self._app.conf.broker_transport_options |= {
            "max_retries": 1,
            "interval_start": 0.0,
            "interval_step": 0.0,
            "interval_max": 0.0,
        }
        self._down = False

    def send(self, asks: Iterable[Ask]) -> None:
        """Sends the ids of the asks that are due; what they ask for stays in the table."""
        for ask in asks:
            if ask.due:
                self._send(ask.name, task_id=ask.id, headers={HAS_ROW: True})

    def send_ephemeral(self, name: str, expires_s: float, **kwargs: Any) -> None:
        """Sends a task that may be lost: the next one says more."""
        self._send(name, kwargs=kwargs, expires=expires_s)

    def broadcast_status(self, trip_id: int, status: str) -> None:
        """Tells everybody who tracks the trip that its state is another."""
        self.send_ephemeral("trips.tasks.broadcast_trip_status", 60.0, trip_id=trip_id, status=status)

    def _send(self, name: str, **options: Any) -> None:
        try:
            self._app.send_task(name, retry=False, ignore_result=True, **options)
            self._down = False
        except (kombu.exceptions.OperationalError, redis.RedisError, OSError) as error:
            if not self._down:
                _log.warning("sender.redis_away", error=type(error).__name__)
            self._down = True
