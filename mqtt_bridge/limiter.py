"""How much one sender may send: a token bucket for each, so that a broken tracker does not cost the others anything."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

REPORT_S = 60.0

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    dropped: int = 0
    dropped_from: float = 0.0


@dataclass(frozen=True, slots=True)
class Overrun(Generic[Key]):
    """So many messages of a sender were dropped within so many seconds."""

    key: Key
    dropped: int
    seconds: float


class Limiter(Generic[Key]):
    """Lets `per_s` through for as long as one likes, and `burst` at once. Times are monotonic seconds.

    A message is allowed while anything is left, and what it held is charged afterwards: it may be an array, which is
    not read for nothing. Only senders that are not at rest take memory.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: dict[Key, _Bucket] = {}
        self._report_at = float("-inf")

    def allows(self, key: Key, now: float) -> bool:
        """Whether a message may be taken; one that may not is counted as dropped."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self._burst, now)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_s)
        bucket.at = now
        if bucket.left > 0:
            return True
        if not bucket.dropped:
            bucket.dropped_from = now
        bucket.dropped += 1
        return False

    def charge(self, key: Key, count: int) -> None:
        """So many came in the message that was allowed."""
        self._buckets[key].left -= count

    def overruns(self, now: float) -> list[Overrun[Key]]:
        """What was dropped, once every REPORT_S for each sender; forgets those that are at rest."""
        if now < self._report_at:
            return []
        self._report_at = now + 1.0
        found = []
        for key, bucket in list(self._buckets.items()):
            if bucket.dropped and now - bucket.dropped_from >= REPORT_S:
                found.append(Overrun(key, bucket.dropped, now - bucket.dropped_from))
                bucket.dropped = 0
            if not bucket.dropped and bucket.left + (now - bucket.at) * self._per_s >= self._burst:
                del self._buckets[key]
        return found
