"""What is decided about vehicles: changing one, and taking it out of service and back, with the broker told at once."""

from __future__ import annotations

from datetime import date, datetime

from msgspec import UNSET, Struct, UnsetType
from sqlite_utils import Database

from appliance import typed, versions
from appliance.config import Settings
from appliance.domain.trip import LevelOfService, carries
from appliance.errors import InputError, NotFound, Refused
from appliance.events import Event
from appliance.servers import access
from appliance.storage import alerts, audit, devices, shifts, times, trips, vehicles
from appliance.storage.db import Row, Tx, write_tx


class VehicleDetails(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a vehicle; what is left out stays as it is. `levels` are the levels of service that it is fitted
    for; `documents_expire_on` is the last day on which insurance and inspection are valid."""

    name: str | UnsetType = UNSET
    plate: str | UnsetType = UNSET
    levels: list[LevelOfService] | UnsetType = UNSET
    documents_expire_on: date | UnsetType | None = UNSET


def _levels(given: list[LevelOfService], field: str) -> str:
    if not given:
        raise InputError(f"expected some of {', '.join(LevelOfService)}", subject=field)
    return vehicles.levels_text(given)


_CHECKS: dict[str, typed.Check] = {
    "name": typed.name,
    "plate": typed.line,
    "levels": _levels,
    "documents_expire_on": typed.day,
}


def change(tx: Tx, code: str, details: VehicleDetails, *, version: int | None = None, who: str, now: datetime) -> Event:
    """Changes what `details` gives. Raises NotFound, InputError, Refused where a trip that the vehicle has needs a
    level of service that it would lose, and Outdated where the vehicle is not of the `version`."""
    found = _get(tx, code)
    versions.must_be_seen(tx, found, version, "vehicle", f"vehicle {code}")
    changed = typed.changed(details, _CHECKS, found)
    for trip in trips.open_of(tx, "vehicle_id", found["id"]) if "levels" in changed else []:
        if not carries([LevelOfService(level) for level in changed["levels"].split()], LevelOfService(trip["level"])):
            raise Refused(f"trip {trip['id']} needs {trip['level']}", subject=code, hint="assign it elsewhere first")
    if changed:
        vehicles.change(tx, found["id"], now, **changed)
        audit.record(tx, who, "vehicle.changed", "vehicle", found["uid"], now, ", ".join(sorted(changed)))
    return _changed(code)


def disable(db: Database, settings: Settings, code: str, *, now: datetime, who: str) -> Event:
    """Takes a vehicle out of service: its shifts and its alert end, and the broker disconnects its devices and lets
    them in no more until it is enabled. What it drove stays readable.

    Raises NotFound; Refused where it is disabled already or trips are its, naming them; and Unavailable like
    `fleet.revoke_device`.
    """
    with write_tx(db) as tx:
        found = _get(tx, code)
        if found["disabled_at"]:
            raise Refused("it is disabled already", subject=code)
        if its := trips.open_of(tx, "vehicle_id", found["id"]):
            raise Refused(trips.told(its), subject=code, hint="assign the trips to another vehicle")
        shifts.end_all(tx, "vehicle_id", found["id"], now)
        if alert := alerts.open_ones(tx).get(code):
            alerts.close(tx, alert["id"], now)
        vehicles.change(tx, found["id"], now, disabled_at=times.text(now))
        audit.record(tx, who, "vehicle.disabled", "vehicle", found["uid"], now, code)
    access.refresh(settings)
    for device in devices.listed(db):
        if device["vehicle_id"] == found["id"] and device["revoked_at"] is None:
            access.push_off(settings, device["username"])
    return _changed(code)


def enable(db: Database, settings: Settings, code: str, *, now: datetime, who: str) -> Event:
    """Takes a vehicle into service again, with the devices that it had. Raises like `disable`."""
    with write_tx(db) as tx:
        found = _get(tx, code)
        if not found["disabled_at"]:
            raise Refused("it is not disabled", subject=code)
        vehicles.change(tx, found["id"], now, disabled_at=None)
        audit.record(tx, who, "vehicle.enabled", "vehicle", found["uid"], now, code)
    access.refresh(settings)
    return _changed(code)


def _get(tx: Tx, code: str) -> Row:
    found = vehicles.by_code(tx, code)
    if found is None:
        raise NotFound("no such vehicle", subject=code, hint="`depotbox vehicle list` shows them")
    return found


def _changed(code: str) -> Event:
    """Pages ask for the fleet anew: the vehicle has no alert that needs somebody because of this change."""
    return Event("alert", code, {"code": code, "state": None})
