"""What is decided about shifts: a driver has a vehicle for a time, and hands it back before its end."""

from __future__ import annotations

from datetime import datetime

from appliance import typed
from appliance.errors import InputError, NotFound
from appliance.storage import audit, people, shifts, vehicles
from appliance.storage.db import Tx


def add(
    tx: Tx, vehicle: str, driver: str, starts_at: datetime | None, ends_at: datetime, *, who: str, now: datetime
) -> int:
    """Adds a shift of a driver on a vehicle (their codes), from now on by default, and returns its number. Raises
    InputError for times of another age and for an end that is over, and NotFound for who is not in service."""
    for name, at in (("start", starts_at), ("end", ends_at)):
        typed.near(name, at, now)
    starts_at = starts_at or now
    if ends_at <= max(starts_at, now):
        raise InputError("expected a time after the start, and after now", subject="end")
    van, person = vehicles.by_code(tx, vehicle), people.driver_by_code(tx, driver)
    if van is None or van["disabled_at"]:
        raise NotFound("no such vehicle", subject=vehicle, hint="`depotbox vehicle list` shows them")
    if person is None or person["disabled_at"]:
        raise NotFound("no such driver", subject=driver, hint="`depotbox driver list` shows them")
    id = shifts.add(tx, van["id"], person["id"], starts_at, ends_at, who, now)
    audit.record(tx, who, "shift.added", "vehicle", van["uid"], now, driver)
    return id


def end(tx: Tx, id: int, *, driver: str = "", who: str, now: datetime) -> None:
    """Ends a shift now; one that has not begun is taken back. Raises NotFound, also where it is not of that driver (the
    code), if one is named."""
    theirs = not driver or shifts.driver_of(tx, id) == driver
    if not (theirs and shifts.end(tx, id, now)):
        raise NotFound("no such shift, or it is over", subject=f"shift {id}", hint="`depotbox shift list` shows them")
    audit.record(tx, who, "shift.ended", "shift", str(id), now)
