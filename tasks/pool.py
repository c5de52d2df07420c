"""The processes of a worker's pool, of the box's own workers and of those that an operator starts."""

from __future__ import annotations

import os
import signal
from typing import Any

from celery import signals

from appliance import lifeline


@signals.worker_process_init.connect
def end_with_the_worker(**_: Any) -> None:
    """A pool process must not outlive its worker: its lock, and with it its job, is free only once it has gone."""
    lifeline.die_with_parent(os.getppid(), signal.SIGKILL)
