"""Vehicles and their devices: adding and revoking them, with the broker told at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

from msgspec import UNSET, Struct, UnsetType
from sqlite_utils import Database

from appliance import ca, log, typed
from appliance.config import Settings
from appliance.device_setup import Credentials
from appliance.domain.trip import LevelOfService, carries
from appliance.errors import DepotError, InputError, NotFound, Refused
from appliance.events import Event
from appliance.servers import access, accounts, tls
from appliance.storage import alerts, audit, devices, shifts, times, trips, vehicles
from appliance.storage.db import Row, Tx, write_tx

_log = log.get(__name__)


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


def add_vehicle(
    db: Database,
    settings: Settings,
    code: str,
    *,
    name: str = "",
    plate: str = "",
    levels: Collection[LevelOfService] = (LevelOfService.ambulatory,),
    certificate: bool = False,
    now: datetime,
    who: str,
) -> Credentials:
    """Adds a vehicle with its first device, the source of its position, which logs in with a password or a certificate.
    Raises InputError for a code that is taken or cannot stand in a topic, and Refused where there is no listener for
    certificates; then nothing was added."""
    login = _Login(settings, certificate=certificate)
    with write_tx(db) as tx:
        vehicle_id = vehicles.add(tx, code, now, name=name, plate=plate, levels=levels)
        username = login.add(tx, vehicle_id, code, now, who)
    return login.told(username, code, position_source=True)


def add_device(
    db: Database,
    settings: Settings,
    code: str,
    *,
    source: bool = False,
    certificate: bool = False,
    now: datetime,
    who: str,
) -> Credentials:
    """Adds one more device to a vehicle. It becomes the source of its position where the vehicle has none, and with
    `source`. Raises NotFound, and Refused as `add_vehicle` does."""
    login = _Login(settings, certificate=certificate)
    with write_tx(db) as tx:
        found = _vehicle(tx, code)
        if found["disabled_at"]:
            raise Refused("it is disabled", subject=code, hint=f"depotbox vehicle enable {code}")
        username = login.add(tx, found["id"], code, now, who)
        if source:
            _make_source(tx, username, now, who)
        chosen = devices.position_source(tx, found["id"])
    return login.told(username, code, position_source=chosen is not None and chosen["username"] == username)


def change_vehicle(tx: Tx, code: str, details: VehicleDetails, *, who: str, now: datetime) -> Event:
    """Changes what `details` gives. Raises NotFound, InputError, and Refused where a trip that the vehicle has needs a
    level of service that it would lose."""
    found = _vehicle(tx, code)
    changed = {name: value for name, value in typed.columns(details, _CHECKS).items() if found[name] != value}
    for trip in trips.open_of(tx, "vehicle_id", found["id"]) if "levels" in changed else []:
        if not carries([LevelOfService(level) for level in changed["levels"].split()], LevelOfService(trip["level"])):
            raise Refused(f"trip {trip['id']} needs {trip['level']}", subject=code, hint="assign it elsewhere first")
    if changed:
        vehicles.change(tx, found["id"], now, **changed)
        audit.record(tx, who, "vehicle.changed", "vehicle", found["uid"], now, ", ".join(sorted(changed)))
    return _changed(code)


def disable_vehicle(db: Database, settings: Settings, code: str, *, now: datetime, who: str) -> Event:
    """Takes a vehicle out of service: its shifts and its alert end, and the broker disconnects its devices and lets
    them in no more until it is enabled. What it drove stays readable.

    Raises NotFound; Refused where it is disabled already or trips are its, naming them; Unavailable as `revoke_device`.
    """
    with write_tx(db) as tx:
        found = _vehicle(tx, code)
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


def enable_vehicle(db: Database, settings: Settings, code: str, *, now: datetime, who: str) -> Event:
    """Takes a vehicle into service again, with the devices that it had. Raises like `disable_vehicle`."""
    with write_tx(db) as tx:
        found = _vehicle(tx, code)
        if not found["disabled_at"]:
            raise Refused("it is not disabled", subject=code)
        vehicles.change(tx, found["id"], now, disabled_at=None)
        audit.record(tx, who, "vehicle.enabled", "vehicle", found["uid"], now, code)
    access.refresh(settings)
    return _changed(code)


def make_source(db: Database, settings: Settings, username: str, *, now: datetime, who: str) -> Row:
    """Makes a device the source of its vehicle's position: from now on it alone may write the vehicle's plain topic.
    Returns its row with the vehicle's `code`. Raises like `revoke_device`."""
    with write_tx(db) as tx:
        found = _make_source(tx, username, now, who)
    access.refresh(settings)
    return found


def revoke_device(db: Database, settings: Settings, username: str, *, now: datetime, who: str) -> Row:
    """Revokes a device: the broker disconnects it, forgets its session and lets it in no more. Returns its row with the
    vehicle's `code`.

    Raises NotFound where no such device is in use, and Unavailable where a running broker could not be told: the
    device then is revoked, but may stay connected until the broker starts again.
    """
    with write_tx(db) as tx:
        found = devices.revoke(tx, username, now)
        if found is None:
            raise _not_in_use(username)
        audit.record(tx, who, "device.revoked", "device", found["uid"], now, username)
    access.refresh(settings)
    access.push_off(settings, username)
    return found


class _Login:
    """How a new device will log in. What takes long is made here, before the database is locked."""

    def __init__(self, settings: Settings, *, certificate: bool) -> None:
        mqtt = settings.mqtt
        if certificate and not mqtt.certificate_port:
            raise Refused("there is no listener for certificates", subject="mqtt.certificate_port = 0")
        self._settings = settings
        self._password = "" if certificate else accounts.new_password()
        self._serial = ca.new_serial() if certificate else None
        self._authority = ca.own(settings.paths)
        self._port = mqtt.certificate_port if certificate else mqtt.tls_port

    def add(self, tx: Tx, vehicle_id: int, code: str, now: datetime, who: str) -> str:
        hashed = accounts.password_hash(self._password) if self._password else None
        username = devices.add(tx, vehicle_id, code, hashed, now, certificate_serial=self._serial)
        added = devices.by_username(tx, username)
        assert added is not None
        audit.record(tx, who, "device.added", "device", added["uid"], now, username)
        return username

    def told(self, username: str, code: str, *, position_source: bool) -> Credentials:
        """The broker learns of the device. A failure must not lose the password, which cannot be had again."""
        settings, warning = self._settings, None
        try:
            access.refresh(settings)
        except DepotError as error:
            warning = f"the broker does not know the device before its next start: {error}"
            _log.warning("fleet.broker_not_told", device=username, error=str(error))
        issued = None if self._serial is None else self._authority.device(username, self._serial)
        branch = f"{accounts.ROOT}/vehicles/{code}/gps"
        return Credentials(
            host=tls.host(settings.mqtt) if self._port else settings.mqtt.host,
            port=self._port or settings.mqtt.port,
            topic=branch if position_source else f"{branch}/{username}",
            status_topic=f"{accounts.ROOT}/vehicles/{code}/status/{username}",
            client_id=username,
            username=username,
            password=self._password,
            ca_file=str(settings.paths.ca_certificate) if self._port else "",
            ca_url=tls.ca_url(settings) if self._port else "",
            ca_sha256=self._authority.fingerprint if self._port else "",
            ca_certificate=ca.public(settings.paths) if self._port else "",
            certificate=issued.certificate if issued else "",
            key=issued.key if issued else "",
            local_host="" if issued else settings.mqtt.host,
            local_port=0 if issued else settings.mqtt.port,
            warning=warning,
        )


def _vehicle(tx: Tx, code: str) -> Row:
    found = vehicles.by_code(tx, code)
    if found is None:
        raise NotFound("no such vehicle", subject=code, hint="`depotbox vehicle list` shows them")
    return found


def _changed(code: str) -> Event:
    """Pages ask for the fleet anew: the vehicle has no alert that needs somebody because of this change."""
    return Event("alert", code, {"code": code, "state": None})


def _make_source(tx: Tx, username: str, now: datetime, who: str) -> Row:
    found = devices.make_source(tx, username, now)
    if found is None:
        raise _not_in_use(username)
    audit.record(tx, who, "device.made_source", "device", found["uid"], now, username)
    return found


def _not_in_use(username: str) -> NotFound:
    return NotFound("no such device in use", subject=username, hint="`depotbox vehicle list` shows them")
