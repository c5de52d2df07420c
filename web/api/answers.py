"""What the API answers, as OpenAPI describes it. Times are UTC (RFC 3339), amounts integer minor units."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from appliance.domain.presence import VehicleState
from appliance.domain.trip import LevelOfService, State
from appliance.storage.db import Row
from web.positions import Position

Item = TypeVar("Item")


class Page(Struct, Generic[Item], frozen=True):
    """A page of a list, and how many items there are in all."""

    items: list[Item]
    total: int


class RunningTrip(Struct, frozen=True, kw_only=True):
    id: int
    ref: str | None
    state: State
    on_board: bool


class Vehicle(Struct, frozen=True, kw_only=True):
    """A vehicle in service; `driver` is the one of the running trip."""

    code: str
    name: str
    plate: str
    levels: list[str]
    state: VehicleState
    position: Position | None
    trip: RunningTrip | None
    driver: str | None
    driver_name: str | None


class Alert(Struct, frozen=True, kw_only=True):
    """An outage of a vehicle at work: `text` says what is wrong, `driver_*` who is to be called. `since` is when the
    vehicle was last well; `closed_at` when it was well again."""

    id: int
    vehicle: str
    state: VehicleState
    text: str
    since: datetime
    opened_at: datetime
    closed_at: datetime | None
    trip_id: int | None
    trip_ref: str | None
    driver: str | None
    driver_name: str | None
    driver_phone: str | None


class Driver(Struct, frozen=True, kw_only=True):
    code: str
    name: str
    trip_id: int | None
    trip_ref: str | None
    vehicle: str | None


class Trip(Struct, frozen=True, kw_only=True):
    """A trip. `vehicle` and `driver` are codes; stamps are the real times of what happened."""

    id: int
    uid: str
    ref: str | None
    state: State
    level: LevelOfService
    patient: str | None
    payer: str | None
    vehicle: str | None
    driver: str | None
    driver_name: str | None
    pickup_at: datetime
    appointment_at: datetime | None
    pickup_address: str
    dropoff_address: str
    pickup_lat: float | None
    pickup_lon: float | None
    dropoff_lat: float | None
    dropoff_lon: float | None
    accepted_at: datetime | None
    en_route_at: datetime | None
    arrived_pickup_at: datetime | None
    on_board_at: datetime | None
    arrived_dropoff_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    no_show_at: datetime | None
    cancelled_by: str | None
    contact_attempts: int
    outbound_trip_id: int | None
    flagged_at: datetime | None
    distance_m: float | None
    duration_s: float | None
    stops: int | None
    fixes: int | None
    completeness: float | None
    unbilled_reason: str | None
    invoice_id: int | None
    invoice_number: str | None
    version: int


class TripEvent(Struct, frozen=True, kw_only=True):
    event: str
    at: datetime
    received_at: datetime
    from_state: str | None
    to_state: str | None
    accepted: bool
    reason: str | None
    source: str
    who: str
    note: str


class TripWithEvents(Trip, frozen=True, kw_only=True):
    events: list[TripEvent]


class Invoice(Struct, frozen=True, kw_only=True):
    """An invoice. `payer` is null where the patient pays: a patient's name stands on the trip only. `owed_cents` is the
    total less what was paid and credited; below zero something is to be paid back."""

    id: int
    uid: str
    number: str
    trip_id: int
    trip_ref: str | None
    payer_id: int
    payer: str | None
    payer_kind: str
    state: str
    issued_on: date
    due_on: date
    issued_at: datetime
    currency: str
    total_cents: int
    tax_cents: int
    paid_cents: int
    credited_cents: int
    owed_cents: int
    distance_m: float | None
    sent_at: datetime | None
    print_listed_at: datetime | None
    printed_at: datetime | None
    voided_at: datetime | None
    void_reason: str | None
    replaces: str | None


class InvoiceLine(Struct, frozen=True, kw_only=True):
    position: int
    kind: str
    text: str
    quantity: str
    unit: str
    unit_cents: int
    amount_cents: int


class Payment(Struct, frozen=True, kw_only=True):
    """A payment; one that was returned is below zero."""

    id: int
    amount_cents: int
    paid_on: date
    origin: Literal["depot", "centre"]
    reference: str
    recorded_by: str
    recorded_at: datetime


class CreditNote(Struct, frozen=True, kw_only=True):
    """A credit note: it takes back so much of its invoice, tax included."""

    id: int
    number: str
    invoice_id: int
    issued_on: date
    currency: str
    amount_cents: int
    tax_cents: int
    reason: str
    issued_by: str
    sent_at: datetime | None
    print_listed_at: datetime | None
    printed_at: datetime | None


class InvoiceWithLines(Invoice, frozen=True, kw_only=True):
    lines: list[InvoiceLine]
    payments: list[Payment]
    credit_notes: list[CreditNote]


class Job(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    queue: str
    state: str
    attempts: int
    failures: int
    due_at: datetime
    created_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None
    error: str | None


class JobWithDetail(Job, frozen=True, kw_only=True):
    """A job with all that is known of it: what it was asked, what it returned, where its last error came from."""

    arguments: dict[str, Any]
    result: Any
    traceback: str | None
    decided_by: str | None
    decided_at: datetime | None


class Jobs(Struct, frozen=True):
    """A page of jobs, and how many jobs there are in each state."""

    items: list[Job]
    total: int
    counts: dict[str, int]


class Purged(Struct, frozen=True):
    """How many jobs were given up."""

    discarded: int


class WorkHistory(Struct, frozen=True, kw_only=True):
    """What happened in each part of `step_s` seconds since `begin`: jobs that were done, that failed, and the most that
    waited in each queue. Null where nothing is known: the jobs are forgotten, or the box was off."""

    begin: datetime
    step_s: int
    done: list[int | None]
    failed: list[int | None]
    waiting: dict[str, list[int | None]]


class Retried(Struct, frozen=True):
    """How many failed jobs are tried again."""

    retried: int


class Queue(Struct, frozen=True, kw_only=True):
    """A queue of jobs. `messages` is null while Redis is away; a paused queue begins no job."""

    queue: str
    waiting: int
    later: int
    running: int
    messages: int | None
    oldest_due_at: datetime | None
    paused_at: datetime | None
    paused_by: str | None


class Schedule(Struct, frozen=True, kw_only=True):
    """A periodic job: at an interval, or by a crontab in a zone (empty: the depot's own)."""

    name: str
    task: str
    arguments: dict[str, Any]
    every_s: float | None
    crontab: str | None
    zone: str
    enabled: bool
    last_run_at: datetime | None
    next_run_at: datetime | None
    missed: int
    version: int


class UnbilledTrip(Struct, frozen=True, kw_only=True):
    """A finished trip without an invoice, and why: a reason of docs/operations.md, Unbilled trips."""

    id: int
    ref: str | None
    state: State
    ended_at: datetime
    payer: str | None
    reason: str


JobState = Literal["pending", "running", "done", "failed", "waiting", "discarded"]
InvoiceState = Literal["issued", "paid", "credited", "disputed", "void"]

Made = TypeVar("Made", bound=Struct)


def make(kind: type[Made], row: Row, **more: Any) -> Made:
    """The Struct of a row: the columns that it names, as its types."""
    return msgspec.convert({**row, **more}, kind, strict=False)


def levels(stored: str) -> list[str]:
    """The levels of service of a vehicle, stored as one text."""
    return re.findall(r"\w+", stored)
