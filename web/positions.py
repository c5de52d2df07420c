"""Where the vehicles are now: the live state in Redis, and the stored fixes while Redis is away or freshly wiped."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from appliance import events
from appliance.config import Limits
from appliance.storage.gps import Store

KEEP_STORED_S = 5.0
TIMEOUT_S = 1.0

VehicleState = Literal["live", "stale", "silent", "never"]


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A vehicle's newest position: WGS 84 degrees, km/h, degrees clockwise from north; null where not reported."""

    at: datetime
    lat: float
    lon: float
    speed_kmh: float | None = None
    heading_deg: float | None = None


def state_of(position: Position | None, now: datetime, limits: Limits) -> VehicleState:
    """By the age of the newest fix: `live` below `limits.stale_s`, then `stale`, from `limits.silent_s` on `silent`."""
    if position is None:
        return "never"
    age_s = (now - position.at).total_seconds()
    if age_s >= limits.silent_s:
        return "silent"
    return "stale" if age_s >= limits.stale_s else "live"


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

    def newest(self, ids: dict[int, str], now: datetime) -> dict[str, Position]:
        """The newest position of each vehicle, by code. `ids` maps vehicle ids to codes."""
        return self._live() or self._from_store(ids, now)

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

    def _from_store(self, ids: dict[int, str], now: datetime) -> dict[str, Position]:
        """Asked rarely, because it goes through whole days of fixes."""
        with self._lock:
            if self._stored_at is None or time.monotonic() - self._stored_at > KEEP_STORED_S:
                self._stored = {
                    ids[vehicle]: Position(
                        at=fix.at, lat=fix.lat, lon=fix.lon, speed_kmh=fix.speed_kmh, heading_deg=fix.heading_deg
                    )
                    for vehicle, fix in self._store.newest(now).items()
                    if vehicle in ids
                }
                self._stored_at = time.monotonic()
            return self._stored
