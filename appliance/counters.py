"""What workers count, kept in Redis: a web role reads there what many processes did.

Redis is disposable: a wiped one is an ordinary counter reset. Nothing here waits for longer than a second or raises,
and nothing but names of tasks and workers is kept.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance.events import LIVE_DB

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

_TASKS_KEY = "depot.counters.tasks"  # hash: task|outcome -> count
_RUNTIMES_KEY = "depot.counters.runtimes"  # hash: task|bucket -> count, task|sum -> seconds
_CANARIES_KEY = (
    "depot.counters.canaries"  # hash: worker -> when its canary came back, on this machine's monotonic clock
)
_BEYOND = "inf"


@dataclass(slots=True)
class Runtimes:
    """How long the runs of one task took: counts by bucket (not cumulative; the last one is beyond all) and the sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    sum_s: float = 0.0


@dataclass(slots=True)
class Counted:
    """All that was counted since Redis was wiped."""

    tasks: dict[tuple[str, str], int] = field(default_factory=dict)
    """(task, outcome) -> count."""
    runtimes: dict[str, Runtimes] = field(default_factory=dict)
    canary_ages_s: dict[str, float] = field(default_factory=dict)


class Counters:
    """One a process."""

    def __init__(self, redis_socket: Path) -> None:
        self._redis = redis.Redis(
            unix_socket_path=str(redis_socket),
            db=LIVE_DB,
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 1),
            decode_responses=True,
        )

    def ran(self, task: str, outcome: str, runtime_s: float | None) -> None:
        """Counts a run of a task; `runtime_s` is None where the run never came to an end of its own."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hincrby(_TASKS_KEY, f"{task}|{outcome}", 1)
        if runtime_s is not None:
            bucket = next((str(bound) for bound in BUCKETS_S if runtime_s <= bound), _BEYOND)
            pipe.hincrby(_RUNTIMES_KEY, f"{task}|{bucket}", 1)
            pipe.hincrbyfloat(_RUNTIMES_KEY, f"{task}|sum", round(runtime_s, 6))
        try:
            pipe.execute()
        except redis.RedisError:
            return  # what is lost is a count

    def canary(self, worker: str) -> None:
        """The worker's canary has come back."""
        try:
            self._redis.hset(_CANARIES_KEY, worker, str(round(time.monotonic(), 3)))
        except redis.RedisError:
            return

    def read(self) -> Counted | None:
        """All counts; None while Redis is away."""
        pipe = self._redis.pipeline(transaction=False)
        for key in (_TASKS_KEY, _RUNTIMES_KEY, _CANARIES_KEY):
            pipe.hgetall(key)
        try:
            tasks, runtimes, canaries = pipe.execute()
        except redis.RedisError:
            return None
        found = Counted()
        for name, count in tasks.items():
            task, _, outcome = name.rpartition("|")
            found.tasks[task, outcome] = int(count)
        places = {str(bound): place for place, bound in enumerate(BUCKETS_S)} | {_BEYOND: len(BUCKETS_S)}
        for name, number in runtimes.items():
            task, _, bucket = name.rpartition("|")
            of_task = found.runtimes.setdefault(task, Runtimes())
            if bucket == "sum":
                of_task.sum_s = float(number)
            elif bucket in places:
                of_task.counts[places[bucket]] = int(number)
        now = time.monotonic()
        found.canary_ages_s = {worker: max(0.0, now - float(at)) for worker, at in canaries.items()}
        return found
