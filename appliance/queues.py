"""How many messages wait in each queue, as Redis has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance.jobs import QUEUES

BROKER_DB = 0
_PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""kombu keeps a list for each step of priority; without priorities only the first is used."""


class Queues:
    """Reads the lengths. One a process; nothing here waits for longer than a second."""

    def __init__(self, redis_socket: Path | None = None, *, url: str = "") -> None:
        """Of the box's own Redis, or of the one at a URL."""
        options: dict[str, Any] = {"socket_timeout": 1.0, "retry": Retry(NoBackoff(), 1)}
        if redis_socket is None:
            self._redis = redis.Redis.from_url(url, **options)
        else:
            self._redis = redis.Redis(unix_socket_path=str(redis_socket), db=BROKER_DB, **options)

    def lengths(self) -> dict[str, int] | None:
        """The length of each queue, 0 for an empty one; None while Redis is away."""
        pipe = self._redis.pipeline(transaction=False)
        for queue in QUEUES:
            for priority in _PRIORITIES:
                pipe.llen(queue + priority)
        try:
            found = pipe.execute()
        except redis.RedisError:
            return None
        steps = len(_PRIORITIES)
        return {queue: sum(found[at * steps : (at + 1) * steps]) for at, queue in enumerate(QUEUES)}
