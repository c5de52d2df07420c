"""The retained message that tells each vehicle its trips: ids, times, level of service; never a name."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlite_utils import Database

from appliance.storage import trips, vehicles
from mqtt_bridge import topics


class Assignments:
    """Publishes what differs from what the broker holds. The database is the truth, read anew each time, so that a
    lost hint or a wiped broker delays an assignment and loses none."""

    def __init__(self, db: Database, publish: Callable[[str, bytes], bool]) -> None:
        self._db = db
        self._publish = publish
        self._held: dict[str, bytes] = {}

    def forget(self) -> None:
        """The broker may have lost its retained messages: all of them are published again."""
        self._held = {}

    def step(self) -> int:
        """One comparison; returns how many vehicles were told."""
        # Also the disabled ones: what the broker holds for them would stay for ever.
        wanted: dict[str, list[dict[str, object]]] = {vehicle["code"]: [] for vehicle in vehicles.every(self._db)}
        for row in trips.open_of_vehicles(self._db):
            wanted.setdefault(row["code"], []).append(
                {
                    "trip_id": row["id"],
                    "state": row["state"],
                    "level": row["level"],
                    "pickup_at": row["pickup_at"],
                    "appointment_at": row["appointment_at"],
                }
            )
        told = 0
        for code, assigned in wanted.items():
            payload = msgspec.json.encode({"trips": assigned})
            if self._held.get(code) != payload and self._publish(topics.assignment(code), payload):
                self._held[code] = payload
                told += 1
        return told
