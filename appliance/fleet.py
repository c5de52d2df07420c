"""Vehicles and their devices: adding and revoking them, with the broker told at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from msgspec import structs
from sqlite_utils import Database

from appliance import ca, log
from appliance.config import Settings
from appliance.device_setup import Credentials
from appliance.domain.trip import LevelOfService
from appliance.errors import DepotError, NotFound, Refused
from appliance.servers import access, accounts, tls
from appliance.storage import audit, devices, vehicles
from appliance.storage.db import Row, Tx, write_tx

_log = log.get(__name__)


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
    return login.told(username, code, f"{accounts.ROOT}/vehicles/{code}/gps")


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
        found = vehicles.by_code(tx, code)
        if found is None:
            raise NotFound("no such vehicle", subject=code, hint="`depotbox vehicle list` shows them")
        if found["disabled_at"]:
            raise Refused("it is disabled", subject=code, hint=f"depotbox vehicle enable {code}")
        username = login.add(tx, found["id"], code, now, who)
        if source:
            _make_source(tx, username, now, who)
    return login.told(username, code, f"{accounts.ROOT}/vehicles/{code}/gps/{username}")


def make_source(db: Database, username: str, *, now: datetime, who: str) -> Row:
    """Makes a device the source of its vehicle's position; the topics that it and the others write stay theirs. Returns
    its row with the vehicle's `code`. Raises NotFound where no such device is in use."""
    with write_tx(db) as tx:
        return _make_source(tx, username, now, who)


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


def replace_device(
    db: Database, settings: Settings, username: str, *, certificate: bool = False, now: datetime, who: str
) -> Credentials:
    """Adds a device in the place of one, which is revoked: one that was lost, or whose password was. The new one is the
    source of the position where the old one was. Raises NotFound and Refused as `add_device` and `revoke_device` do;
    what the broker could not be told is the `warning`, so that the password is not lost."""
    login = _Login(settings, certificate=certificate)
    with write_tx(db) as tx:
        old = devices.in_use(tx, username)
        if old is None:
            raise _not_in_use(username)
        code, vehicle = old["code"], vehicles.by_code(tx, old["code"])
        if vehicle is None or vehicle["disabled_at"]:
            raise Refused("it is disabled", subject=code, hint=f"depotbox vehicle enable {code}")
        new = login.add(tx, old["vehicle_id"], code, now, who)
        if old["position_source"]:
            _make_source(tx, new, now, who)
        devices.revoke(tx, username, now)
        audit.record(tx, who, "device.revoked", "device", old["uid"], now, f"{username}, replaced by {new}")
    told = login.told(new, code, f"{accounts.ROOT}/vehicles/{code}/gps/{new}")
    try:
        access.push_off(settings, username)
    except DepotError as error:
        _log.warning("fleet.broker_not_told", device=username, error=str(error))
        return structs.replace(told, warning=told.warning or f"{username} may stay connected: {error}")
    return told


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

    def told(self, username: str, code: str, topic: str) -> Credentials:
        """The broker learns of the device. A failure must not lose the password, which cannot be had again."""
        settings, warning = self._settings, None
        try:
            access.refresh(settings)
        except DepotError as error:
            warning = f"the broker does not know the device before its next start: {error}"
            _log.warning("fleet.broker_not_told", device=username, error=str(error))
        issued = None if self._serial is None else self._authority.device(username, self._serial)
        return Credentials(
            host=tls.host(settings.mqtt) if self._port else settings.mqtt.host,
            port=self._port or settings.mqtt.port,
            topic=topic,
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


def _make_source(tx: Tx, username: str, now: datetime, who: str) -> Row:
    found = devices.make_source(tx, username, now)
    if found is None:
        raise _not_in_use(username)
    audit.record(tx, who, "device.made_source", "device", found["uid"], now, username)
    return found


def _not_in_use(username: str) -> NotFound:
    return NotFound("no such device in use", subject=username, hint="`depotbox vehicle list` shows them")
