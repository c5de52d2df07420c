"""The centre's Celery app, where many machines share the work: `depotbox central worker QUEUE` and `central beat`.

Every task may run twice or be lost: the rows say what is left to do.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from typing import Any

from celery import Celery, signals
from celery.utils.nodenames import host_format
from kombu import Exchange, Queue

from appliance import clock, log
from appliance.central import apply, config, db, overview, work
from appliance.central.config import Settings
from appliance.jobs import QUEUES
from appliance.notify import notify

SWEPT_EVERY_S = 15.0
FORGOTTEN = timedelta(seconds=60)
"""A batch that waits for so long has lost its message, or its worker."""
SWEPT_AT_MOST = 1000

app = Celery("central")


def _configuration() -> dict[str, Any]:
    settings = config.load()
    basics = work.basics(settings)
    return basics | {
        "task_queues": [Queue(name, Exchange(name), name) for name in QUEUES],
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_time_limit": 30 * 60,
        "task_soft_time_limit": 28 * 60,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {**basics["broker_transport_options"], "visibility_timeout": 2400},
        "beat_scheduler": "celery.beat:Scheduler",  # keeps nothing: what it asks for may come once too often
        "beat_schedule": {"sweep": {"task": work.SWEEP, "schedule": SWEPT_EVERY_S}},
    }


app.add_defaults(_configuration)


@cache
def _engine(_pid: int) -> db.Engine:
    return db.connect(config.load().database, pool=1)


def engine() -> db.Engine:
    """This process' connections, which are never carried over a fork."""
    return _engine(os.getpid())


@app.task(name=work.APPLY)
def apply_batch(batch_id: int) -> None:
    """Turns a batch's rows into what people see; nothing where that is done, or somebody else is at it."""
    apply.apply_one(engine(), batch_id, clock.now())


@app.task(name=work.SWEEP)
def sweep() -> int:
    """Asks again for the batches that nobody has applied; returns for how many."""
    sender = work.Sender(config.load())
    with db.read(engine()) as connection:
        found = overview.forgotten(connection, clock.now() - FORGOTTEN, SWEPT_AT_MOST)
    for one in found:
        sender.received(one["id"], one["stream"])
    return len(found)


def worker(settings: Settings, queue: str, concurrency: int) -> int:
    """Works on one queue until SIGTERM; what runs then is finished first."""

    @signals.setup_logging.connect(weak=False)
    def _logging(**_: Any) -> None:
        log.configure(f"central-{queue}", settings.log.level)

    @signals.worker_ready.connect(weak=False)
    def _ready(**_: Any) -> None:
        notify("READY=1")

    made = app.Worker(
        queues=[queue],
        hostname=node(queue),
        concurrency=concurrency,
        loglevel=settings.log.level,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    made.start()
    return int(made.exitcode or 0)


def beat(settings: Settings) -> int:
    """Asks for what is due until SIGTERM."""

    @signals.beat_init.connect(weak=False)
    def _ready(**_: Any) -> None:
        log.configure("central-beat", settings.log.level)
        notify("READY=1")

    app.Beat(loglevel=settings.log.level, quiet=True, redirect_stdouts=False).run()
    return 0


def answers(queue: str, within_s: float) -> bool:
    """Whether this machine's worker of that queue answers."""
    return bool(app.control.ping(destination=[node(queue)], timeout=within_s))


def node(queue: str) -> str:
    """The name of this machine's worker of a queue."""
    return str(host_format(f"central-{queue}@%h"))
