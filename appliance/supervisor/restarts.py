"""When a role that ended is started again."""

from __future__ import annotations

from collections import deque

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
HEALTHY_S = 60.0
LOOP_ENDS = 8
LOOP_WINDOW_S = 600.0
LOOP_DELAY_S = 60.0


class Restarts:
    """The waits of one role: 0.5 s, doubling to 30 s, from the beginning again after 60 s of health.

    Eight ends within ten minutes are a crash loop. A role in one is tried every 60 s and never given up: nobody is
    near an appliance who could start it by hand, and what it lacks (a disk, a server, a configuration) may come back.
    """

    def __init__(self) -> None:
        self.looping = False
        self._delay_s = FIRST_DELAY_S
        self._ends: deque[float] = deque(maxlen=LOOP_ENDS)

    def after_end(self, now: float, ready_since: float | None) -> float:
        """How long to wait from `now`, the end of a run that was ready since `ready_since` (None: never was)."""
        if ready_since is not None and now - ready_since >= HEALTHY_S:
            self._delay_s = FIRST_DELAY_S
            self.looping = False
        self._ends.append(now)
        if len(self._ends) == LOOP_ENDS and now - self._ends[0] <= LOOP_WINDOW_S:
            self.looping = True
        if self.looping:
            return LOOP_DELAY_S
        delay_s = self._delay_s
        self._delay_s = min(2 * delay_s, LONGEST_DELAY_S)
        return delay_s
