"""The live side: newest positions to the screens, and `broadcast_gps_update` for vehicles with a running trip.

It has a thread of its own, because it talks to Redis: ingest must never wait for what is disposable. Everything here
is newest-wins, so a slow or absent Redis loses views and no fixes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import datetime

from appliance import log
from appliance.domain.fix import Fix
from appliance.events import Event, Publisher
from appliance.jobs import Ask
from appliance.sender import Sender
from appliance.storage import times
from mqtt_bridge.presence import Look, Presence

PERIOD_S = 0.1
BROADCAST_S = 1.0
CHECK_S = 1.0
EXPIRES_S = 10.0

_log = log.get(__name__)


class Live:
    """`see` and `say` hand over from the ingest thread and return at once; the thread does `step`s."""

    def __init__(self, publisher: Publisher, sender: Sender, presence: Presence) -> None:
        self._publisher = publisher
        self._sender = sender
        self._presence = presence
        self._dirty: set[str] = presence.codes()
        self._trips: Mapping[str, list[int]] = {}
        self._said: list[Event] = []
        self._asks: list[Ask] = []
        self._states: dict[int, str] = {}
        self._broadcast_at: dict[int, float] = {}
        self._broadcast_fix: dict[int, Fix] = {}
        self._to_broadcast: dict[int, Fix] = {}
        self._checked_at = 0.0
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(3.0)

    def see(self, newest: Mapping[str, tuple[int, Fix]]) -> None:
        """Newest fixes by vehicle code. One that is older than what is known moves nothing back; of two at one instant
        the one that is stored wins, so that the order in which they came makes no difference."""
        news = self._presence.see(newest)
        with self._changed:
            self._dirty |= news
            self._changed.notify()

    def status(self, trip_id: int, state: str) -> None:
        """The state of a trip for everybody who tracks it."""
        with self._changed:
            self._states[trip_id] = state
            self._changed.notify()

    def say(self, events: list[Event], asks: list[Ask]) -> None:
        """Events to publish and jobs to send, in order."""
        with self._changed:
            self._said += events
            self._asks += asks
            self._changed.notify()

    def running(self, trips: Mapping[str, list[int]]) -> None:
        """Ids of the trips under way, by vehicle code."""
        with self._changed:
            self._trips = trips
            under_way = {trip_id for ids in trips.values() for trip_id in ids}
            self._broadcast_at = {id: at for id, at in self._broadcast_at.items() if id in under_way}
            self._broadcast_fix = {id: fix for id, fix in self._broadcast_fix.items() if id in under_way}
            self._to_broadcast = {id: fix for id, fix in self._to_broadcast.items() if id in under_way}

    def step(self, now: float) -> None:
        """Publishes what has changed since the last step, also by the mere passing of time. `now` is monotonic,
        seconds."""
        if now - self._checked_at >= CHECK_S:
            self._checked_at = now
            known = self._presence.codes()
            wiped = known and not self._publisher.knows_vehicles()
            turned = known if wiped else self._presence.turned()
            with self._changed:
                self._dirty |= turned
        with self._changed:
            dirty, self._dirty = self._dirty, set()
            said, self._said = self._said, []
            asks, self._asks = self._asks, []
            states, self._states = self._states, {}
            trips = self._trips
            reports = self._presence.report(dirty)
            self._to_broadcast |= {
                id: fix
                for code, (fix, _look) in reports.items()
                for id in trips.get(code, ())
                if self._broadcast_fix.get(id) != fix
            }
        events = [
            *said,
            *(Event("vehicle", code, _data(code, *found, trips.get(code))) for code, found in reports.items()),
        ]
        if not self._publisher.publish(*events):
            with self._changed:
                self._dirty.update(dirty)
        self._sender.send(asks)
        for trip_id, state in states.items():
            self._sender.broadcast_status(trip_id, state)
        for trip_id, fix in self._due_broadcasts(now).items():
            self._broadcast(trip_id, fix)

    def _due_broadcasts(self, now: float) -> dict[int, Fix]:
        """The newest fix of each trip that had none within BROADCAST_S. One that came too soon waits for its turn: the
        last one before a vehicle stops must not be lost."""
        with self._changed:
            due = {
                trip_id: fix
                for trip_id, fix in self._to_broadcast.items()
                if now - self._broadcast_at.get(trip_id, float("-inf")) >= BROADCAST_S
            }
            for trip_id in due:
                self._broadcast_fix[trip_id] = self._to_broadcast.pop(trip_id)
                self._broadcast_at[trip_id] = now
        return due

    def _broadcast(self, trip_id: int, fix: Fix) -> None:
        self._sender.send_ephemeral(
            "trips.tasks.broadcast_gps_update",
            EXPIRES_S,
            trip_id=trip_id,
            latitude=fix.lat,
            longitude=fix.lon,
            speed=fix.speed_kmh,
            heading=fix.heading_deg,
        )

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                if not (self._dirty or self._said or self._asks or self._states or self._to_broadcast):
                    self._changed.wait(CHECK_S)
            began = time.monotonic()
            try:
                self.step(began)
            except Exception:  # the edge of the thread: a screen that stays still must not go unnoticed
                _log.exception("bridge.live_failed")
            with self._changed:
                if not self._stopped:
                    self._changed.wait_for(lambda: self._stopped, max(0.0, PERIOD_S - (time.monotonic() - began)))


def _data(code: str, fix: Fix, look: Look, trips: list[int] | None) -> dict[str, object]:
    signs = look.signs
    return {
        "code": code,
        "at": times.text(fix.at),
        "lat": fix.lat,
        "lon": fix.lon,
        "speed_kmh": fix.speed_kmh,
        "heading_deg": fix.heading_deg,
        "trip_id": trips[0] if trips else None,
        "state": look.state.value,
        "ignition": signs.ignition,
        "standing_since": _text(signs.standing_since),
        "received_at": _text(signs.received_at),
        "repeated_at": _text(signs.repeated_at),
        "offline_at": _text(signs.offline_at),
    }


def _text(at: datetime | None) -> str | None:
    return times.text(at) if at else None
