"""What is decided about drivers: adding and changing one, and that one drives no more. All is audited."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlite_utils import Database

from appliance import typed, versions
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import audit, people, shifts, times, trips, users
from appliance.storage.db import Row, Tx


class DriverDetails(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a driver; what is left out stays as it is. `user` is the e-mail address of the driver's user,
    or null. The dates are the last days on which licence and other documents are valid."""

    name: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    user: str | UnsetType | None = UNSET
    licence_no: str | UnsetType = UNSET
    licence_expires_on: date | UnsetType | None = UNSET
    documents_expire_on: date | UnsetType | None = UNSET


_CHECKS: dict[str, typed.Check] = {
    "name": typed.name,
    "phone": typed.line,
    "email": typed.email,
    "licence_no": typed.line,
    "licence_expires_on": typed.day,
    "documents_expire_on": typed.day,
}


def add(tx: Tx, code: str, details: DriverDetails, *, who: str, now: datetime) -> Row:
    """Adds a driver; the name is the code where none is given. Raises InputError, and NotFound for the user."""
    typed.code(code, "code")
    if people.driver_by_code(tx, code):
        raise InputError("there is already a driver with this code", subject=f"code {code!r}")
    columns = {"name": code} | _columns(tx, details)
    people.add_driver(tx, code, columns.pop("name"), now, **columns)
    return _audited(tx, code, "driver.added", who, now)


def change(tx: Tx, code: str, details: DriverDetails, *, version: int | None = None, who: str, now: datetime) -> Row:
    """Changes what `details` gives. Raises NotFound, InputError, and Outdated where the driver is not of the
    `version`."""
    found = get(tx, code)
    versions.must_be_seen(tx, found, version, "driver", f"driver {code}")
    changed = {name: value for name, value in _columns(tx, details).items() if found[name] != value}
    if not changed:
        return found
    people.change_driver(tx, found["id"], now, **changed)
    return _audited(tx, code, "driver.changed", who, now, ", ".join(sorted(changed)))


def disable(tx: Tx, code: str, *, who: str, now: datetime) -> int:
    """The driver drives no more: shifts end, and no trip can be assigned. Returns how many shifts ended.

    Raises NotFound, and Refused where it is so already or trips are theirs, naming those to hand over.
    """
    found = get(tx, code)
    if found["disabled_at"]:
        raise Refused("it is disabled already", subject=code)
    if theirs := trips.open_of(tx, "driver_id", found["id"]):
        raise Refused(trips.told(theirs), subject=code, hint="assign the trips to another driver")
    ended = shifts.end_all(tx, "driver_id", found["id"], now)
    people.change_driver(tx, found["id"], now, disabled_at=times.text(now))
    _audited(tx, code, "driver.disabled", who, now)
    return ended


def enable(tx: Tx, code: str, *, who: str, now: datetime) -> Row:
    """The driver drives again. Raises NotFound, and Refused where that is so already."""
    found = get(tx, code)
    if not found["disabled_at"]:
        raise Refused("it is not disabled", subject=code)
    people.change_driver(tx, found["id"], now, disabled_at=None)
    return _audited(tx, code, "driver.enabled", who, now)


def get(db: Database, code: str) -> Row:
    found = people.driver_by_code(db, code)
    if found is None:
        raise NotFound("no such driver", subject=code, hint="`depotbox driver list` shows them")
    return found


def _columns(tx: Tx, details: DriverDetails) -> dict[str, Any]:
    columns = typed.columns(details, _CHECKS)
    if details.user is not UNSET:
        user = users.by_email(tx, details.user) if details.user else None
        if details.user and user is None:
            raise NotFound("no such user", subject=details.user, hint="`depotbox user list` shows them")
        columns["user_id"] = user["id"] if user else None
    return columns


def _audited(tx: Tx, code: str, action: str, who: str, now: datetime, detail: str = "") -> Row:
    found = get(tx, code)
    audit.record(tx, who, action, "driver", found["uid"], now, detail)
    return found
