"""What the rows of each stream say: the whole state of one thing after a change. No name, address or note of a patient
is in any of them (a patient is a ULID)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from appliance.errors import InputError
from appliance.wire import Stream
from appliance.wire.batch import At, Uid

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d$", description="a day in the depot's zone")]
Cents = Annotated[int, Meta(ge=-(2**53), le=2**53, description="minor units of the currency")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217")]
Number = Annotated[str, Meta(pattern="^[A-Z0-9]{2,8}-[0-9]{4}-[A-Z]{1,2}[0-9]{6,}$", description="of an invoice")]
Code = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=1000)]
Metres = Annotated[float, Meta(ge=0)]
Level = Literal["ambulatory", "wheelchair", "stretcher", "bariatric"]


class _Snapshot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Line(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of an invoice. `amount_cents` is what counts: quantity times unit price, rounded half up."""

    kind: Code
    quantity: Annotated[str, Meta(pattern=r"^-?\d{1,12}(\.\d{1,6})?$", description="decimal number")]
    unit: Code
    unit_cents: Cents
    amount_cents: Cents


class Invoice(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of an invoice after it was issued, sent, printed, paid, disputed, made void."""

    uid: Uid
    number: Number
    trip_uid: Uid
    payer_uid: Uid
    state: Literal["issued", "paid", "credited", "disputed", "void"]
    issued_on: Day
    due_on: Day
    issued_at: At
    currency: Currency
    total_cents: Cents
    tax_cents: Cents
    distance_m: Metres | None
    lines: Annotated[list[Line], Meta(max_length=100)]
    replaces: Number | None
    sent_at: At | None
    voided_at: At | None
    void_reason: Text | None


class Payment(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money that the depot took (or gave back, then below 0) for an invoice."""

    uid: Uid
    invoice_uid: Uid
    number: Number
    amount_cents: Cents
    currency: Currency
    paid_on: Day
    reference: Text
    recorded_at: At


class Credit(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credit note against an invoice."""

    uid: Uid
    number: Code
    invoice_uid: Uid
    invoice: Number
    issued_on: Day
    issued_at: At
    currency: Currency
    amount_cents: Cents
    tax_cents: Cents
    reason: Text


class Adjustment(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A later measure gave an invoiced trip another price; `state` says what became of it."""

    uid: Uid
    invoice_uid: Uid
    number: Number
    state: Literal["open", "accepted", "dismissed", "lapsed"]
    old_distance_m: Metres
    new_distance_m: Metres
    new_total_cents: Cents
    raised_at: At
    decided_at: At | None


class Trip(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a trip after any change. `ref` is the payer's own number."""

    uid: Uid
    ref: Code | None
    state: Literal["will_call", "scheduled", "assigned", "in_progress", "completed", "cancelled", "no_show", "missed"]
    level: Level
    payer_uid: Uid | None
    patient_uid: Uid | None
    vehicle_uid: Uid | None
    driver_uid: Uid | None
    outbound_uid: Uid | None
    pickup_at: At
    appointment_at: At | None
    accepted_at: At | None
    en_route_at: At | None
    arrived_pickup_at: At | None
    on_board_at: At | None
    arrived_dropoff_at: At | None
    completed_at: At | None
    cancelled_at: At | None
    cancelled_by: Literal["patient", "facility", "broker", "depot"] | None
    no_show_at: At | None
    contact_attempts: Annotated[int, Meta(ge=0)]
    distance_m: Metres | None
    duration_s: Annotated[float, Meta(ge=0)] | None


class Trail(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a completed trip went, thinned: nowhere further than `tolerance_m` from the whole trail."""

    trip_uid: Uid
    tolerance_m: Metres
    points: Annotated[
        list[tuple[float, float, int]], Meta(max_length=5000, description="[longitude, latitude, Unix seconds]")
    ]


class Vehicle(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Code
    name: Text
    plate: Code
    levels: Annotated[str, Meta(max_length=100, description="levels of service, with spaces between")]
    disabled_at: At | None


class Driver(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Code
    disabled_at: At | None


class Payer(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`name` is empty for a patient."""

    kind: Literal["patient", "broker", "facility"]
    name: Text
    delivery: Literal["mail", "print"]
    terms_days: int


class Rate(_Snapshot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payer_uid: Uid
    level: Level
    valid_from: Day
    valid_to: Day | None
    base_cents: Cents
    per_unit_cents: Cents
    unit: Literal["km", "mile"]
    free_units: Annotated[float, Meta(ge=0)]
    wait_per_min_cents: Cents
    free_wait_min: Annotated[float, Meta(ge=0)]
    after_hours_cents: Cents
    after_hours_from: Code
    after_hours_to: Code
    no_show_cents: Cents
    tax_bp: int


Snapshot = Invoice | Payment | Credit | Adjustment | Trip | Trail | Vehicle | Driver | Payer | Rate

INVOICE_KINDS = ("issued", "sent", "print_listed", "paid", "unpaid", "credited", "disputed", "resolved", "void")
KINDS: dict[Stream, dict[str, type[Snapshot]]] = {
    "invoices": {
        **dict.fromkeys(INVOICE_KINDS, Invoice),
        "payment": Payment,
        "credit": Credit,
        "adjustment": Adjustment,
    },
    "trips": {"trip": Trip},
    "trails": {"trail": Trail},
    "reference": {"vehicle": Vehicle, "driver": Driver, "payer": Payer, "rate": Rate},
}
"""What each kind of row in each stream holds."""


def parse(stream: Stream, kind: str, text: str) -> Snapshot:
    """A row's snapshot. Raises InputError: a kind that the stream does not have, or what is wrong and where."""
    known = _DECODERS[stream]
    if kind not in known:
        raise InputError(f"expected one of {', '.join(known)}", subject=f"kind {kind}")
    try:
        return known[kind].decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(str(error), subject=f"snapshot of kind {kind}") from error


_BY_TYPE: dict[type[Snapshot], msgspec.json.Decoder[Snapshot]] = {
    type_: msgspec.json.Decoder(type_) for kinds in KINDS.values() for type_ in set(kinds.values())
}
_DECODERS = {stream: {kind: _BY_TYPE[type_] for kind, type_ in kinds.items()} for stream, kinds in KINDS.items()}
