"""Vehicles and their devices: adding and revoking them, with the broker told at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from msgspec import Struct
from sqlite_utils import Database

from appliance import log
from appliance.config import Settings
from appliance.domain.trip import LevelOfService
from appliance.errors import DepotError, NotFound
from appliance.servers import accounts, mosquitto
from appliance.storage import audit, devices, vehicles
from appliance.storage.db import Row, Tx, write_tx

_log = log.get(__name__)


class Credentials(Struct, frozen=True, omit_defaults=True):
    """What a new device is set up with. The password is known here and nowhere else: the box keeps its hash.

    `topic` takes the device's fixes. `warning` is there only when the broker could not be told: it then knows the
    device from its next start on.
    """

    host: str
    port: int
    topic: str
    client_id: str
    username: str
    password: str
    warning: str | None = None


def add_vehicle(
    db: Database,
    settings: Settings,
    code: str,
    *,
    name: str = "",
    plate: str = "",
    levels: Collection[LevelOfService] = (LevelOfService.ambulatory,),
    now: datetime,
    who: str,
) -> Credentials:
    """Adds a vehicle with its first device, the source of its position. Raises InputError for a code that is taken or
    cannot stand in a topic; then nothing was added."""
    password = accounts.new_password()
    with write_tx(db) as tx:
        vehicle_id = vehicles.add(tx, code, now, name=name, plate=plate, levels=levels)
        username = _add_device(tx, vehicle_id, code, password, now, who)
    return _tell(settings, code, username, password, position_source=True)


def add_device(db: Database, settings: Settings, code: str, *, now: datetime, who: str) -> Credentials:
    """Adds one more device to a vehicle: the source of its position only where it has none. Raises NotFound."""
    password = accounts.new_password()
    with write_tx(db) as tx:
        found = vehicles.by_code(tx, code)
        if found is None or found["disabled_at"]:
            raise NotFound("no such vehicle", subject=code, hint="`depotbox vehicle list` shows them")
        username = _add_device(tx, found["id"], code, password, now, who)
        source = devices.position_source(tx, found["id"])
    first = source is not None and source["username"] == username
    return _tell(settings, code, username, password, position_source=first)


def revoke_device(db: Database, settings: Settings, username: str, *, now: datetime, who: str) -> Row:
    """Revokes a device: the broker disconnects it and lets it in no more. Returns its row with the vehicle's `code`.

    Raises NotFound where no such device is in use, and Unavailable where a running broker could not be told: the
    device then is revoked, but stays connected until the broker starts again.
    """
    with write_tx(db) as tx:
        found = devices.revoke(tx, username, now)
        if found is None:
            raise NotFound("no such device in use", subject=username, hint="`depotbox vehicle list` shows them")
        audit.record(tx, who, "device.revoked", "device", found["uid"], now, username)
    mosquitto.refresh_accounts(settings)
    return found


def _add_device(tx: Tx, vehicle_id: int, code: str, password: str, now: datetime, who: str) -> str:
    username = devices.add(tx, vehicle_id, code, accounts.password_hash(password), now)
    added = devices.by_username(tx, username)
    assert added is not None
    audit.record(tx, who, "device.added", "device", added["uid"], now, username)
    return username


def _tell(settings: Settings, code: str, username: str, password: str, *, position_source: bool) -> Credentials:
    """The broker learns of the device. A failure must not lose the password, which cannot be had again."""
    warning = None
    try:
        mosquitto.refresh_accounts(settings)
    except DepotError as error:
        warning = f"the broker does not know the device before its next start: {error}"
        _log.warning("fleet.broker_not_told", device=username, error=str(error))
    branch = f"{accounts.ROOT}/vehicles/{code}/gps"
    return Credentials(
        host=settings.mqtt.host,
        port=settings.mqtt.port,
        topic=branch if position_source else f"{branch}/{username}",
        client_id=username,
        username=username,
        password=password,
        warning=warning,
    )
