"""Who has published: devices and vehicles by the names in the topics, as the database has them now."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlite_utils import Database

from appliance.domain.fix import Reason, Rejection
from appliance.storage import devices
from mqtt_bridge.topics import Address

REFRESH_S = 2.0


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
    """Reads the devices anew every REFRESH_S, and at once when a name is not known and the database has changed since:
    the first fix of a device may come as soon as the command that added it has ended."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._by_username: dict[str, Publisher] = {}
        self._first: dict[str, Publisher] = {}
        self._read_at = float("-inf")
        self._version = -1

    def find(self, address: Address) -> Publisher | Rejection:
        """The publisher of a topic, or why there is none."""
        if time.monotonic() - self._read_at >= REFRESH_S:
            self._read()
        found = self._look_up(address)
        if isinstance(found, Rejection) and devices.version(self._db) != self._version:
            self._read()
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

    def _read(self) -> None:
        self._read_at = time.monotonic()
        self._version = devices.version(self._db)  # before the rows: a change between the two is read again
        self._by_username, self._first = {}, {}
        for row in devices.directory(self._db):
            publisher = Publisher(row["id"], row["username"], row["vehicle_id"], row["code"], bool(row["source"]))
            self._by_username[publisher.username] = publisher
            if row["first"]:
                self._first[publisher.code] = publisher
