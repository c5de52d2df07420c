"""What the API of the centre answers, as OpenAPI describes it. Times are UTC, amounts integer minor units."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from appliance.central.db import Row
from appliance.wire.snapshots import Line

Item = TypeVar("Item")


class Page(Struct, Generic[Item], frozen=True):
    """Things in the order of their last change. `next` is the `after` of the next question: now, where there are
    `more`, or any time later for what has changed since."""

    items: list[Item]
    next: str
    more: bool


class Invoice(Struct, frozen=True, kw_only=True):
    """As its depot said last. What was paid and credited: see payments and credits of its `number`."""

    depot: str
    uid: str
    number: str
    trip_uid: str
    payer_uid: str
    state: str
    issued_on: str
    due_on: str
    issued_at: str
    currency: str
    total_cents: int
    tax_cents: int
    distance_m: float | None
    lines: list[Line]
    replaces: str | None
    sent_at: str | None
    voided_at: str | None
    void_reason: str | None


class Payment(Struct, frozen=True, kw_only=True):
    """`origin`: `depot` or `centre`. With a `flag` (`double`, `unknown`, `currency`) it does not count; `dismissed_at`:
    nor will it."""

    depot: str
    uid: str
    origin: str
    invoice_uid: str | None
    number: str
    amount_cents: int
    currency: str
    paid_on: str
    reference: str
    recorded_at: str
    recorded_by: str
    flag: str
    decided_by: str | None
    decided_at: str | None
    dismissed_at: str | None


class Credit(Struct, frozen=True, kw_only=True):
    """A credit note against the invoice with the number `invoice`."""

    depot: str
    uid: str
    number: str
    invoice_uid: str
    invoice: str
    issued_on: str
    issued_at: str
    currency: str
    amount_cents: int
    tax_cents: int
    reason: str


class Trip(Struct, frozen=True, kw_only=True):
    """`ref` is the payer's own number."""

    depot: str
    uid: str
    ref: str | None
    state: str
    level: str
    payer_uid: str | None
    patient_uid: str | None
    vehicle_uid: str | None
    driver_uid: str | None
    outbound_uid: str | None
    pickup_at: str
    appointment_at: str | None
    accepted_at: str | None
    en_route_at: str | None
    arrived_pickup_at: str | None
    on_board_at: str | None
    arrived_dropoff_at: str | None
    completed_at: str | None
    cancelled_at: str | None
    cancelled_by: str | None
    no_show_at: str | None
    contact_attempts: int
    distance_m: float | None
    duration_s: float | None


class Depot(Struct, frozen=True, kw_only=True):
    """`keys`: how many of its keys count. `rejected`: rows that do not fit."""

    code: str
    name: str
    enrolled_at: str | None
    seen_at: str | None
    keys: int
    rejected: int


class Receipt(Struct, frozen=True, kw_only=True):
    """Of one night. `text` is a Receipt of the protocol as JSON, `signature` the centre's over its bytes."""

    id: int
    depot: str
    night: str
    at: str
    received_at: str
    whole: bool
    text: str
    signature: str


class NewPayment(Struct, frozen=True, kw_only=True):
    """`uid`, a ULID of the sender's own: the same once more is one payment."""

    number: str
    amount_cents: int
    currency: str
    paid_on: str
    reference: str = ""
    uid: str = ""


class Recorded(Struct, frozen=True, kw_only=True):
    """`flag`: why it does not count (yet), empty where it does; `why` says it in words."""

    uid: str
    flag: str
    why: str


class NewDispute(Struct, frozen=True, kw_only=True):
    """What the payer says."""

    number: str
    reason: str = ""


class Dispute(Struct, frozen=True, kw_only=True):
    uid: str
    number: str


def of(kind: type[Item], found: Row) -> Item:
    """A row of a list."""
    if "lines" in found:
        found = found | {"lines": msgspec.json.decode(found["lines"])}
    made: Any = msgspec.convert(found, kind)
    return made  # type: ignore[no-any-return]
