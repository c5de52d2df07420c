"""The roles `worker-high`, `worker-normal`, `worker-low`: one Celery worker a queue."""

from __future__ import annotations

import os
import warnings
from typing import Any

from celery import signals
from celery.exceptions import SecurityWarning

from appliance import log
from appliance.config import Settings
from appliance.jobs import Queue
from appliance.notify import notify
from tasks import watchdog
from tasks.celery import TIME_LIMIT_S, app

CONCURRENCY = 1
NICE: dict[Queue, int] = {"high_priority": 0, "normal": 5, "low_priority": 10}
"""Bulk work yields the processor: a flood of it leaves a broadcast as quick as before (nice(2))."""


def main(settings: Settings, queue: Queue) -> None:
    """Runs until SIGTERM; a job that runs then is finished first, as far as the stop's time allows."""
    os.nice(NICE[queue])
    short = queue.removesuffix("_priority")

    @signals.setup_logging.connect(weak=False)
    def _logging(**_: Any) -> None:
        log.configure(f"worker-{short}", settings.log.level)

    @signals.worker_ready.connect(weak=False)
    def _ready(sender: Any, **_: Any) -> None:
        notify("READY=1")
        watchdog.start(sender.hostname, TIME_LIMIT_S)

    app.conf.worker_direct = True  # a queue of its own, for the canary

    # An installed box has a user for each role; a laptop or a container may well be root's.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    options = {
        "queues": queue,
        "hostname": f"worker-{short}@%h",
        "concurrency": str(CONCURRENCY),
        "loglevel": settings.log.level,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    app.worker_main(["--quiet", "worker", *flags, "--without-gossip", "--without-mingle"])
