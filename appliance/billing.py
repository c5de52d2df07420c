"""Invoices: issuing one for a trip, once; who gets it; what a changed distance means for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from appliance import clock, dispatch, jobs
from appliance.config import Settings
from appliance.domain import fare, invoice
from appliance.domain.fare import Blocked, Line
from appliance.domain.trip import LevelOfService, State
from appliance.errors import Busy, NotFound, Transient
from appliance.events import Event
from appliance.storage import adjustments, invoices, notifications, payers, people, times, trips, uplink
from appliance.storage import jobs as job_rows
from appliance.storage.db import Row, Tx


def answer(found: Row) -> dict[str, Any]:
    """What `generate_invoice` returns."""
    return {
        "invoice_id": found["id"],
        "number": found["number"],
        "total_cents": found["total_cents"],
        "currency": found["currency"],
    }


def generate(
    tx: Tx, trip_id: int, settings: Settings, now: datetime
) -> tuple[dict[str, Any], list[jobs.Ask], list[Event]]:
    """The trip's live invoice, issued now if it has none, with the jobs and events that follow.

    Missing data issues nothing: the answer is `{"blocked": reason}`, and the reason stands on the trip.
    Raises Transient while the clock is not trusted, Busy while the trip settles, NotFound for an unknown trip.
    """
    trip = trips.get(tx, trip_id)
    if trip is None:
        raise NotFound("no such trip", subject=f"trip {trip_id}")
    if live := invoices.live_of_trip(tx, trip_id):
        return answer(live), [], []
    if not clock.trusted(settings):
        raise Transient(
            "the clock is not trusted", subject=f"trip {trip_id}", hint="invoices wait for the time service"
        )
    if (
        trip["state"] == State.completed
        and not trips.is_measured(trip)
        and job_rows.is_open(tx, dispatch.completion_key(trip_id))
    ):
        raise Busy("its trail is not closed yet", subject=f"trip {trip_id}")
    priced = _price_released(tx, trip, settings)
    if isinstance(priced, Blocked):
        if priced is not Blocked.not_finished:
            trips.note_unbilled(tx, trip_id, priced.value)
            said = f"Trip {trip_id} cannot be billed: {priced.value.replace('_', ' ')}."
            notifications.tell_role(tx, "biller", "trip_unbilled", said, f"unbilled:{trip_id}:{priced.value}", now)
        return {"blocked": priced.value}, [], []
    payer = payers.get(tx, trip["payer_id"])
    assert payer is not None
    issued = now.astimezone(settings.zone).date()
    due = invoice.due_on(issued, payer["terms_days"])
    number = invoices.next_number(tx, settings.depot.code, issued.year)
    id = invoices.add(
        tx,
        number=number,
        trip_id=trip_id,
        payer_id=payer["id"],
        lines=priced,
        issued=issued,
        due=due,
        currency=settings.depot.currency,
        distance_m=trip["distance_m"],
        document=_document(tx, trip, payer, priced, settings, number, issued.isoformat(), due.isoformat()),
        now=now,
        replaces_id=invoices.last_void_of_trip(tx, trip_id),
    )
    trips.note_unbilled(tx, trip_id, None)
    found = invoices.get(tx, id)
    assert found is not None
    return (
        answer(found),
        [ask_to_send(tx, id, now)],
        [Event("invoice", str(id), {"id": id, "trip_id": trip_id, "number": number})],
    )


def ask_to_send(tx: Tx, invoice_id: int, now: datetime, *, copy: int = 0) -> jobs.Ask:
    """Asks for the invoice to be mailed, or put on the print list: one job waits at a time. `copy` counts how often it
    went out again by mail."""
    arguments = {"invoice_id": invoice_id} | ({"copy": copy} if copy else {})
    key = f"invoice-mail:{invoice_id}"
    return jobs.enqueue_call(tx, "billing.tasks.send_invoice_email", arguments, now=now, key=key)


def billable(tx: Tx, trip_id: int, settings: Settings) -> bool:
    """Whether nothing is missing any more for the trip's invoice."""
    trip = trips.get(tx, trip_id)
    return trip is not None and not isinstance(_price_released(tx, trip, settings), Blocked)


def adjust(tx: Tx, trip_id: int, settings: Settings, now: datetime) -> bool:
    """True when the trip is invoiced already; raises an adjustment where today's measure has another price than the
    invoice, unless a person has dismissed that price for it."""
    live = invoices.live_of_trip(tx, trip_id)
    trip = trips.get(tx, trip_id)
    if live is None or trip is None:
        return False
    priced = _price(tx, trip, settings)
    if isinstance(priced, Blocked):
        return True
    total_cents = fare.total_cents(priced)
    if total_cents == live["total_cents"] or adjustments.was_dismissed(tx, live["id"], total_cents):
        adjustments.lapse(tx, live["id"], now)  # a later measure has brought an old price back
        return True
    adjustments.open_for(tx, live["id"], live["distance_m"] or 0.0, trip["distance_m"] or 0.0, total_cents, now)
    price, billed = (invoice.money(cents, live["currency"]) for cents in (total_cents, live["total_cents"]))
    said = f"Trip {trip_id} was measured again: {live['number']} would be {price} and not {billed}."
    key = f"adjustment:{live['id']}:{total_cents}"
    notifications.tell_role(tx, "biller", "invoice_adjustment", said, key, now)
    return True


def recipient(tx: Tx, payer: Row) -> str | None:
    """Where the payer's mail goes; None puts the invoice on the print list. A patient gets mail only with recorded
    consent."""
    if payer["delivery"] != "mail":
        return None
    if payer["kind"] == "patient" and not people.consents_to_email(tx, payer["patient_id"]):
        return None
    return payer["email"] or None


def _price_released(tx: Tx, trip: Row, settings: Settings) -> list[Line] | Blocked:
    if settings.billing.release == "review" and trip["released_at"] is None:
        return Blocked.not_released
    if settings.upstream.url and uplink.holds_billing(tx, trip["id"]):
        return Blocked.not_recovered
    return _price(tx, trip, settings)


def _price(tx: Tx, trip: Row, settings: Settings) -> list[Line] | Blocked:
    if trip["state"] not in (State.completed, State.no_show):
        return Blocked.not_finished
    depot = settings.depot
    if not (depot.legal_name and depot.address and depot.tax_id and depot.bank_details):
        return Blocked.issuer_incomplete
    if trip["payer_id"] is None:
        return Blocked.no_payer
    pickup = _pickup(trip, settings)
    level = LevelOfService(trip["level"])
    rate = fare.pick_rate(payers.rates(tx, trip["payer_id"]), level, pickup.date())
    if rate is None:
        return Blocked.no_rate
    no_show = trip["state"] == State.no_show
    arrived, boarded = times.parse_or_none(trip["arrived_pickup_at"]), times.parse_or_none(trip["on_board_at"])
    wait_min = max(0.0, (boarded - arrived).total_seconds() / 60) if arrived and boarded else 0.0
    if not no_show and fare.is_implausible(wait_min, _ride_min(trip)):
        return Blocked.implausible_times
    ride = fare.Ride(
        level=level,
        pickup_local=pickup,
        distance_m=trip["distance_m"],
        wait_min=wait_min,
        no_show=no_show,
        shared_with=trips.shared_with(tx, trip),
    )
    if ride.distance_m is None and fare.needs_distance(ride, rate):
        return Blocked.no_distance
    return fare.price(ride, rate)


def _ride_min(trip: Row) -> float:
    """How long a completed trip carried its patient, by its stamps: what its trail was measured by."""
    start, end = trips.window(trip)
    return (end - start).total_seconds() / 60


def _pickup(trip: Row, settings: Settings) -> datetime:
    """The local time by which a trip is priced, and which its invoice shows: arrival at the pickup, or what of the
    later and the planned is known."""
    return times.parse(trip["arrived_pickup_at"] or trip["on_board_at"] or trip["pickup_at"]).astimezone(settings.zone)


def _document(
    tx: Tx, trip: Row, payer: Row, lines: list[Line], settings: Settings, number: str, issued: str, due: str
) -> dict[str, Any]:
    """All that the PDF shows, frozen: what changes later in the depot or at the payer changes no issued invoice."""
    patient = people.patient(tx, trip["patient_id"])
    depot = settings.depot
    distance_m = trip["distance_m"]
    return {
        "number": number,
        "issued_on": issued,
        "due_on": due,
        "currency": depot.currency,
        "issuer": {
            "name": depot.legal_name,
            "address": depot.address,
            "tax_id": depot.tax_id,
            "bank_details": depot.bank_details,
        },
        "payer": {"name": payer["name"], "address": payer["address"]},
        "trip": {
            "reference": trip["ref"] or f"trip {trip['id']}",
            "pickup": _pickup(trip, settings).isoformat("T", "minutes"),
            "from": trip["pickup_address"],
            "to": trip["dropoff_address"],
            "level": trip["level"],
            "patient": patient["name"] if patient and payer["kind"] != "patient" else None,
            "distance": f"{distance_m / float(fare.METRES[depot.units]):.1f} {depot.units}"
            if distance_m is not None
            else None,
        },
        "lines": [
            {
                "kind": line.kind,
                "text": line.text,
                "quantity": str(line.quantity),
                "unit": line.unit,
                "unit_cents": line.unit_cents,
                "amount_cents": line.amount_cents,
            }
            for line in lines
        ],
        "total_cents": fare.total_cents(lines),
        "tax_cents": sum(line.amount_cents for line in lines if line.kind == "tax"),
    }
