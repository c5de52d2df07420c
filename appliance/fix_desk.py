"""What a person decides about a rejected fix: to restore it, although a rule spoke against it."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance import clock
from appliance.config import Settings
from appliance.domain.fix import OLDEST, Fix, Reason, check_position
from appliance.errors import InputError, NotFound, Refused, Unavailable
from appliance.payloads.elements import decode_one
from appliance.storage import audit, devices, gps_days, gps_rejected, times, vehicles
from appliance.storage.db import Row, write_tx
from appliance.storage.gps_writer import Arrival


def restore(
    db: Database, settings: Settings, name: str, who: str, now: datetime, *, vehicle: str | None = None
) -> bool:
    """Stores the fix of a rejected payload for its vehicle and device; False where that was done before.

    Its trips are measured again by way of its change row. A fix of nobody's is restored for the position source that
    `vehicle` (a code) had at its time. It stands in the audit log before it takes effect, and after a crash it is done
    by asking again. Raises NotFound, InputError, and Refused for what has no usable position or is older than is kept.
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


def _fix(found: Row, name: str, settings: Settings, now: datetime) -> Fix:
    """The fix of the kept payload, if it is a place at a time that is kept."""
    if found["reason"] == Reason.too_large:
        raise Refused("only the beginning of its message was kept", subject=name)
    element = decode_one(found["payload"])
    fix = element.fix if element else None
    why = check_position(fix) if fix else element.rejection if element else None
    if fix is None or why:
        raise Refused(f"it cannot be used: {why or 'it is no fix'}", subject=name)
    oldest = OLDEST.date()
    if clock.trusted(settings):
        oldest = max(oldest, (now - timedelta(days=settings.retention.gps_days)).date())
    if fix.at.date() < oldest:
        # Its day file is deleted, or soon will be: a trip would be measured by this fix alone.
        raise Refused(f"it is of {fix.at.date()}, and fixes are kept since {oldest}", subject=name)
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
