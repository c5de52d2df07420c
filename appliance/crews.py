"""Who is at work with which vehicle, and which vehicle and driver could take a trip: what forbids it, and which other
trips of theirs share its time."""

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


class Crew(Struct, frozen=True, kw_only=True):
    """A vehicle, a driver, or both where they work together. `on_duty`: they have a shift on that day, or a trip."""

    vehicle: str | None
    levels: list[str]
    driver: str | None
    name: str
    phone: str
    unavailable: bool
    on_duty: bool
    starts_at: datetime | None
    ends_at: datetime | None
    trips: int
    """Trips of theirs that have not ended."""
    under_way: str | None
    """The trip that runs, by its number."""

    @property
    def key(self) -> str:
        return f"{self.vehicle or ''}.{self.driver or ''}"


def crews(db: Database, since: datetime, until: datetime, now: datetime) -> list[Crew]:
    """All vehicles and drivers in service: first who is on duty between the times, by vehicle, then the others. On the
    day that it is now also older trips that have not ended count."""
    is_now = since <= now < until
    vans = {one["code"]: one for one in vehicles.every(db) if not one["disabled_at"]}
    people_of = {one["code"]: one for one in people.drivers(db) if not one["disabled_at"]}
    codes = {one["id"]: code for code, one in vans.items()}
    names = {one["id"]: code for code, one in people_of.items()}
    held = [
        one
        for one in trips.held(db)
        if (at := times.parse(one["pickup_at"])) < until
        and (is_now or (at >= since and one["state"] != State.in_progress))
    ]
    pairs: dict[tuple[str | None, str | None], Row | None] = {}
    for shift in shifts.listed(db, now if is_now else since):
        if times.parse(shift["starts_at"]) < until:
            pairs.setdefault((shift["vehicle"], shift["driver"]), shift)
    for one in held:
        pairs.setdefault((codes.get(one["vehicle_id"]), names.get(one["driver_id"])), None)
    pairs.pop((None, None), None)
    on_duty = sorted(pairs, key=lambda pair: (pair[0] is None, pair[0] or "", pair[1] or ""))
    seen = {code for pair in pairs for code in pair}
    others: list[tuple[str | None, str | None]] = [(code, None) for code in vans if code not in seen]
    others += [(None, code) for code in people_of if code not in seen]
    return [
        _crew(vans.get(van or ""), people_of.get(driver or ""), pairs.get((van, driver)), held, (van, driver) in pairs)
        for van, driver in on_duty + others
        if van in vans or driver in people_of
    ]


def _crew(van: Row | None, driver: Row | None, shift: Row | None, held: list[Row], on_duty: bool) -> Crew:
    column: Holder = "driver_id" if driver else "vehicle_id"
    holder = driver or van
    theirs = [one for one in held if holder and one[column] == holder["id"]]
    running = next((one["ref"] or f"#{one['id']}" for one in theirs if one["state"] == State.in_progress), None)
    return Crew(
        vehicle=van["code"] if van else None,
        levels=van["levels"].split() if van else [],
        driver=driver["code"] if driver else None,
        name=driver["name"] if driver else "",
        phone=driver["phone"] if driver else "",
        unavailable=bool(driver and driver["unavailable_at"]),
        on_duty=on_duty,
        starts_at=times.parse(shift["starts_at"]) if shift else None,
        ends_at=times.parse(shift["ends_at"]) if shift else None,
        trips=len(theirs),
        under_way=running,
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
