"""What is decided about invoices besides their data: releasing a trip, asking again, and voiding. All is audited."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance import billing, clock, dispatch
from appliance.config import Settings
from appliance.domain.fare import Blocked
from appliance.domain.invoice import State
from appliance.errors import InputError, NotFound, Refused
from appliance.events import Event
from appliance.jobs import Ask
from appliance.storage import audit, invoices, jobs, times, trips
from appliance.storage.db import Row, Tx

WAITING = "waiting"
"""The reason of a finished trip whose invoice is on its way: its trail settles, or its job has not run yet."""
FAILED = "job_failed"
"""The reason of a finished trip where one of the jobs on that way has failed."""

_LONGEST_REASON = 200


def unbilled(db: Database, settings: Settings) -> list[Row]:
    """Every finished trip without a live invoice, oldest first, each with the `reason` why it has none."""
    waiting = WAITING if clock.trusted(settings) else Blocked.clock_untrusted.value
    failed = jobs.failed_keys(db)

    def reason(trip: Row) -> str:
        keys = (dispatch.completion_key(trip["id"]), dispatch.invoice_key(trip["id"]))
        return FAILED if failed.intersection(keys) else trip["reason"] or waiting

    return [{**trip, "reason": reason(trip)} for trip in trips.unbilled(db)]


def release(tx: Tx, trip_id: int, who: str, now: datetime) -> Ask | None:
    """A person releases a trip for billing (`billing.release = review`), which asks for its invoice. None where it was
    released before. Raises NotFound."""
    trip = _trip(tx, trip_id)
    if trip["released_at"]:
        return None
    trips.change(tx, trip_id, now, released_at=times.text(now))
    audit.record(tx, who, "release", "trip", trip["uid"], now)
    return dispatch.ask_for_invoice(tx, trip_id, now=now)


def ask_again(tx: Tx, trip_id: int, now: datetime) -> Ask:
    """Asks for a trip's invoice: of one that was blocked or whose invoice is void. Raises NotFound, and Refused for a
    trip that has one."""
    _trip(tx, trip_id)
    if live := invoices.live_of_trip(tx, trip_id):
        raise Refused(f"it is billed by {live['number']}", subject=f"trip {trip_id}")
    return dispatch.ask_for_invoice(tx, trip_id, now=now)


def ask_for_unblocked(tx: Tx, settings: Settings, now: datetime) -> list[Ask]:
    """Asks for the invoices of trips that were blocked and are not any more: a rate was added, the depot's address was
    set. A void invoice is replaced only when a person asks for it."""
    blocked = [trip["id"] for trip in trips.unbilled(tx) if trip["reason"] not in (None, Blocked.voided.value)]
    return [
        dispatch.ask_for_invoice(tx, trip_id, now=now) for trip_id in blocked if billing.billable(tx, trip_id, settings)
    ]


def void(
    tx: Tx, invoice_id: int, reason: str, *, replace: bool, who: str, now: datetime
) -> tuple[list[Ask], list[Event]]:
    """Makes an invoice void; with `replace` the trip's next invoice, which names it, is asked for.

    The number stays taken, reminders stop, and a mail that has not gone does not go. Raises NotFound, InputError
    without a reason, and Refused where it is void already or something was paid on it.
    """
    reason = " ".join(reason.split())
    if not 1 <= len(reason) <= _LONGEST_REASON:
        raise InputError(f"expected a text of 1 to {_LONGEST_REASON} characters", subject="reason")
    found = invoices.get(tx, invoice_id)
    if found is None:
        raise NotFound("no such invoice", subject=f"invoice {invoice_id}")
    if found["state"] == State.void:
        raise Refused("it is void already", subject=found["number"])
    if sum(invoices.payments(tx, invoice_id)):
        raise Refused("something was paid on it", subject=found["number"], hint="it is credited, not made void")
    invoices.void(tx, invoice_id, reason, now)
    trips.note_unbilled(tx, found["trip_id"], Blocked.voided.value)
    audit.record(tx, who, "invoice.voided", "invoice", found["uid"], now, reason)
    asks = [dispatch.ask_for_invoice(tx, found["trip_id"], now=now)] if replace else []
    said = {"id": invoice_id, "trip_id": found["trip_id"], "number": found["number"], "state": State.void.value}
    return asks, [Event("invoice", str(invoice_id), said)]


def _trip(tx: Tx, trip_id: int) -> Row:
    trip = trips.get(tx, trip_id)
    if trip is None:
        raise NotFound("no such trip", subject=f"trip {trip_id}")
    return trip
