"""The role `beat`: Celery's beat with the box's own scheduler."""

from __future__ import annotations

from typing import Any

from celery import signals

from appliance import log
from appliance.config import Settings
from appliance.notify import notify
from tasks.celery import app


def main(settings: Settings) -> int:
    """Runs until SIGTERM."""

    @signals.beat_init.connect(weak=False)
    def _ready(**_: Any) -> None:
        log.configure("beat", settings.log.level, kept=settings.paths.log_dir)
        notify("READY=1")

    app.Beat(loglevel=settings.log.level, quiet=True, redirect_stdouts=False).run()
    return 0
