"""The named cast of the tests: one van with its tracker, one driver, one payer with a rate, and trips of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from appliance import config, dispatch
from appliance.config import Settings
from appliance.dispatch import NewTrip, Outcome
from appliance.domain.fare import Line, Rate
from appliance.domain.fix import Fix
from appliance.domain.trip import Event, LevelOfService
from appliance.servers import accounts, mosquitto
from appliance.storage import devices, invoices, payers, people, vehicles
from appliance.storage.db import Tx, value, write_tx
from appliance.storage.gps_writer import Arrival
from appliance.storage.migrations import migrate

NOON = datetime(2026, 1, 26, 12, tzinfo=UTC)
VAN, OTHER_VAN, DRIVER, PAYER, PATIENT = "VAN-1", "VAN-2", "D1", "County Care", "Ada Marsh"
PASSWORD = "a device's password"
HOSPITAL = (53.4094, -2.9660)

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where the folders of tests lie, if there is one: no test here pulls the plug, and syncing takes half the time."""

CONFIG = """
[depot]
code = "LIV"
name = "Liverpool depot"
timezone = "Europe/London"
currency = "GBP"
units = "km"
legal_name = "Test Patient Transport Ltd"
address = "1 Test Yard"
tax_id = "GB 1"
bank_details = "Test Bank 1"
[clock]
trust = "system"
[mqtt]
tls_host = "127.0.0.1"
tls_port = 0
certificate_port = 0
[billing]
settle_s = 60.0
"""

RATE = Rate(
    level=LevelOfService.ambulatory,
    valid_from=date(2020, 1, 1),
    valid_to=None,
    base_cents=1500,
    per_unit_cents=200,
    unit="km",
    no_show_cents=900,
)


def depot(folder: Path, **more: str) -> Settings:
    """A depot as `init` leaves it. Its configuration is `folder/depotbox.toml`; `more` is from the environment."""
    file = folder / "depotbox.toml"
    file.write_text(CONFIG)
    environ = {"DEPOTBOX_CONFIG": str(file), "DEPOTBOX_STORAGE__DATA_DIR": str(folder / "data"), **more}
    settings = config.load(environ=environ)
    settings.paths.prepare()
    migrate(settings.paths.depot_db)
    mosquitto.make_secrets(settings.paths)
    return settings


def environ(settings: Settings) -> dict[str, str]:
    """The environment in which a process of the box finds this depot."""
    return {
        "DEPOTBOX_CONFIG": settings.file,
        "DEPOTBOX_STORAGE__DATA_DIR": settings.storage.data_dir,
        "DEPOTBOX_MQTT__PORT": str(settings.mqtt.port),
        "DEPOTBOX_MQTT__TLS_PORT": str(settings.mqtt.tls_port),
        "DEPOTBOX_MQTT__CERTIFICATE_PORT": str(settings.mqtt.certificate_port),
        "DEPOTBOX_BILLING__SETTLE_S": str(settings.billing.settle_s),
    }


class SetClock:
    """The box's clock in this process: it stands until it is moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at


@dataclass(frozen=True)
class Cast:
    """Who plays: ids of the rows."""

    van: int
    tracker: int
    other_van: int
    other_tracker: int
    driver: int
    payer: int


def hire(db: Database, now: datetime = NOON) -> Cast:
    """Adds the cast to an empty depot."""
    hashed = accounts.password_hash(PASSWORD)
    with write_tx(db) as tx:
        vans = [vehicles.add(tx, code, now, levels=("ambulatory", "wheelchair")) for code in (VAN, OTHER_VAN)]
        names = [devices.add(tx, van, code, hashed, now) for van, code in zip(vans, (VAN, OTHER_VAN), strict=True)]
        trackers = [int(value(tx, "SELECT id FROM devices WHERE username = ?", name)) for name in names]
        driver = people.add_driver(tx, DRIVER, "Dee Frost", now)
        payer = payers.add(tx, PAYER, "broker", now, email="bills@county.example", terms_days=14)
        payers.add_rate(tx, payer, RATE, now)
    return Cast(vans[0], trackers[0], vans[1], trackers[1], driver, payer)


def new_trip(tx: Tx, now: datetime = NOON, **changes: Any) -> int:
    """A trip of the cast, assigned to the van unless `vehicle=None`."""
    columns: dict[str, Any] = {
        "pickup_at": now + timedelta(minutes=10),
        "pickup_address": "12 Utting Avenue",
        "dropoff_address": "Royal Hospital",
        "payer": PAYER,
        "patient": PATIENT,
        "vehicle": VAN,
        "driver": DRIVER,
    }
    return dispatch.create_trip(tx, NewTrip(**(columns | changes)), now=now, who="test").id


def say(tx: Tx, trip_id: int, event: Event, at: datetime, now: datetime | None = None, **more: Any) -> Outcome:
    """The driver presses a button."""
    return dispatch.apply(tx, trip_id, event, at=at, now=now or at, source="driver", who=VAN, **more)


def ride(tx: Tx, trip_id: int, start: datetime, end: datetime, **more: Any) -> Outcome:
    """The patient is on board at `start`, and the trip is completed at `end`."""
    assert say(tx, trip_id, Event.on_board, start).accepted
    outcome = say(tx, trip_id, Event.completed, end, **more)
    assert outcome.accepted, outcome.reason
    return outcome


def issue(tx: Tx, cast: Cast, trip_id: int, **more: Any) -> int:
    """An invoice of 18.00 with its tax, whatever the trip."""
    number = invoices.next_number(tx, "LIV", 2026)
    issued = date(2026, 1, 26)
    lines = [
        Line("base", "Base fare", Decimal(1), "", 1500, 1500),
        Line("tax", "Tax 20 %", Decimal(20), "%", 1500, 300),
    ]
    return invoices.add(
        tx, number=number, trip_id=trip_id, payer_id=cast.payer, lines=lines, issued=issued, due=issued,
        currency="GBP", distance_m=1000.0, now=NOON, **{"document": {"number": number}} | more,
    )  # fmt: skip


def eastward(start: datetime, count: int, step_s: float = 10.0, metres: float = 100.0) -> list[Fix]:
    """Fixes on a straight way: `count` of them, each `metres` further east."""
    lat, lon = HOSPITAL
    degree_m = 66_300.0  # of longitude, at this latitude
    return [
        Fix(start + timedelta(seconds=step_s * n), lat, lon + n * metres / degree_m, speed_kmh=metres / step_s * 3.6)
        for n in range(count)
    ]


def arrivals(cast: Cast, fixes: list[Fix], received: datetime | None = None) -> list[Arrival]:
    """The fixes as they come from the van's tracker, at once unless `received` says when."""
    return [Arrival(cast.van, cast.tracker, fix, received or fix.at) for fix in fixes]
