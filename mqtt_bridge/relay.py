"""From the box's events (Redis) to MQTT: the broadcasts to the trackers of a trip, and hints about assignments."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance import events, log
from mqtt_bridge import topics

RETRY_S = 0.5

_log = log.get(__name__)


class Relay:
    """A thread that listens, and comes back by itself when Redis does. `hint` is called at each assignment event."""

    def __init__(self, redis_socket: Path, publish: Callable[[str, bytes], bool], hint: Callable[[], None]) -> None:
        self._redis = redis.Redis(
            unix_socket_path=str(redis_socket),
            db=events.LIVE_DB,
            socket_timeout=5.0,
            retry=Retry(NoBackoff(), 0),  # a new connection is a new subscription, with its hint
        )
        self._publish = publish
        self._hint = hint
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(3.0)

    def handle(self, raw: bytes) -> None:
        """Passes one event on; what is none is left out."""
        try:
            event = events.decode(raw)
        except (msgspec.DecodeError, msgspec.ValidationError):
            _log.warning("bridge.event_unreadable", size=len(raw))
            return
        if event.kind == "trip_position":
            self._publish(topics.trip_position(event.key), msgspec.json.encode(event.data))
        elif event.kind == "trip_status":
            self._publish(topics.trip_status(event.key), msgspec.json.encode(event.data))
        elif event.kind == "assignment":
            self._hint()

    def _handle_or_log(self, raw: bytes) -> None:
        try:
            self.handle(raw)
        except Exception:  # the edge of the thread: one event that cannot be passed on must not end the broadcasts
            _log.exception("bridge.relay_failed")

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except redis.RedisError:
                self._stopped.wait(RETRY_S)

    def _listen(self) -> None:
        with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
            subscription.subscribe(events.CHANNEL)
            self._hint()  # one may have been missed while Redis was away
            while not self._stopped.is_set():
                message = subscription.get_message(timeout=0.5)
                if message:
                    self._handle_or_log(message["data"])
