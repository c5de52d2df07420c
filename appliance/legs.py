"""The way back: planning the return leg of a trip, and what becomes of it when the way there does not happen."""

from __future__ import annotations

from datetime import datetime

from appliance import dispatch
from appliance.dispatch import Created, Outcome
from appliance.domain.trip import CancelledBy, Event
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import payers, people, times, trips
from appliance.storage.db import Tx


def plan_return(tx: Tx, outbound_id: int, *, pickup_at: datetime, will_call: bool, now: datetime, who: str) -> Created:
    """The same patient, payer and level from where the outbound leg ends to where it begins. Of a will-call `pickup_at`
    is only a guess. Raises NotFound and InputError."""
    outbound = trips.get(tx, outbound_id)
    if outbound is None:
        raise NotFound("no such trip", subject=f"outbound_trip_id {outbound_id}")
    if pickup_at <= times.parse(outbound["pickup_at"]):
        raise InputError("expected a time after the pickup of the way there", subject="return_at")
    patient = people.patient(tx, outbound["patient_id"])
    payer = payers.get(tx, outbound["payer_id"]) if outbound["payer_id"] else None
    new = dispatch.NewTrip(
        pickup_at=pickup_at,
        pickup_address=outbound["dropoff_address"],
        dropoff_address=outbound["pickup_address"],
        pickup_lat=outbound["dropoff_lat"],
        pickup_lon=outbound["dropoff_lon"],
        dropoff_lat=outbound["pickup_lat"],
        dropoff_lon=outbound["pickup_lon"],
        level=outbound["level"],
        patient=patient["name"] if patient and not patient["erased_at"] else None,
        payer=payer["name"] if payer and payer["kind"] != "patient" else None,
        will_call=will_call,
        outbound_trip_id=outbound_id,
    )
    return dispatch.create_trip(tx, new, now=now, who=who)


def cancel_returns(
    tx: Tx, outbound_id: int, *, by: CancelledBy | None, now: datetime, who: str, note: str = ""
) -> list[Outcome]:
    """Cancels the return legs of a trip that have not ended. Raises Refused where one cannot be."""
    outcomes = []
    for leg in trips.open_returns(tx, outbound_id):
        outcome = dispatch.apply(
            tx, leg["id"], Event.cancel, at=now, now=now, source="dispatcher", who=who, cancelled_by=by, note=note
        )
        if not outcome.accepted:
            raise Refused(outcome.reason or "it cannot be cancelled", subject=f"trip {leg['ref'] or leg['id']}")
        outcomes.append(outcome)
    return outcomes
