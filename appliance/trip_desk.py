"""What is decided about the data of a trip: when and where to, for whom and how, and who pays."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from appliance import crews, dispatch, typed
from appliance.dispatch import Outcome
from appliance.domain import trip
from appliance.domain.trip import State
from appliance.errors import NotFound, Refused
from appliance.events import Event as LiveEvent
from appliance.storage import audit, invoices, payers, times, trips, vehicles
from appliance.storage.db import Row, Tx

_SEALED = (State.cancelled, State.missed)


class TripDetails(Struct, frozen=True, kw_only=True):
    """What is planned of a trip; what is left out stays as it is. `payer` and `patient` are names, times are aware."""

    pickup_at: datetime | UnsetType = UNSET
    appointment_at: datetime | UnsetType | None = UNSET
    pickup_address: str | UnsetType = UNSET
    dropoff_address: str | UnsetType = UNSET
    level: str | UnsetType = UNSET
    payer: str | UnsetType | None = UNSET
    patient: str | UnsetType | None = UNSET


def change(tx: Tx, trip_id: int, details: TripDetails, *, now: datetime, who: str) -> Outcome:
    """Changes what `details` gives. A place whose address changes is no longer known on the map. A finished trip that
    waited for what is changed is asked to be billed again.

    Raises NotFound and InputError by the field, and Refused where the trip is over for good, is invoiced, or its
    vehicle is not fitted for the new level of service.
    """
    found = trips.get(tx, trip_id)
    if found is None:
        raise NotFound("no such trip", subject=f"trip {trip_id}")
    state = State(found["state"])
    changed = {name: given for name, given in _columns(tx, found, details, now).items() if found[name] != given}
    if not changed:
        return Outcome(True, None, state)
    if state in _SEALED:
        raise Refused(f"the trip is {trip.STATE_WORDS[state]}", subject=f"trip {trip_id}", hint="reopen it first")
    if invoices.live_of_trip(tx, trip_id):
        raise Refused("the trip is invoiced", subject=f"trip {trip_id}", hint="void the invoice first")
    if "level" in changed and (code := vehicles.code_of(tx, found["vehicle_id"])):
        vehicle = vehicles.by_code(tx, code)
        if vehicle and (reason := crews.not_fitted(vehicle, changed["level"])):
            raise Refused(f"vehicle {code} is {reason}", subject="level", hint="take the trip off its vehicle first")
    for place in ("pickup", "dropoff"):
        if f"{place}_address" in changed:
            changed |= {f"{place}_lat": None, f"{place}_lon": None}
    trips.change(tx, trip_id, now, **changed)
    # By the names of the fields: an address is a patient's.
    told = sorted(name for name in changed if not name.endswith(("_lat", "_lon")))
    audit.record(tx, who, "trip.changed", "trip", found["uid"], now, ", ".join(told))
    live = [LiveEvent("trip", str(trip_id), {"id": trip_id, "state": state.value})]
    if code := vehicles.code_of(tx, found["vehicle_id"]):
        live.append(LiveEvent("assignment", code, {}))
    asks = [dispatch.ask_for_invoice(tx, trip_id, now=now)] if found["unbilled_reason"] else []
    return Outcome(True, None, state, asks, live)


def _columns(tx: Tx, found: Row, details: TripDetails, now: datetime) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in ("pickup_at", "appointment_at"):
        at = getattr(details, name)
        if at is not UNSET and at != times.parse_or_none(found[name]):
            typed.near(name, at, now)
            columns[name] = times.text(at) if at else None
    for name in ("pickup_address", "dropoff_address"):
        if (given := getattr(details, name)) is not UNSET:
            columns[name] = dispatch.address(name, given)
    if details.level is not UNSET:
        columns["level"] = dispatch.known_level(details.level)
    if details.payer is not UNSET:
        columns["payer_id"] = dispatch.known_payer(tx, details.payer)
    if details.patient is not UNSET:
        columns["patient_id"] = dispatch.patient_of(tx, details.patient, now)
        if columns["patient_id"] and not (details.payer or found["payer_id"]):
            payer = payers.of_patient(tx, columns["patient_id"])
            columns |= {"payer_id": payer["id"]} if payer else {}
    return columns
