"""Who has published: devices and vehicles by the names in the topics, as the database has them now."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlite_utils import Database

from appliance.domain.fix import Reason, Rejection
from appliance.storage import devices
from mqtt_bridge.topics import Address

REFRESH_S = 2.0
_SOONEST_S = 0.2


@dataclass(frozen=True, slots=True)
class Publisher:
    """The device that a message came from."""

    device: int
    username: str
    vehicle: int
    code: str
    source: bool
    """Whether it is the vehicle's position source: only that one moves the live marker."""


class Directory:
    """Reads the devices anew every REFRESH_S, and at once (within reason) when a name is not known."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._by_username: dict[str, Publisher] = {}
        self._first: dict[str, Publisher] = {}
        self._read_at = float("-inf")

    def find(self, address: Address) -> Publisher | Rejection:
        """The publisher of a topic, or why there is none."""
        self._refresh(REFRESH_S)
        found = self._look_up(address)
        if isinstance(found, Rejection):
            self._refresh(_SOONEST_S)
            found = self._look_up(address)
        return found

    def _look_up(self, address: Address) -> Publisher | Rejection:
        if address.device is None:
            found = self._first.get(address.vehicle or "")
            return found or Rejection(Reason.unknown_vehicle, address.vehicle or "", "a vehicle with a device")
        found = self._by_username.get(address.device)
        if found is None:
            return Rejection(Reason.unknown_vehicle, address.device, "a known device")
        if address.vehicle not in (None, found.code):
            return Rejection(Reason.foreign_topic, f"{address.device} on {address.vehicle}", f"vehicle {found.code}")
        return found

    def _refresh(self, older_than_s: float) -> None:
        now = time.monotonic()
        if now - self._read_at < older_than_s:
            return
        self._read_at = now
        self._by_username, self._first = {}, {}
        for row in devices.directory(self._db):
            publisher = Publisher(row["id"], row["username"], row["vehicle_id"], row["code"], bool(row["source"]))
            self._by_username[publisher.username] = publisher
            if row["first"]:
                self._first[publisher.code] = publisher
