"""Waiting for room on a full disk: nothing is acknowledged meanwhile, and nothing that was received is dropped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from appliance import log
from appliance.errors import DiskFull

RETRY_S = 1.0

T = TypeVar("T")
_log = log.get(__name__)


@dataclass(slots=True)
class Patience:
    """Does a piece of work again and again while there is no room for it. The inbox fills meanwhile, and then the
    broker's queue; a process that ended instead would be started again and again."""

    stopping: Callable[[], bool]

    def until_there_is_room(self, work: Callable[[], T]) -> T:
        """What `work` returns. Raises DiskFull where the process is to stop while it waits."""
        began: float | None = None
        while True:
            try:
                done = work()
            except DiskFull as error:
                if self.stopping():
                    raise
                if began is None:
                    began = time.monotonic()
                    _log.error("bridge.disk_full", error=str(error))
                time.sleep(RETRY_S)
                continue
            if began is not None:
                _log.info("bridge.disk_has_room", waited_s=round(time.monotonic() - began, 1))
            return done
