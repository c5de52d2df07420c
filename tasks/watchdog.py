"""Finds a worker that is stuck: by a canary task that has to come back, not by a flag that says "connected".

A thread in the worker's main process sends a canary to the worker's own queue, where no backlog delays it, every
quarter of the watchdog's time. Each that comes back is a `WATCHDOG=1` to whoever started the role; so is a task that
legitimately runs, and Redis being away, which no restart of a worker mends. After a whole watchdog's time of silence
the supervisor (or systemd) kills the role and starts it again.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import kombu.exceptions
import redis
from celery.utils.nodenames import worker_direct
from celery.worker import state

from appliance import config, log
from appliance.notify import notify
from appliance.queues import Queues
from tasks import counting

WATCHDOG_S = 60.0
"""Where nobody says how long (`WATCHDOG_USEC`), only the metrics need the canary."""
STEPS = 60
"""Looks at the canary in one watchdog's time; every 15th sends one."""

_CLOCK = struct.Struct("d")
_shared = mmap.mmap(-1, _CLOCK.size)  # of this process and every pool process that it forks
_log = log.get(__name__)


def came_back() -> None:
    """Called where the canary runs."""
    _CLOCK.pack_into(_shared, 0, time.monotonic())


def last_seen() -> float:
    """When a canary came back last, on the monotonic clock."""
    found: float = _CLOCK.unpack_from(_shared)[0]
    return found


class Watchdog:
    """Judges one worker. `send` sends a canary and raises what Celery raises without Redis; `running` names the tasks
    that run now; `seen` says when a canary came back last; `alive` is told that the worker is well."""

    def __init__(
        self,
        *,
        time_limit_s: float,
        send: Callable[[], None],
        running: Callable[[], Iterable[str]],
        seen: Callable[[], float],
        alive: Callable[[bool], None],
    ) -> None:
        self._time_limit_s = time_limit_s
        self._send = send
        self._running = running
        self._seen = seen
        self._alive = alive
        self._steps = 0
        self._last = 0.0
        self._since: dict[str, float] = {}

    def step(self, now: float) -> None:
        """One look; `now` is monotonic."""
        self._since = {id: self._since.get(id, now) for id in self._running()}
        busy = any(now - since <= self._time_limit_s for since in self._since.values())
        seen = self._seen()
        if seen > self._last:
            self._last = seen
            self._alive(True)
        elif busy:
            self._alive(False)
        if self._steps % (STEPS // 4) == 0 and not busy:
            try:
                self._send()
            except (kombu.exceptions.OperationalError, redis.RedisError, OSError):
                self._alive(False)
        self._steps += 1


def start(worker: str, time_limit_s: float) -> None:
    """Starts the thread of this worker."""
    from tasks.upkeep import CANARY, canary  # here: it imports this module

    watchdog_s = float(os.environ.get("WATCHDOG_USEC", WATCHDOG_S * 1e6)) / 1e6
    queue = worker_direct(worker)
    lengths = Queues(config.load().paths.redis_socket)

    def send() -> None:
        if lengths.lengths() is None:  # asked first: Celery takes seconds to find out
            raise redis.ConnectionError
        canary.apply_async(queue=queue, retry=False, expires=watchdog_s / 4)

    def alive(by_canary: bool) -> None:
        notify("WATCHDOG=1")
        if by_canary:
            counting.counters().canary(worker)

    found = Watchdog(
        time_limit_s=time_limit_s,
        send=send,
        running=lambda: [request.id for request in _active() if request.name != CANARY],
        seen=last_seen,
        alive=alive,
    )

    def run() -> None:
        try:
            while True:
                found.step(time.monotonic())
                time.sleep(watchdog_s / STEPS)
        except Exception:
            _log.exception("worker.watchdog_failed")  # without it, the worker is restarted

    threading.Thread(target=run, name="watchdog", daemon=True).start()


def _active() -> list[Any]:
    """The requests that a pool process has begun. The main thread may change the set meanwhile."""
    while True:
        try:
            return list(state.active_requests)
        except RuntimeError:
            continue
