"""The MQTT topics of the box (design section 8), in one place: built here, taken apart here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

ROOT = "depot/v1"
OWNTRACKS = "owntracks"

SUBSCRIPTIONS = (
    f"{ROOT}/vehicles/+/gps",
    f"{ROOT}/vehicles/+/gps/+",
    f"{ROOT}/vehicles/+/trip",
    f"{ROOT}/vehicles/+/status",
    f"{ROOT}/vehicles/+/status/+",
    f"{OWNTRACKS}/+/+",
    f"{OWNTRACKS}/+/+/+",
)
"""What the bridge listens to."""

Kind = Literal["gps", "trip", "status"]


@dataclass(frozen=True, slots=True)
class Address:
    """Who published: the vehicle's code, or the device's username, or both, as far as the topic says."""

    kind: Kind
    vehicle: str | None
    device: str | None


@lru_cache(maxsize=4096)
def address(topic: str) -> Address | None:
    """What an incoming topic says; None for a topic the box does not know.

    `vehicles/<v>/gps` and `vehicles/<v>/status` belong to the vehicle's first device, for ever;
    `vehicles/<v>/gps/<device>`, `vehicles/<v>/status/<device>` and `owntracks/<device>/...` name the device. The
    broker's ACL guarantees each of them.
    """
    parts = topic.split("/")
    if parts[0] == OWNTRACKS and len(parts) in (3, 4):
        return Address("gps", None, parts[1])
    if parts[:3] != [*ROOT.split("/"), "vehicles"]:
        return None
    match parts[3:]:
        case [vehicle, ("gps" | "status") as kind]:
            return Address(kind, vehicle, None)
        case [vehicle, ("gps" | "status") as kind, device]:
            return Address(kind, vehicle, device)
        case [vehicle, "trip"]:
            return Address("trip", vehicle, None)
    return None


def gps(vehicle: str, device: str | None = None) -> str:
    """The device's own topic; without one that of the vehicle's first device."""
    return f"{ROOT}/vehicles/{vehicle}/gps" + (f"/{device}" if device else "")


def ack(vehicle: str, device: str) -> str:
    return f"{ROOT}/vehicles/{vehicle}/ack/{device}"


def status(vehicle: str) -> str:
    return f"{ROOT}/vehicles/{vehicle}/status"


def device_status(vehicle: str, device: str) -> str:
    return f"{ROOT}/vehicles/{vehicle}/status/{device}"


def trip(vehicle: str) -> str:
    return f"{ROOT}/vehicles/{vehicle}/trip"


def trip_reply(vehicle: str) -> str:
    return f"{ROOT}/vehicles/{vehicle}/trip/reply"


def assignment(vehicle: str) -> str:
    return f"{ROOT}/vehicles/{vehicle}/assignment"


def trip_position(trip_id: int | str) -> str:
    return f"{ROOT}/trips/{trip_id}/position"


def trip_status(trip_id: int | str) -> str:
    return f"{ROOT}/trips/{trip_id}/status"
