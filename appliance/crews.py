"""Which vehicle and driver could take a trip: what forbids it, and which other trips of theirs share its time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct
from sqlite_utils import Database

from appliance.domain import trip
from appliance.domain.trip import LevelOfService, State
from appliance.errors import NotFound
from appliance.storage import people, shifts, times, trips, vehicles
from appliance.storage.db import Row

Holder = Literal["vehicle_id", "driver_id"]


class Clash(Struct, frozen=True, kw_only=True):
    """Another trip of the same vehicle or driver that shares time with this one."""

    trip_id: int
    ref: str | None
    pickup_at: datetime

    @property
    def title(self) -> str:
        return self.ref or f"#{self.trip_id}"


class Choice(Struct, frozen=True, kw_only=True):
    """A vehicle or a driver for a trip. `refusal` is why it cannot be, or null; an overlap does not forbid it.
    `partner` is who shares a shift with it at the pickup: the driver of a vehicle, the vehicle of a driver."""

    code: str
    name: str
    refusal: str | None
    overlaps: list[Clash]
    partner: str | None


class Choices(Struct, frozen=True, kw_only=True):
    """All vehicles and drivers in service; first what fits and is free, then what overlaps, then what is refused."""

    vehicles: list[Choice]
    drivers: list[Choice]


def choices(db: Database, trip_id: int, now: datetime) -> Choices:
    """Raises NotFound."""
    found = _get(db, trip_id)
    held, pickup = trips.held(db), times.parse(found["pickup_at"])
    on_shift = [shift for shift in shifts.listed(db, pickup) if times.parse(shift["starts_at"]) <= pickup]
    driver_of = {shift["vehicle"]: shift["driver"] for shift in on_shift}
    vehicle_of = {shift["driver"]: shift["vehicle"] for shift in on_shift}
    return Choices(
        vehicles=_sorted(
            Choice(
                code=one["code"],
                name=one["name"],
                refusal=not_fitted(one, found["level"]),
                overlaps=_clashes(held, found, "vehicle_id", one["id"], now),
                partner=driver_of.get(one["code"]),
            )
            for one in vehicles.every(db)
            if not one["disabled_at"]
        ),
        drivers=_sorted(
            Choice(
                code=one["code"],
                name=one["name"],
                refusal="unavailable" if one["unavailable_at"] else None,
                overlaps=_clashes(held, found, "driver_id", one["id"], now),
                partner=vehicle_of.get(one["code"]),
            )
            for one in people.drivers(db)
            if not one["disabled_at"]
        ),
    )


def overlapping(db: Database, trip_id: int, now: datetime) -> list[Clash]:
    """The other trips of the trip's own vehicle and driver that share its time, each once. Raises NotFound."""
    found, held = _get(db, trip_id), trips.held(db)
    holders: tuple[Holder, ...] = ("vehicle_id", "driver_id")
    clashes = [
        clash for one in holders if found[one] is not None for clash in _clashes(held, found, one, found[one], now)
    ]
    return list({clash.trip_id: clash for clash in clashes}.values())


def not_fitted(vehicle: Row, level: str) -> str | None:
    """Why a vehicle cannot take a level of service, or `None`."""
    if trip.carries([LevelOfService(one) for one in vehicle["levels"].split()], LevelOfService(level)):
        return None
    return f"not fitted for {level}"


def _get(db: Database, trip_id: int) -> Row:
    found = trips.get(db, trip_id)
    if found is None:
        raise NotFound("no such trip", subject=f"trip {trip_id}")
    return found


def _clashes(held: Iterable[Row], found: Row, column: Holder, id: int, now: datetime) -> list[Clash]:
    begins, ends = _span(found, now)
    return [
        Clash(trip_id=other["id"], ref=other["ref"], pickup_at=times.parse(other["pickup_at"]))
        for other in held
        if other[column] == id and other["id"] != found["id"] and trip.overlaps(begins, ends, *_span(other, now))
    ]


def _span(row: Row, now: datetime) -> tuple[datetime, datetime]:
    """The planned time; a trip under way lasts until now at least."""
    begins, ends = trip.planned(times.parse(row["pickup_at"]), times.parse_or_none(row["appointment_at"]))
    return begins, max(ends, now) if row["state"] == State.in_progress else ends


def _sorted(found: Iterable[Choice]) -> list[Choice]:
    return sorted(found, key=lambda one: (one.refusal is not None, bool(one.overlaps), one.code))
