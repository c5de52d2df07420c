"""The trips of a recording as trips of the depot: made once, found again by their reference."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from sqlite_utils import Database

from appliance import dispatch
from appliance.config import Settings
from appliance.domain.fare import Rate
from appliance.domain.trip import LevelOfService
from appliance.jobs import Ask
from appliance.sender import Sender
from appliance.servers import access, accounts
from appliance.storage import devices, payers, people, trips, vehicles
from appliance.storage.db import Tx, write_tx
from mqtt_bridge.recording import Position, Recording

PAYER = "Recorded day"


@dataclass(frozen=True, slots=True)
class RecordedTrip:
    """One trip of the recording; `first` and `last` are indices into its positions."""

    id: int
    vehicle: str
    ref: str
    first: int
    last: int

    def event_id(self, event: str) -> str:
        """The same for every replay into the same depot, so that the box knows it again."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.ref}:{event}"))


def create(
    db: Database, settings: Settings, sender: Sender, recording: Recording, shift: timedelta, now: datetime
) -> list[RecordedTrip]:
    """Makes the vehicles, drivers and trips that are missing, and returns every trip of the recording in its order.

    Trips are keyed `replay:<digest>:<trip of the recording>`; their payer is a facility with one plain rate.
    """
    spans: dict[tuple[str, str], tuple[int, int]] = {}
    for index, position in enumerate(recording.positions):
        key = (position.vehicle, position.trip)
        spans[key] = (spans.get(key, (index, index))[0], index)
    asks: list[Ask] = []
    with write_tx(db) as tx:
        added = [_vehicle(tx, code, now) for code in sorted({vehicle for vehicle, _trip in spans})]
        _payer(tx, settings, now)
        found = [
            RecordedTrip(
                _trip(tx, recording, recording.positions[first], shift, now, asks),
                vehicle,
                _ref(recording, trip),
                first,
                last,
            )
            for (vehicle, trip), (first, last) in spans.items()
        ]
    sender.send(asks)
    if any(added):
        access.refresh(settings)
    return found


def unknown_vehicles(db: Database, positions: Iterable[Position]) -> list[str]:
    """Codes in the recording that the depot has no vehicle for."""
    return sorted(code for code in {position.vehicle for position in positions} if vehicles.by_code(db, code) is None)


def _vehicle(tx: Tx, code: str, now: datetime) -> bool:
    if vehicles.by_code(tx, code):
        return False
    id = vehicles.add(tx, code, now, name=f"Bus {code}")
    # The replay speaks through the box's own account; nobody ever learns this password.
    devices.add(tx, id, code, accounts.password_hash(accounts.new_password()), now)
    people.add_driver(tx, f"driver-{code}", f"Driver of {code}", now)
    return True


def _payer(tx: Tx, settings: Settings, now: datetime) -> None:
    if payers.by_name(tx, PAYER):
        return
    id = payers.add(
        tx, PAYER, "facility", now, address="1 Archive Road\nLiverpool", email="recorded-day@example.invalid"
    )
    rate = Rate(
        level=LevelOfService.ambulatory,
        valid_from=datetime(2020, 1, 1, tzinfo=settings.zone).date(),
        valid_to=None,
        base_cents=1500,
        per_unit_cents=240,
        unit=settings.depot.units,
        after_hours_cents=0,
        after_hours_from=time(0),
        after_hours_to=time(0),
    )
    payers.add_rate(tx, id, rate, now)


def _trip(tx: Tx, recording: Recording, first: Position, shift: timedelta, now: datetime, asks: list[Ask]) -> int:
    ref = _ref(recording, first.trip)
    known = trips.by_ref(tx, ref)
    if known:
        return int(known["id"])
    new = dispatch.NewTrip(
        pickup_at=first.at + shift,
        pickup_address=first.origin or f"{first.lat:.4f}, {first.lon:.4f}",
        dropoff_address=first.destination or "end of the recording",
        ref=ref,
        payer=PAYER,
        vehicle=first.vehicle,
        driver=f"driver-{first.vehicle}",
    )
    created = dispatch.create_trip(tx, new, now=now, who="replay")
    asks += created.jobs
    return created.id


def _ref(recording: Recording, trip: str) -> str:
    return f"replay:{recording.digest[:8]}:{trip}"
