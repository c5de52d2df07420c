"""What a person decides about a fix that a rule spoke against: to restore a rejected one, to keep an outlier."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from msgspec import Struct
from sqlite_utils import Database

from appliance import clock, dispatch, trails
from appliance.config import Settings
from appliance.domain.fix import LATEST, OLDEST, Fix, Reason, check_position
from appliance.errors import InputError, NotFound, Refused, Unavailable
from appliance.jobs import Ask
from appliance.payloads.elements import decode_one
from appliance.storage import audit, board, devices, gps_days, gps_rejected, overruled, times, trips, vehicles
from appliance.storage.db import Row, write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_writer import KEPT_BYTES, Arrival

BUFFERED = timedelta(days=2)
"""So long after a trip its fixes may still come in, and be rejected."""
LOOKED_AT = 2000
MOST_REJECTED = 200


class RejectedOfTrip(Struct, frozen=True, kw_only=True):
    """A rejected fix beside a trip. `at`, `lat` and `lon` are null where the payload has none that can be read;
    `restorable`: whether `restore` would take it, `why_not` says why it would not."""

    id: str
    received_at: datetime
    at: datetime | None
    lat: float | None
    lon: float | None
    reason: Reason
    value: str
    bound: str
    restored_at: datetime | None
    restorable: bool
    why_not: str


def of_trip(db: Database, settings: Settings, trip_id: int, now: datetime) -> list[RejectedOfTrip]:
    """The rejected fixes of a trip's vehicle that were taken, or came, while it was driven; at most MOST_REJECTED, the
    first to come. Buffered ones are looked for up to BUFFERED later. Raises NotFound."""
    span = trails.span(db, trip_id, now)
    trip = board.trip(db, trip_id)
    if span is None or trip is None or trip["vehicle"] is None:
        return []
    start, end = span
    found = []
    for row in Store(settings.paths.gps_dir).rejected_between(trip["vehicle"], start, end + BUFFERED, LOOKED_AT):
        made = _beside(row, settings, now)
        if start <= made.received_at <= end or (made.at and start <= made.at <= end):
            found.append(made)
    return found[:MOST_REJECTED]


def _beside(row: Row, settings: Settings, now: datetime) -> RejectedOfTrip:
    whole = row["reason"] != Reason.too_large and len(row["payload"]) < KEPT_BYTES
    fix = decode_one(row["payload"]).fix if whole else None
    place = fix if fix and not check_position(fix) else None
    why_not = ""
    try:
        _fix(row, row["id"], settings, now)
    except Refused as error:
        why_not = error.what
    return RejectedOfTrip(
        id=row["id"],
        received_at=times.parse(row["received_at"]),
        at=fix.at if fix else None,
        lat=place.lat if place else None,
        lon=place.lon if place else None,
        reason=row["reason"],
        value=row["value"],
        bound=row["bound"],
        restored_at=times.parse_or_none(row["restored_at"]),
        restorable=not why_not and not row["restored_at"],
        why_not=why_not,
    )


def restore(
    db: Database, settings: Settings, name: str, who: str, now: datetime, *, vehicle: str | None = None
) -> bool:
    """Stores the fix of a rejected payload for its vehicle and device; False where that was done before.

    Its trips are measured again by way of its change row. A fix of nobody's is restored for the position source that
    `vehicle` (a code) had at its time. It stands in the audit log before it takes effect, and after a crash it is done
    by asking again. Raises NotFound, InputError, and Refused for what has no usable position, or a time that is not
    kept any more or has not come yet.
    """
    day, id = gps_rejected.parse(name)
    try:
        found = gps_rejected.find(settings.paths.gps_dir, day, id)
        if found is None:
            raise NotFound("no such rejected fix", subject=name, hint="`depotbox fixes rejected` lists them")
        if found["restored_at"]:
            return False
        fix = _fix(found, name, settings, now)
        code, vehicle_id, device = _owner(db, found, fix, name, vehicle)
        with write_tx(db) as tx:
            detail = f"{code} {found['reason']} {times.text(fix.at)}"
            audit.record_once(tx, who, "fix.restored", "rejected fix", name, now, detail)
        arrival = Arrival(vehicle_id, device, fix, times.parse(found["received_at"]))
        gps_rejected.restore(settings.paths.gps_dir, day, id, arrival, now)
    except sqlite3.DatabaseError as error:
        if gps_days.is_damaged(error):
            raise Unavailable("a day file that it needs is damaged", subject=name) from error
        raise
    return True


def overrule(
    db: Database, settings: Settings, trip_id: int, at: datetime, who: str, now: datetime, *, undo: bool = False
) -> list[Ask] | None:
    """Keeps the outlier of a trip at that time in every trail, or with `undo` not any more; None where that is so
    already. The completed trips that it belongs to are measured again. Raises NotFound where there is no outlier."""
    found = trails.outliers(db, Store(settings.paths.gps_dir), settings, trip_id, now)
    why = next((f"{each.value}, {each.bound}" for each in found if each.at == at), None)
    trip = trips.get(db, trip_id)
    if why is None or trip is None:
        hint = f"`depotbox fixes outliers --trip {trip_id}` lists them"
        raise NotFound("the trip has no outlier of that time", subject=at.isoformat(), hint=hint)
    vehicle = trip["vehicle_id"]
    with write_tx(db) as tx:
        new = overruled.remove(tx, vehicle, at) if undo else overruled.add(tx, vehicle, at, who, now)
        if not new:
            return None
        action = "outlier.overruling_undone" if undo else "outlier.overruled"
        audit.record(tx, who, action, "trip", trip["uid"], now, f"{times.text(at)} {why}")
        touched = trips.touched_by(tx, vehicle, at, at)
        return [dispatch.ask_to_close(tx, id, now=now, delay_s=settings.billing.settle_s) for id in touched]


def _fix(found: Row, name: str, settings: Settings, now: datetime) -> Fix:
    """The fix of the kept payload, if it is a place at a time that is kept."""
    if found["reason"] == Reason.too_large or len(found["payload"]) >= KEPT_BYTES:
        raise Refused("only the beginning of its message was kept", subject=name)
    element = decode_one(found["payload"])
    fix = element.fix
    why = check_position(fix) if fix else element.rejection
    if fix is None or why:
        raise Refused(f"it cannot be used: {why or 'it is no fix'}", subject=name)
    oldest, latest = OLDEST.date(), LATEST
    if clock.trusted(settings):
        latest = now + timedelta(seconds=settings.limits.future_s)
        oldest = max(oldest, (now - timedelta(days=settings.retention.gps_days)).date())
    if fix.at.date() < oldest:
        # Its day file is deleted, or soon will be: a trip would be measured by this fix alone.
        raise Refused(f"it is of {fix.at.date()}, and fixes are kept since {oldest}", subject=name)
    if fix.at > latest:
        # No retention would delete its day in time, and no trip is driven then.
        raise Refused(f"it is of {times.text(fix.at)}, which has not come yet", subject=name)
    return fix


def _owner(db: Database, found: Row, fix: Fix, name: str, vehicle: str | None) -> tuple[str, int, int]:
    """Whose fix it is: the vehicle's code and id, and the device."""
    known = found["device"] is not None
    if vehicle and known and vehicle != found["vehicle"]:
        raise InputError(f"it belongs to vehicle {found['vehicle']}", subject=name)
    if not vehicle and not known:
        raise InputError("it belongs to no known device: name its vehicle", subject=name, hint="--vehicle CODE")
    code = vehicle or found["vehicle"]
    row = vehicles.by_code(db, code)
    if row is None:
        raise NotFound("no such vehicle", subject=code)
    device = found["device"] if known else devices.position_source_at(db, row["id"], fix.at)
    if device is None:
        raise Refused("it has no device", subject=f"vehicle {code}", hint="depotbox vehicle add")
    return code, row["id"], device
