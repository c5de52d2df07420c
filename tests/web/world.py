"""An invented depot in Liverpool: its vehicles, drivers, payers and a day of trips, all made through the real code."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from appliance import access, alerts, billing, config, dispatch
from appliance.config import Settings
from appliance.domain.fare import Rate
from appliance.domain.fix import Fix
from appliance.domain.presence import VehicleState
from appliance.domain.trip import Event, LevelOfService
from appliance.events import Event as LiveEvent
from appliance.servers import accounts
from appliance.storage import devices, gps_writer, payers, people, shifts, times, users, vehicles
from appliance.storage.db import Tx, open_depot, write_tx
from appliance.storage.migrations import migrate

PLACES = {
    "Royal Liverpool University Hospital, Mount Vernon Street": (53.4094, -2.9660),
    "Broadgreen Hospital, Thomas Drive": (53.4118, -2.8985),
    "Aintree Dialysis Unit, Longmoor Lane": (53.4655, -2.9318),
    "Alder Hey, Eaton Road": (53.4192, -2.8977),
    "12 Utting Avenue": (53.4372, -2.9549),
    "Flat 4, Larkhill Court, Queens Drive": (53.4378, -2.9290),
    "85 Townsend Lane": (53.4351, -2.9497),
    "Croxteth Park Care Home, Dwerryhouse Lane": (53.4425, -2.9010),
    "31 Edge Lane": (53.4068, -2.9405),
    "7 Muirhead Avenue": (53.4305, -2.9130),
    "Stoneycroft Surgery, Scott Street": (53.4195, -2.9160),
    "2 Petherick Road": (53.4530, -2.8890),
}  # fmt: skip
NAMES = (
    "Ada Marsh", "Bo Lindqvist", "Chidi Okoro", "Dora Klein", "Emil Novak", "Fay Whitmore", "Gus Romano", "Hana Ito",
    "Ivo Petrov", "June Carver", "Kwame Addo", "Lena Hoffmann", "Milo Byrne", "Nora Quist", "Otis Grant", "Pia Sand",
    "Quentin Vale", "Rosa Lima", "Sven Dahl", "Tess Moreau",
)  # fmt: skip
PICKUP_MIN = (-150, -120, -95, -80, -62, -44, -38, -25, -21, -12, -9, -4, 6, 15, 24, 40, 55, 75, 130, 200)
DRIVERS = ("Alex Rowe", "Bea Holt", "Cal Dunn", "Dee Frost", "Eli Stone", "Fern Nash", "Gil Pike", "Hope Lane")
LEVELS = ("ambulatory", "wheelchair", "ambulatory", "stretcher", "wheelchair", "ambulatory", "bariatric", "ambulatory")
BROKER = "Merseyside Care Broker"
FITTED = ("ambulatory", "wheelchair", "stretcher", "bariatric")


@dataclass(frozen=True)
class World:
    """What a test needs to know of the depot that was made."""

    settings: Settings
    now: datetime
    vehicles: dict[str, int]
    trips: dict[str, int]
    live: list[LiveEvent]
    """A `vehicle` event each, for the newest positions."""


ROLES = ("administrator", "dispatcher", "biller", "viewer")


@dataclass(frozen=True)
class SignedIn:
    """A user in a browser: what it sends. For `httpx`, and through `cookie` for a real browser."""

    session: str
    csrf: str

    @property
    def cookies(self) -> dict[str, str]:
        return {"depot": self.session}

    @property
    def headers(self) -> dict[str, str]:
        return {"X-CSRF-Token": self.csrf}

    def cookie(self, url: str) -> Any:
        """For `BrowserContext.add_cookies`."""
        return {"name": "depot", "value": self.session, "url": url, "httpOnly": True, "sameSite": "Lax"}


def address_of(role: str) -> str:
    """The e-mail address of the user with this role."""
    return f"{role}@depot.example"


def as_user(settings: Settings, role: str = "administrator") -> SignedIn:
    """Logs the user with this role in, without the password that nobody has set."""
    db = open_depot(settings.paths.depot_db)
    with write_tx(db) as tx:
        user = users.by_email(tx, address_of(role))
        assert user is not None
        session = access.begin_session(tx, user["id"], access.instant(datetime.now(UTC)))
    db.conn.close()
    return SignedIn(session, access.csrf_token(session))


def api_token(settings: Settings, role: str = "administrator", scope: str = "admin") -> dict[str, str]:
    """The header of a program that asks in the name of the user with this role."""
    db = open_depot(settings.paths.depot_db)
    with write_tx(db) as tx:
        _, token = access.create_token(tx, address_of(role), "test", scope, who="test", now=datetime.now(UTC))
    db.conn.close()
    return {"Authorization": f"Bearer {token}"}


def settings_for(data_dir: Path, **more: str) -> Settings:
    """The development settings over a data folder of the test's own."""
    return config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": str(data_dir), **more})


def empty(data_dir: Path) -> Settings:
    """A depot that is set up, has a user of each role, and knows nothing else yet."""
    settings = settings_for(data_dir)
    settings.paths.prepare()
    migrate(settings.paths.depot_db)
    db = open_depot(settings.paths.depot_db)
    with write_tx(db) as tx:
        for role in ROLES:
            users.add(tx, address_of(role), role.capitalize(), role, datetime.now(UTC))
    db.conn.close()
    return settings


def make(data_dir: Path, now: datetime) -> World:
    """Eight vehicles (five live, one stale, one silent, one that never sent) and twenty trips in every state."""
    settings = empty(data_dir)
    db = open_depot(settings.paths.depot_db)
    writer = gps_writer.Writer(settings.paths.gps_dir, late_s=1e9)
    try:
        with write_tx(db) as tx:
            fleet = _fleet(tx, now)
            trips = _trips(tx, settings, now)
        live = _fixes(writer, fleet, {code: _device(db, id) for code, id in fleet.items()}, now)
    finally:
        writer.close()
        db.conn.close()
    return World(settings, now, fleet, trips, live)


def _device(db: Database, vehicle: int) -> int:
    source = devices.position_source(db, vehicle)
    assert source is not None
    return int(source["id"])


def _fleet(tx: Tx, now: datetime) -> dict[str, int]:
    fleet = {}
    hashed = accounts.password_hash("known to nobody")
    for number, name in enumerate(DRIVERS, 1):
        code = f"V{number}"
        fleet[code] = vehicles.add(tx, code, now, name=f"Van {number}", plate=f"DX7{number} ABC", levels=FITTED)
        devices.add(tx, fleet[code], code, hashed, now)
        people.add_driver(tx, f"D{number}", name, now)
    broker = payers.add(tx, BROKER, "broker", now, address="1 Pier Head, Liverpool", email="bills@broker.example")
    for level in LevelOfService:
        if level is not LevelOfService.bariatric:  # so that one kind of trip cannot be billed
            rate = Rate(
                level, date(2020, 1, 1), None, base_cents=1200, per_unit_cents=185, unit="mile", no_show_cents=900
            )
            payers.add_rate(tx, broker, rate, now)
    return fleet


def _trips(tx: Tx, settings: Settings, now: datetime) -> dict[str, int]:
    chance = random.Random(7)
    places = list(PLACES)
    made = {}
    for number, patient in enumerate(NAMES):
        home, clinic = places[4 + number % 8], places[number % 4]
        pickup = now + timedelta(minutes=PICKUP_MIN[number])
        ref = f"T-{1001 + number}"
        trip_id = dispatch.create_trip(
            tx,
            dispatch.NewTrip(
                pickup_at=pickup, pickup_address=home, dropoff_address=clinic, level=LEVELS[number % 8], ref=ref,
                payer=BROKER, patient=patient, pickup_lat=PLACES[home][0], pickup_lon=PLACES[home][1],
                dropoff_lat=PLACES[clinic][0], dropoff_lon=PLACES[clinic][1], will_call=number == 18,
                appointment_at=pickup + timedelta(minutes=45) if number % 3 == 0 else None,
            ),
            now=now - timedelta(hours=6), who="test",
        ).id  # fmt: skip
        made[ref] = trip_id
        _drive(tx, settings, trip_id, number, pickup, now, chance)
    return made


def _drive(
    tx: Tx, settings: Settings, trip_id: int, number: int, pickup: datetime, now: datetime, chance: random.Random
) -> None:
    """The first seven trips are over, the next five under way, four assigned, and the rest wait."""

    def say(event: Event, at: datetime, **more: Any) -> None:
        outcome = dispatch.apply(tx, trip_id, event, at=at, now=at, source="driver", who="V1-1", **more)
        assert outcome.accepted, (number, event, outcome.reason)

    if number >= 16:
        return
    vehicle = number % 8 + 1 if number < 7 else number - 6 if number < 12 else number - 11
    say(Event.assign, pickup - timedelta(hours=1), vehicle=f"V{vehicle}", driver=f"D{vehicle}")
    if number >= 12:
        return
    arrived = pickup + timedelta(minutes=chance.choice((-3, 0, 2, 9)))
    if number == 5:
        say(Event.cancel, pickup - timedelta(minutes=20))
        return
    for event, at in (
        (Event.accepted, pickup - timedelta(minutes=30)),
        (Event.en_route, pickup - timedelta(minutes=14)),
        (Event.arrived_pickup, arrived),
        (Event.on_board, arrived + timedelta(minutes=4)),
        (Event.arrived_dropoff, arrived + timedelta(minutes=24)),
        (Event.completed, arrived + timedelta(minutes=27)),
    ):
        if number == 11 and event is Event.arrived_pickup:
            return
        if at > now or (number >= 7 and event is Event.completed):
            return
        if number == 6 and event is Event.on_board:
            say(Event.no_show, at + timedelta(minutes=12), contact_attempts=2, waited_s=900.0)
            return
        say(event, at)
    tx.conn.execute(
        "UPDATE trips SET distance_m = ?, duration_s = 1200, stops = 1, fixes = 80, completeness = 0.98 WHERE id = ?",
        (4200.0 + 700 * number, trip_id),
    )
    if number < 4:
        billing.generate(tx, trip_id, settings, now)


def _fixes(writer: gps_writer.Writer, fleet: dict[str, int], sources: dict[str, int], now: datetime) -> list[LiveEvent]:
    batch, live = gps_writer.Batch(), []
    stops = list(PLACES.values())
    newest_age_s = {"V6": 190, "V7": 2400}
    for number, (code, vehicle) in enumerate(fleet.items()):
        if code == "V8":
            continue
        newest = now - timedelta(seconds=newest_age_s.get(code, 3 + number))
        path = [_on_way(stops, number, minutes) for minutes in range(181)]
        for minute, (lat, lon, heading) in enumerate(path):
            at = newest - timedelta(minutes=180 - minute)
            fix = Fix(at.astimezone(UTC), lat, lon, speed_kmh=32.0 + minute % 9, heading_deg=heading)
            batch.arrivals.append(gps_writer.Arrival(vehicle, sources[code], fix, fix.at))
        last = batch.arrivals[-1].fix
        live.append(vehicle_event(code, last.at, last.lat, last.lon, last.heading_deg or 0.0))
    writer.commit(batch, now)
    return live


def troubled(made: World) -> list[LiveEvent]:
    """Then V3 is parked, V4 stuck, V5 offline, and the dispatchers were told of V5, which is on a trip. Returns the
    `vehicle` events that say so."""
    db = open_depot(made.settings.paths.depot_db)
    with write_tx(db) as tx:
        tx.conn.execute("UPDATE drivers SET phone = '+44 151 496 01' || substr(code, 2) || '0'")
        duty = shifts.at_work(tx, made.now)["V5"]
        alerts.open_alert(tx, duty, VehicleState.offline, made.now - timedelta(minutes=7), made.settings, made.now)
    db.conn.close()
    now, ago = made.now, lambda minutes: times.text(made.now - timedelta(minutes=minutes))
    return [
        vehicle_event("V3", now, 53.412, -2.975, state="parked", standing_since=ago(20)),
        vehicle_event("V4", now - timedelta(minutes=9), 53.430, -2.930, state="stuck", received_at=ago(9),
                      repeated_at=ago(0)),
        vehicle_event("V5", now - timedelta(minutes=7), 53.445, -2.905, state="offline", offline_at=ago(7)),
    ]  # fmt: skip


def vehicle_event(code: str, at: datetime, lat: float, lon: float, heading_deg: float = 0.0, **signs: str) -> LiveEvent:
    """A `vehicle` event as the bridge publishes it, with its state and what that follows from."""
    data = {
        "code": code,
        "at": times.text(at),
        "lat": lat,
        "lon": lon,
        "speed_kmh": 34.0,
        "heading_deg": heading_deg,
        "trip_id": None,
        "state": "live",
        **signs,
    }
    return LiveEvent("vehicle", code, data)


def _on_way(stops: list[tuple[float, float]], number: int, minute: int) -> tuple[float, float, float]:
    """A place on a zigzag between two stops, 12 minutes each, as streets would have it."""
    leg, part = divmod(minute + 5 * number, 12)
    (lat1, lon1), (lat2, lon2) = stops[(leg + 3 * number) % len(stops)], stops[(leg + 1 + 3 * number) % len(stops)]
    share = part / 12
    east = min(1.0, share * 2)
    north = max(0.0, share * 2 - 1)
    heading = (90.0 if lon2 > lon1 else 270.0) if east < 1 else (0.0 if lat2 > lat1 else 180.0)
    wiggle = 0.0006 * math.sin(minute * 1.3 + number)
    return lat1 + (lat2 - lat1) * north + wiggle, lon1 + (lon2 - lon1) * east, heading
