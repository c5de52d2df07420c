"""The demonstration depot: invented people and places in the east of Liverpool. Made once a data folder."""

from __future__ import annotations

import random
from datetime import datetime, time, timedelta

from sqlite_utils import Database

from appliance import dispatch
from appliance.access import DEMONSTRATION
from appliance.config import Settings
from appliance.dispatch import Created
from appliance.domain.fare import Rate
from appliance.domain.trip import Event, LevelOfService
from appliance.servers import access, accounts
from appliance.storage import devices, identity, payers, people, users, vehicles
from appliance.storage.db import Tx, write_tx
from mqtt_bridge.drive import Point

PLACES: dict[str, Point] = {
    "Broadgreen Day Clinic": (53.4112, -2.8977),
    "Old Swan Health Centre": (53.4137, -2.9096),
    "Tuebrook Renal Unit": (53.4271, -2.9296),
    "Stoneycroft Care Home": (53.4187, -2.9152),
    "Norris Green Surgery": (53.4447, -2.9237),
    "West Derby Village": (53.4337, -2.9069),
    "Knotty Ash Rehabilitation": (53.4163, -2.8907),
    "Croxteth Park Lodge": (53.4422, -2.8922),
    "Wavertree Eye Clinic": (53.4008, -2.9199),
    "Kensington Pharmacy": (53.4118, -2.9451),
    "Clubmoor Daycentre": (53.4368, -2.9331),
    "Childwall Outpatients": (53.3959, -2.8833),
}

# (code, driver, levels of service)
VANS = (
    ("VAN-01", "Amira Okafor", "ambulatory wheelchair"),
    ("VAN-02", "Tomasz Lewandowski", "ambulatory wheelchair"),
    ("VAN-03", "Grace Penhaligon", "ambulatory"),
    ("VAN-04", "Dev Ramanathan", "ambulatory wheelchair stretcher"),
    ("VAN-05", "Siobhan Carty", "ambulatory"),
    ("VAN-06", "Luca Ferrante", "ambulatory wheelchair"),
    ("VAN-07", "Hana Sørensen", "ambulatory wheelchair bariatric"),
    ("VAN-08", "Joseph Adeyemi", "ambulatory stretcher"),
)

PATIENTS = (
    "Edith Marlowe", "Ronald Timms", "Béatrice Lacombe", "Winston Achebe", "Margaret Oldroyd", "Pavel Novotný",
    "Dorothy Quayle", "Harold Binns", "Nasreen Qureshi", "Agnes Whitlock", "Clifford Owusu", "Maureen Tattersall",
)  # fmt: skip

PAYERS = ("Mersey Transport Desk", "Tuebrook Renal Unit Accounts")
USERS = {
    "administrator": "Ruth Calloway",
    "dispatcher": "Imran Sheikh",
    "biller": "Petra Vogel",
    "viewer": "Owen Blythe",
}


def prepare(db: Database, settings: Settings, now: datetime) -> None:
    """Makes vehicles, drivers, patients and payers, once; and some trips that wait for a dispatcher, once a day."""
    with write_tx(db) as tx:
        made = identity.get(tx, DEMONSTRATION, "")
        if not made:
            _people(tx, settings, now)
        today = now.astimezone(settings.zone).date().isoformat()
        if made != today:
            _waiting_trips(tx, random.Random(today), now)  # noqa: S311  a demonstration, not a secret
            identity.put(tx, DEMONSTRATION, today)
    if not made:
        access.refresh(settings)


def new_trip(
    tx: Tx, dice: random.Random, van: str, way: tuple[str, str], pickup_at: datetime, now: datetime
) -> Created:
    """A trip from one place to another, assigned to the van."""
    return _trip(tx, dice, *way, pickup_at, now=now, vehicle=van)


def _people(tx: Tx, settings: Settings, now: datetime) -> None:
    for role, name in USERS.items():
        users.add(tx, f"{role}@demo-depot.example", name, role, now)
    for code, driver, levels in VANS:
        id = vehicles.add(tx, code, now, name=f"Van {code[-2:]}", levels=levels.split())
        # The demonstration's fleet speaks through the box's own account; nobody ever learns this password.
        devices.add(tx, id, code, accounts.password_hash(accounts.new_password()), now)
        people.add_driver(tx, _driver(code), driver, now, phone=f"+44 151 496 01{code[-2:]}")
    for index, name in enumerate(PATIENTS):
        email = f"patient{index + 1}@example.invalid"
        id = people.add_patient(tx, name, now, address=f"{3 * index + 2} Example Terrace, Liverpool", email=email)
        if index % 4 == 0:
            # Pays for itself; every second one of them has agreed to mail, the others go on the print list.
            payer = payers.add(
                tx, name, "patient", now, patient_id=id, email=email, address=f"{3 * index + 2} Example Terrace"
            )
            _rates(tx, payer, settings, now)
            people.record_consent(tx, id, index % 8 == 0, "demonstration", now)
    for name in PAYERS:
        payer = payers.add(
            tx,
            name,
            "broker" if name == PAYERS[0] else "facility",
            now,
            address="Accounts payable\n12 Sample Street\nLiverpool L13 0AA",
            email=f"{name.split()[0].lower()}@example.invalid",
        )
        _rates(tx, payer, settings, now)


def _rates(tx: Tx, payer: int, settings: Settings, now: datetime) -> None:
    bases = {"ambulatory": 1450, "wheelchair": 2450, "stretcher": 4800, "bariatric": 5600}
    for level, base in bases.items():
        rate = Rate(
            level=LevelOfService(level),
            valid_from=datetime(2020, 1, 1, tzinfo=settings.zone).date(),
            valid_to=None,
            base_cents=base,
            per_unit_cents=245,
            unit=settings.depot.units,
            wait_per_min_cents=50,
            free_wait_min=10,
            after_hours_cents=900,
            after_hours_from=time(20),
            after_hours_to=time(6),
            no_show_cents=1200,
        )
        payers.add_rate(tx, payer, rate, now)


def _waiting_trips(tx: Tx, dice: random.Random, now: datetime) -> None:
    names = list(PLACES)
    for minutes in (20, 35, 50, 75, 110, 160):
        start, end = dice.sample(names, 2)
        _trip(tx, dice, start, end, now + timedelta(minutes=minutes), now=now)
    start, end = dice.sample(names, 2)
    _trip(tx, dice, start, end, now + timedelta(minutes=90), now=now, will_call=True)
    start, end = dice.sample(names, 2)
    cancelled = _trip(tx, dice, start, end, now + timedelta(minutes=45), now=now).id
    dispatch.apply(tx, cancelled, Event.cancel, at=now, now=now, source="dispatcher", who="demonstration")


def _trip(
    tx: Tx,
    dice: random.Random,
    start: str,
    end: str,
    pickup_at: datetime,
    *,
    now: datetime,
    vehicle: str | None = None,
    will_call: bool = False,
) -> Created:
    carried = next((levels.split() for code, _, levels in VANS if code == vehicle), ["ambulatory", "wheelchair"])
    index = dice.randrange(len(PATIENTS))
    new = dispatch.NewTrip(
        pickup_at=pickup_at,
        pickup_address=start,
        dropoff_address=end,
        level=dice.choice(carried),
        payer=None if index % 4 == 0 else dice.choice(PAYERS),
        patient=PATIENTS[index],
        pickup_lat=PLACES[start][0],
        pickup_lon=PLACES[start][1],
        dropoff_lat=PLACES[end][0],
        dropoff_lon=PLACES[end][1],
        vehicle=vehicle,
        driver=_driver(vehicle) if vehicle else None,
        will_call=will_call,
    )
    return dispatch.create_trip(tx, new, now=now, who="demonstration")


def _driver(van: str) -> str:
    return f"driver-{van[-2:]}"
