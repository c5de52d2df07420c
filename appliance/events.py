"""Small events between roles, through Redis pub/sub, and the live state of vehicles that goes with them.

Redis is disposable: an event that finds no Redis is dropped, and whoever listens asks for the whole state again
after a gap. Nothing here waits for longer than a second, raises, or carries patient data: ids, codes and positions.

Kinds (key): `vehicle` (code): newest position and state; `alert` (code): an alert was opened, changed or closed;
`trip` (trip id): something on the trip changed; `invoice` (invoice id): issued or changed; `trip_position` and
`trip_status` (trip id): the broadcasts; `assignment` (vehicle code): the vehicle's list of trips changed; `inbox`
(always `all`): somebody has a new message.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance import log

CHANNEL = "depot.events"
VEHICLES_KEY = "depot.vehicles"  # hash: vehicle code -> the data of its newest `vehicle` event
LIVE_DB = 2

Kind = Literal["vehicle", "alert", "trip", "invoice", "trip_position", "trip_status", "assignment", "inbox"]

_log = log.get(__name__)


class Event(msgspec.Struct, frozen=True):
    """One event as it travels: JSON with these three keys."""

    kind: Kind
    key: str
    data: dict[str, Any]


_encoder = msgspec.json.Encoder()
decode = msgspec.json.Decoder(Event).decode
"""The event of one message. Raises msgspec.ValidationError or msgspec.DecodeError."""


class Publisher:
    """Says events. Used by every role; one a process."""

    def __init__(self, redis_socket: Path) -> None:
        self._redis = redis.Redis(
            unix_socket_path=str(redis_socket),
            db=LIVE_DB,
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 1),  # one more try: the pooled connection may be from before a restart
        )
        self._down = False

    def publish(self, *events: Event) -> bool:
        """Publishes events in order, and remembers the newest position of each vehicle. False: Redis was not there."""
        if not events:
            return True
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            pipe.publish(CHANNEL, _encoder.encode(event))
            if event.kind == "vehicle":
                pipe.hset(VEHICLES_KEY, event.key, _encoder.encode(event.data).decode())
        try:
            pipe.execute()
        except redis.RedisError as error:
            if not self._down:
                _log.warning("events.dropped", error=str(error))
            self._down = True
            return False
        self._down = False
        return True

    def knows_vehicles(self) -> bool:
        """False when Redis has been wiped since (or is away): the bridge then publishes all it knows again."""
        try:
            return bool(self._redis.exists(VEHICLES_KEY))
        except redis.RedisError:
            return False
