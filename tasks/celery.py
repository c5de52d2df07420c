"""The one Celery app: `celery -A tasks ...` finds it here.

Importing this module reads nothing: the settings are loaded when Celery first asks for its configuration.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from appliance import config
from appliance.jobs import QUEUES
from appliance.sender import celery_basics, redis_url
from tasks import arrival, counting, log_lines, own  # noqa: F401  they connect themselves to Celery's signals
from tasks.control import BoxControl  # registers the box's remote control commands, too
from tasks.job_result import AnyResult

app = Celery(
    "tasks",
    include=["tasks.pool", "tasks.trips", "tasks.billing", "tasks.users", "tasks.sync", "tasks.upkeep"],
    amqp="tasks.broker:BoxAmqp",
    control=BoxControl,
)

app.AsyncResult = app.subclass_with_self(AnyResult)  # type: ignore[misc]  # `celery result` asks it, too

TIME_LIMIT_S = 30 * 60
SOFT_TIME_LIMIT_S = 28 * 60


def _configuration() -> dict[str, Any]:
    paths = config.load().paths
    basics = celery_basics(paths)
    return basics | {
        # Named, so that a worker without --queues takes all of them, and a purge knows them.
        "task_queues": [Queue(name, Exchange(name), name) for name in QUEUES],
        "result_backend": redis_url(paths, 1),
        "result_serializer": "json",
        "result_compression": "gzip",
        "result_expires": 3600,
        "task_ignore_result": True,
        "task_time_limit": TIME_LIMIT_S,
        "task_soft_time_limit": SOFT_TIME_LIMIT_S,
        "task_annotations": {"*": {"max_retries": 3, "default_retry_delay": 60}},
        # A durable job is safe in its row, so its message may be lost (traps.md): acknowledged early, taken singly.
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 5.0,
        "broker_transport_options": {
            **basics["broker_transport_options"],
            # One value, longer than the longest time limit; what it would restore is in the jobs table anyway.
            "visibility_timeout": TIME_LIMIT_S + 600,
        },
        "beat_scheduler": "tasks.scheduler:DepotScheduler",
        "beat_max_loop_interval": 1,
    }


app.add_defaults(_configuration)
