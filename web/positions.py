"""Where the vehicles are now: the live state in Redis, and the stored fixes while Redis is away or freshly wiped."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance import events
from appliance.domain.presence import Signs
from appliance.storage.gps import Store

KEEP_STORED_S = 5.0
TIMEOUT_S = 1.0


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A vehicle's newest position: WGS 84 degrees, km/h, degrees clockwise from north; null where not reported.

    `received_at`: when the box got it first, `repeated_at`: when it last came again. `offline_at`: when the device was
    said to be offline. `standing_since`: the fix time from which on it has stood on one spot.
    """

    at: datetime
    lat: float
    lon: float
    speed_kmh: float | None = None
    heading_deg: float | None = None
    received_at: datetime | None = None
    repeated_at: datetime | None = None
    offline_at: datetime | None = None
    ignition: bool | None = None
    standing_since: datetime | None = None

    @property
    def signs(self) -> Signs:
        """What the state follows from."""
        return Signs(
            fix_at=self.at,
            received_at=self.received_at,
            repeated_at=self.repeated_at,
            offline_at=self.offline_at,
            ignition=self.ignition,
            speed_kmh=self.speed_kmh,
            standing_since=self.standing_since,
        )


class Positions:
    """Reads the newest positions. Never raises for a Redis that is away; waits at most two seconds for it."""

    def __init__(self, redis_socket: Path, store: Store) -> None:
        self._redis = redis.Redis(
            unix_socket_path=str(redis_socket), db=events.LIVE_DB, socket_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 1)
        )
        self._store = store
        self._lock = threading.Lock()
        self._stored: dict[str, Position] = {}
        self._stored_at: float | None = None

    def newest(
        self, codes: Mapping[int, str], sources: Mapping[int, int], until: datetime | None
    ) -> dict[str, Position]:
        """The newest position of each vehicle, by code. `codes` maps vehicle ids to codes, `sources` to their position
        sources; `until`: as in `Store.newest`."""
        return self._live() or self._from_store(codes, sources, until)

    def redis_answers(self) -> bool:
        try:
            return bool(self._redis.ping())
        except redis.RedisError:
            return False

    def redis_version(self) -> str | None:
        """The version of the Redis that answers, or None."""
        try:
            return str(self._redis.info("server")["redis_version"])
        except redis.RedisError:
            return None

    def _live(self) -> dict[str, Position]:
        try:
            found = self._redis.hgetall(events.VEHICLES_KEY)
        except redis.RedisError:
            return {}
        live: dict[str, Position] = {}
        for code, data in found.items():
            try:
                live[code if isinstance(code, str) else code.decode()] = msgspec.json.decode(data, type=Position)
            except msgspec.DecodeError:
                continue  # written by another version; the next fix of that vehicle replaces it
        return live

    def _from_store(
        self, codes: Mapping[int, str], sources: Mapping[int, int], until: datetime | None
    ) -> dict[str, Position]:
        """Asked rarely, because it opens files of whole days."""
        with self._lock:
            if self._stored_at is None or time.monotonic() - self._stored_at > KEEP_STORED_S:
                self._stored = {
                    codes[vehicle]: Position(
                        at=fix.at,
                        lat=fix.lat,
                        lon=fix.lon,
                        speed_kmh=fix.speed_kmh,
                        heading_deg=fix.heading_deg,
                        ignition=fix.ignition,
                    )
                    for vehicle, fix in self._store.newest(sources, until).items()
                    if vehicle in codes
                }
                self._stored_at = time.monotonic()
            return self._stored
