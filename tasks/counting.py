"""Counts what the workers run, whoever started them: each task's outcomes and how long it took.

Outcomes: `succeeded`, `failed` (it raised, and the job is parked), `retried` (it waits and is tried again), `ignored`
(a second delivery, a paused queue), `revoked`, and `lost` (its process died or was out of time).
"""

from __future__ import annotations

import os
import time
from typing import Any

from celery import signals, states
from celery.exceptions import Ignore

from appliance import config
from appliance.counters import Counters

_OUTCOMES = {states.SUCCESS: "succeeded", states.FAILURE: "failed", states.RETRY: "retried"}

_counters: dict[int, Counters] = {}
_began: dict[str, float] = {}


@signals.worker_init.connect(weak=False)
def begin(**_: Any) -> None:
    """Connects the signals in the worker; its pool processes inherit them."""
    worker_pid = os.getpid()

    def lost(sender: Any, **_: Any) -> None:
        # Where the task itself runs (a pool process, or here in a solo pool), this is a failure that `_ended` counts.
        if os.getpid() == worker_pid and not _began:
            counters().ran(sender.name, "lost", None)

    signals.task_prerun.connect(_begun, weak=False)
    signals.task_postrun.connect(_ended, weak=False)
    signals.task_revoked.connect(_revoked, weak=False)
    signals.task_failure.connect(lost, weak=False)


def counters() -> Counters:
    """This process' own: a connection is not carried over a fork."""
    pid = os.getpid()
    if pid not in _counters:
        _counters[pid] = Counters(config.load().paths.redis_socket)
    return _counters[pid]


def _begun(task_id: str, **_: Any) -> None:
    _began[task_id] = time.monotonic()


def _ended(task_id: str, task: Any, state: str | None, retval: Any, **_: Any) -> None:
    runtime_s = time.monotonic() - _began.pop(task_id, time.monotonic())
    if isinstance(retval, Ignore):
        outcome = "retried" if retval.__cause__ else "ignored"
    else:
        outcome = _OUTCOMES.get(state or "", "ignored")
    counters().ran(task.name, outcome, None if outcome == "ignored" else runtime_s)


def _revoked(sender: Any, **_: Any) -> None:
    counters().ran(sender.name, "revoked", None)
