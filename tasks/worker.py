"""The roles `worker-high`, `worker-normal`, `worker-low`: one Celery worker a queue."""

from __future__ import annotations

import os
import warnings
from typing import Any

from celery import signals
from celery.exceptions import SecurityWarning
from celery.utils.nodenames import host_format

from appliance import log
from appliance.config import Settings
from appliance.jobs import Queue
from appliance.notify import notify
from tasks import watchdog
from tasks.celery import TIME_LIMIT_S, app

CONCURRENCY = 1
NICE: dict[Queue, int] = {"high_priority": 0, "normal": 5, "low_priority": 10}
"""Bulk work yields the processor: a flood of it leaves a broadcast as quick as before (nice(2))."""


def main(settings: Settings, queue: Queue) -> int:
    """Runs until SIGTERM; a job that runs then is finished first, as far as the stop's time allows."""
    os.nice(NICE[queue])
    short = queue.removesuffix("_priority")

    @signals.setup_logging.connect(weak=False)
    def _logging(**_: Any) -> None:
        log.configure(f"worker-{short}", settings.log.level, kept=settings.paths.log_dir)

    @signals.worker_ready.connect(weak=False)
    def _ready(sender: Any, **_: Any) -> None:
        notify("READY=1")
        watchdog.start(sender.hostname, TIME_LIMIT_S)

    app.conf.worker_direct = True  # a queue of its own, for the canary

    # An installed box has a user for each role; a laptop or a container may well be root's.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # Not by Celery's command line: that loads its plugins, Flower with 5 MiB among them.
    worker = app.Worker(
        queues=[queue],
        hostname=host_format(f"worker-{short}@%h"),
        concurrency=CONCURRENCY,
        loglevel=settings.log.level,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
