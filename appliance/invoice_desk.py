"""What people decide about invoices: releasing a trip, asking again, voiding, adjustments, payments, disputes. All is
audited."""

from __future__ import annotations

from datetime import date, datetime

from sqlite_utils import Database

from appliance import billing, clock, dispatch
from appliance.config import Settings
from appliance.domain import invoice
from appliance.domain.fare import Blocked
from appliance.domain.invoice import AdjustmentState, State
from appliance.domain.trip import State as TripState
from appliance.errors import InputError, NotFound, Refused
from appliance.events import Event
from appliance.jobs import Ask
from appliance.storage import adjustments, audit, credit_notes, invoices, jobs, mails, payers, times, trips
from appliance.storage.db import Row, Tx

WAITING = "waiting"
"""The reason of a finished trip whose invoice is on its way: its trail settles, or its job has not run yet."""
STUCK = {"failed": "job_failed", "discarded": "job_discarded"}
"""The reasons of a finished trip where one of the jobs on that way has failed, or was given up."""

_LONGEST_REASON = 200
_LARGEST_CENTS = 10**12


def unbilled(db: Database, settings: Settings) -> list[Row]:
    """Every finished trip without a live invoice, oldest first, each with the `reason` why it has none."""
    waiting = WAITING if clock.trusted(settings) else Blocked.clock_untrusted.value
    states = jobs.states_of_keys(db)

    def reason(trip: Row) -> str:
        keys = [dispatch.invoice_key(trip["id"])]
        if trip["state"] == TripState.completed and not trips.is_measured(trip):
            keys.append(dispatch.completion_key(trip["id"]))
        found = {states.get(key) for key in keys}
        if "failed" in found:
            return STUCK["failed"]
        return trip["reason"] or (STUCK["discarded"] if "discarded" in found else waiting)

    found = [{**trip, "reason": reason(trip)} for trip in trips.unbilled(db)]
    for trip in found:
        del trip["trail_closed_at"], trip["distance_m"]
    return found


def release(tx: Tx, trip_id: int, who: str, now: datetime) -> Ask | None:
    """A person releases a trip for billing (`billing.release = review`), which asks for its invoice. None where it was
    released before. Raises NotFound, and Refused before the trip has ended."""
    trip = _trip(tx, trip_id)
    if trip["released_at"]:
        return None
    if trip["state"] not in (TripState.completed, TripState.no_show):
        raise Refused(f"it is {trip['state'].replace('_', ' ')}", subject=f"trip {trip_id}")
    trips.change(tx, trip_id, now, released_at=times.text(now))
    audit.record(tx, who, "release", "trip", trip["uid"], now)
    return dispatch.ask_for_invoice(tx, trip_id, now=now)


def ask_again(tx: Tx, trip_id: int, who: str, now: datetime) -> Ask:
    """Asks for a trip's invoice: of one that was blocked, whose job was given up, or whose invoice is void; one that
    was never measured is closed first. Raises NotFound, and Refused for a trip that has an invoice or has not ended."""
    trip = _trip(tx, trip_id)
    if live := invoices.live_of_trip(tx, trip_id):
        raise Refused(f"it is billed by {live['number']}", subject=f"trip {trip_id}")
    if trip["state"] not in (TripState.completed, TripState.no_show):
        raise Refused(f"it is {trip['state'].replace('_', ' ')}", subject=f"trip {trip_id}")
    audit.record(tx, who, "invoice.asked_for", "trip", trip["uid"], now)
    if trip["state"] == TripState.completed and not trips.is_measured(trip):
        return dispatch.ask_to_close(tx, trip_id, now=now, delay_s=0.0)
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
    found = _live(tx, invoice_id)
    if invoices.paid_cents(tx, invoice_id):
        hint = "take it back first, as a payment below zero"
        raise Refused("something was paid on it", subject=found["number"], hint=hint)
    if credit_notes.credited_cents(tx, invoice_id):
        raise Refused("a credit note stands against it", subject=found["number"], hint="credit the rest of it instead")
    invoices.void(tx, invoice_id, reason, now)
    trips.note_unbilled(tx, found["trip_id"], Blocked.voided.value)
    audit.record(tx, who, "invoice.voided", "invoice", found["uid"], now, reason)
    asks = [dispatch.ask_for_invoice(tx, found["trip_id"], now=now)] if replace else []
    return asks, [_changed(tx, invoice_id)]


def accept_adjustment(tx: Tx, id: int, seen_cents: int, who: str, now: datetime) -> tuple[list[Ask], list[Event]]:
    """Makes the invoice void, and asks for one by today's measure. `seen_cents` is the new price that the person saw.
    Raises NotFound, and Refused where it is decided already, has another price by now, or something was paid on the
    invoice."""
    found = _decide_adjustment(tx, id, seen_cents, AdjustmentState.accepted, who, now)
    reason = f"measured again: {invoice.money(found['new_total_cents'], found['currency'])}"
    return void(tx, found["invoice_id"], reason, replace=True, who=who, now=now)


def dismiss_adjustment(tx: Tx, id: int, seen_cents: int, who: str, now: datetime) -> Event:
    """The invoice stays as it is, also when the trip is measured at the same price again. Raises NotFound, and Refused
    where it is decided already or has another price by now than `seen_cents`."""
    return _changed(tx, _decide_adjustment(tx, id, seen_cents, AdjustmentState.dismissed, who, now)["invoice_id"])


def send(tx: Tx, invoice_id: int, who: str, now: datetime) -> Ask:
    """Asks for an invoice to be mailed, or put on the print list: one whose job was given up, or once more one that
    went out before, as a copy to the payer's address of today. Raises NotFound, and Refused for a void one and for one
    that waits to be printed already."""
    found = _live(tx, invoice_id)
    payer = payers.get(tx, found["payer_id"])
    waits = found["print_listed_at"] and not found["printed_at"]
    if waits and not (payer and billing.recipient(tx, payer)):
        raise Refused("it is on the print list already", subject=found["number"])
    if not (found["sent_at"] or found["print_listed_at"]):
        audit.record(tx, who, "invoice.asked_to_send", "invoice", found["uid"], now)
        return billing.ask_to_send(tx, invoice_id, now)
    audit.record(tx, who, "invoice.asked_to_send_again", "invoice", found["uid"], now)
    return billing.ask_to_send(tx, invoice_id, now, copy=mails.copies(tx, "invoice", found["uid"]) + 1)


def pay(
    tx: Tx,
    invoice_id: int,
    amount_cents: int,
    paid_on: date,
    reference: str,
    who: str,
    now: datetime,
    *,
    today: date,
    overpaid: bool = False,
    key: str = "",
) -> Event:
    """Records a payment, in full or in part; a returned one has an amount below zero. What is paid in full is `paid`.
    `today` is the depot's day. The same `key` again is the same payment, which is recorded once.

    Raises NotFound; InputError for an amount of nothing, more that goes back than was paid, and a day that has not come
    or is before the invoice was issued; Refused for a void invoice, for more than is owed unless `overpaid`, and where
    the key is another payment's.
    """
    if key and (known := invoices.payment_of_key(tx, key)):
        if (known["invoice_id"], known["amount_cents"]) != (invoice_id, amount_cents):
            raise Refused("another payment was recorded under this key", subject="key")
        return _changed(tx, invoice_id)
    found = _live(tx, invoice_id)
    _check_amount(found, invoices.paid_cents(tx, invoice_id), amount_cents, overpaid)
    if paid_on > today:
        raise InputError("expected a day that has come", subject="paid_on")
    if paid_on < (issued := invoices.first_issued_on(tx, invoice_id)):
        hint = "a deposit counts from the day of the invoice; its own day can stand in the reference"
        raise InputError(f"expected a day from {issued} on, when it was issued", subject="paid_on", hint=hint)
    invoices.add_payment(
        tx, invoice_id, amount_cents, paid_on, " ".join(reference.split())[:100], who, now, key or None
    )
    audit.record(tx, who, "invoice.payment", "invoice", found["uid"], now, str(amount_cents))
    return weigh(tx, invoice_id, now)


def _check_amount(found: Row, paid_cents: int, amount_cents: int, overpaid: bool) -> None:
    owed, currency = found["owed_cents"], found["currency"]
    if not 0 < abs(amount_cents) < _LARGEST_CENTS:
        raise InputError("expected an amount other than 0", subject="amount")
    if amount_cents < 0 and -amount_cents > max(paid_cents, 0):
        was = f"{invoice.money(paid_cents, currency)} was paid" if paid_cents > 0 else "nothing was paid on it"
        raise InputError("expected no more back than was paid", subject="amount", hint=was)
    if amount_cents > 0 and amount_cents > owed and not overpaid:
        what = (
            f"it is more than the {invoice.money(owed, currency)} that is owed" if owed > 0 else "nothing is owed on it"
        )
        raise Refused(what, subject="amount", hint="confirm that it is overpaid, if that is so")


def paid_at_centre(
    tx: Tx, invoice_id: int, uid: str, amount_cents: int, paid_on: date, reference: str, now: datetime
) -> Event:
    """The same for a payment that the central office took; `uid` is its own. Raises as `pay` does."""
    found = _live(tx, invoice_id)
    if not 0 < abs(amount_cents) < _LARGEST_CENTS:
        raise InputError("expected an amount other than 0", subject="amount")
    reference = " ".join(reference.split())[:100]
    invoices.add_centre_payment(tx, invoice_id, uid, amount_cents, paid_on, reference, now)
    audit.record(tx, "centre", "invoice.payment", "invoice", found["uid"], now, str(amount_cents))
    return weigh(tx, invoice_id, now)


def weigh(tx: Tx, invoice_id: int, now: datetime) -> Event:
    """Moves an invoice to the state that follows from what is owed on it, after a payment or a credit. A dispute stays
    one until it is settled, or nothing is owed."""
    found = invoices.get(tx, invoice_id)
    assert found is not None
    before = after = State(found["state"])
    if found["owed_cents"] > 0:
        after = State.disputed if before is State.disputed else State.issued
    elif invoices.paid_cents(tx, invoice_id) <= 0 and credit_notes.credited_cents(tx, invoice_id):
        after = State.credited
    else:
        after = State.paid
    if after is not before:
        invoices.set_state(tx, invoice_id, after, "unpaid" if after is State.issued else after.value, now)
    return _changed(tx, invoice_id)


def dispute(tx: Tx, invoice_id: int, reason: str, who: str, now: datetime) -> Event:
    """The payer disputes an invoice: reminders stop until it is settled. Raises NotFound and Refused."""
    return _move(tx, invoice_id, State.issued, State.disputed, reason, who, now)


def settle(tx: Tx, invoice_id: int, who: str, now: datetime) -> Event:
    """Ends a dispute; what is still owed is reminded of again. Raises NotFound and Refused."""
    return _move(tx, invoice_id, State.disputed, State.issued, "", who, now)


def _decide_adjustment(tx: Tx, id: int, seen_cents: int, state: AdjustmentState, who: str, now: datetime) -> Row:
    found = adjustments.get(tx, id)
    if found is None:
        raise NotFound("no such adjustment", subject=f"adjustment {id}")
    if found["state"] == AdjustmentState.open and found["new_total_cents"] != seen_cents:
        # Fixes that came since have changed it: nobody decides about a price that they have not seen.
        price, seen = (invoice.money(cents, found["currency"]) for cents in (found["new_total_cents"], seen_cents))
        raise Refused(f"the new price is {price} by now, not {seen}", subject=f"adjustment {id}", hint="look again")
    if not adjustments.decide(tx, id, state, who, now):
        raise Refused(f"it is {found['state']} already", subject=f"adjustment {id}")
    billed = invoices.get(tx, found["invoice_id"])
    assert billed is not None
    detail = f"{found['old_total_cents']} -> {found['new_total_cents']}"
    audit.record(tx, who, f"adjustment.{state}", "invoice", billed["uid"], now, detail)
    return found


def _move(tx: Tx, invoice_id: int, before: State, after: State, reason: str, who: str, now: datetime) -> Event:
    found = _live(tx, invoice_id)
    if found["state"] != before:
        raise Refused(f"it is {found['state']}", subject=found["number"])
    kind = "disputed" if after is State.disputed else "settled"
    invoices.set_state(tx, invoice_id, after, "resolved" if kind == "settled" else kind, now)
    audit.record(tx, who, f"invoice.{kind}", "invoice", found["uid"], now, " ".join(reason.split())[:_LONGEST_REASON])
    return _changed(tx, invoice_id)


def _live(tx: Tx, invoice_id: int) -> Row:
    found = invoices.get(tx, invoice_id)
    if found is None:
        raise NotFound("no such invoice", subject=f"invoice {invoice_id}")
    if found["state"] == State.void:
        raise Refused("it is void already", subject=found["number"])
    return found


def _changed(tx: Tx, invoice_id: int) -> Event:
    found = invoices.get(tx, invoice_id)
    assert found is not None
    said = {"id": invoice_id, "trip_id": found["trip_id"], "number": found["number"], "state": found["state"]}
    return Event("invoice", str(invoice_id), said)


def _trip(tx: Tx, trip_id: int) -> Row:
    trip = trips.get(tx, trip_id)
    if trip is None:
        raise NotFound("no such trip", subject=f"trip {trip_id}")
    return trip
