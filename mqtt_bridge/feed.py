"""Listening to the live feed, to measure how soon a position is shown."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import redis

from appliance import events

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Seen:
    """A position as it came out of the live feed: fix time in epoch milliseconds, and the monotonic time of now."""

    code: str
    at_ms: float
    seen_at: float


class Feed:
    """Keeps the positions of vehicles whose code begins with `prefix`, from `start` to `stop`."""

    def __init__(self, redis_socket: Path, prefix: str) -> None:
        self.seen: list[Seen] = []
        self._prefix = prefix
        self._redis = redis.Redis(unix_socket_path=str(redis_socket), db=events.LIVE_DB)
        self._subscription = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Raises redis.RedisError when there is no Redis."""
        self._subscription.subscribe(events.CHANNEL)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.ident:
            self._thread.join(2.0)
        self._redis.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                message = self._subscription.get_message(timeout=_POLL_S)
                if message is not None:
                    self._take(events.decode(message["data"]), time.monotonic())
            except (redis.RedisError, msgspec.DecodeError):
                self._stopped.wait(_POLL_S)  # what is shown meanwhile is not measured

    def _take(self, event: events.Event, now: float) -> None:
        if event.kind == "vehicle" and event.key.startswith(self._prefix):
            at = datetime.fromisoformat(event.data["at"])
            self.seen.append(Seen(event.key, at.timestamp() * 1000, now))
