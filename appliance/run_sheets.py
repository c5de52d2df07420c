"""Run sheets: what each driver does on a day, to print. Each patient on a sheet counts as viewed in the audit log."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlite_utils import Database

from appliance import typed
from appliance.domain.trip import State
from appliance.errors import NotFound
from appliance.storage import audit, people, times
from appliance.storage import run_sheets as rows_of
from appliance.storage.db import Row, Tx


class Stop(Struct, frozen=True, kw_only=True):
    """One trip on a sheet. `leg` is `outbound` where a way back follows, `return` for one, else null. With
    `return_on_call` the patient will call for the way back: nobody has it until then."""

    trip_id: int
    ref: str | None
    state: State
    return_on_call: bool
    pickup_at: datetime
    appointment_at: datetime | None
    patient: str | None
    phone: str
    level: str
    pickup_address: str
    dropoff_address: str
    leg: str | None
    vehicle: str | None
    notes: str


class Sheet(Struct, frozen=True, kw_only=True):
    """A driver's trips of one day, in the order of their pickup."""

    driver: str
    name: str
    phone: str
    vehicles: list[str]
    stops: list[Stop]


class Summary(Struct, frozen=True, kw_only=True):
    """A driver with so many trips on a day, the first and the last of them; no patient. `on_call` counts the patients
    who will call for their way back."""

    driver: str
    name: str
    vehicles: list[str]
    trips: int
    on_call: int
    first_at: datetime
    last_at: datetime


class Overview(Struct, frozen=True, kw_only=True):
    """Who drives on a day. `without_driver` are trips that stand on no sheet."""

    day: date
    drivers: list[Summary]
    without_driver: int


def overview(db: Database, day: date, zone: ZoneInfo) -> Overview:
    """By the time of the first trip."""
    found = rows_of.trips(db, *_span(day, zone))
    summaries = [_summary(sheet) for sheet in _sheets(db, found)]
    summaries.sort(key=lambda one: (one.first_at, one.driver))
    return Overview(day=day, drivers=summaries, without_driver=sum(row["driver"] is None for row in found))


def of_driver(tx: Tx, day: date, driver: str, zone: ZoneInfo, *, who: str, now: datetime) -> Sheet:
    """A driver's sheet, empty where there is no trip. Raises NotFound."""
    known = people.driver_by_code(tx, driver)
    if known is None:
        raise NotFound("no such driver", subject=f"driver {driver!r}")
    found = [row for row in rows_of.trips(tx, *_span(day, zone)) if row["driver"] == driver]
    _viewed(tx, found, day, who, now)
    empty = Sheet(driver=driver, name=known["name"], phone=known["phone"], vehicles=[], stops=[])
    return next(iter(_sheets(tx, found)), empty)


def of_day(tx: Tx, day: date, zone: ZoneInfo, *, who: str, now: datetime) -> list[Sheet]:
    """The sheets of all who drive, by their first trip."""
    found = [row for row in rows_of.trips(tx, *_span(day, zone)) if row["driver"]]
    _viewed(tx, found, day, who, now)
    return sorted(_sheets(tx, found), key=lambda sheet: (min(stop.pickup_at for stop in sheet.stops), sheet.driver))


def _span(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """23 or 25 hours apart when the clocks change. Raises InputError."""
    typed.of_this_age("day", day)
    begin, end = (datetime.combine(day + timedelta(days=each), time(), zone) for each in (0, 1))
    return begin, end


def _sheets(db: Database, found: list[Row]) -> list[Sheet]:
    of: dict[str, list[Row]] = {}
    for row in found:
        if row["driver"]:
            of.setdefault(row["driver"], []).append(row)
    sheets = []
    for code, theirs in of.items():
        known = people.driver_by_code(db, code)
        assert known is not None
        stops = [_stop(row) for row in theirs]
        vehicles = list(dict.fromkeys(row["vehicle"] for row in theirs if row["vehicle"]))
        sheets.append(Sheet(driver=code, name=known["name"], phone=known["phone"], vehicles=vehicles, stops=stops))
    return sheets


def _stop(row: Row) -> Stop:
    leg = "return" if row["outbound_trip_id"] else "outbound" if row["has_return"] else None
    return Stop(
        trip_id=row["id"],
        ref=row["ref"],
        state=State(row["state"]),
        return_on_call=bool(row["on_call"]),
        pickup_at=times.parse(row["pickup_at"]),
        appointment_at=times.parse_or_none(row["appointment_at"]),
        patient=row["patient"],
        phone=row["phone"] or "",
        level=row["level"],
        pickup_address=row["pickup_address"],
        dropoff_address=row["dropoff_address"],
        leg=leg,
        vehicle=row["vehicle"],
        notes=row["notes"],
    )


def _summary(sheet: Sheet) -> Summary:
    pickups = [stop.pickup_at for stop in sheet.stops]
    return Summary(
        driver=sheet.driver,
        name=sheet.name,
        vehicles=sheet.vehicles,
        trips=len(sheet.stops),
        on_call=sum(stop.return_on_call for stop in sheet.stops),
        first_at=min(pickups),
        last_at=max(pickups),
    )


def _viewed(tx: Tx, found: list[Row], day: date, who: str, now: datetime) -> None:
    for uid in dict.fromkeys(row["patient_uid"] for row in found if row["patient_uid"]):
        audit.record(tx, who, "patient.viewed", "patient", uid, now, f"run sheet of {day.isoformat()}")
