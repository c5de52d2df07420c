"""The life of a trip: its states, what may happen in each, and the rules for giving it to a vehicle.

`TRANSITIONS` is the whole state machine; what it does not name is refused with a reason that a driver can read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, auto
from types import MappingProxyType


class State(StrEnum):
    """Where a trip is in its life."""

    will_call = auto()
    scheduled = auto()
    assigned = auto()
    in_progress = auto()
    completed = auto()
    cancelled = auto()
    no_show = auto()
    missed = auto()


class Event(StrEnum):
    """What can happen to a trip."""

    ready = auto()
    assign = auto()
    unassign = auto()
    accepted = auto()
    en_route = auto()
    arrived_pickup = auto()
    on_board = auto()
    arrived_dropoff = auto()
    completed = auto()
    cancel = auto()
    no_show = auto()
    missed = auto()
    reopen = auto()


class LevelOfService(StrEnum):
    """How a patient travels."""

    ambulatory = auto()
    wheelchair = auto()
    stretcher = auto()
    bariatric = auto()


class CancelledBy(StrEnum):
    """Who does not want the trip any more."""

    patient = auto()
    facility = auto()
    broker = auto()
    depot = auto()


class Refusal(Exception):
    """The event does not fit the state of the trip; `reason` is one plain sentence for a driver's screen. `about` names
    the one thing that was said wrong, where there is one."""

    def __init__(self, reason: str, about: str = "") -> None:
        self.reason = reason
        self.about = about
        super().__init__(reason)


S, E = State, Event
TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType({
    (S.will_call, E.ready): S.scheduled,
    (S.will_call, E.cancel): S.cancelled,

    (S.scheduled, E.assign): S.assigned,
    (S.scheduled, E.cancel): S.cancelled,
    (S.scheduled, E.missed): S.missed,

    (S.assigned, E.assign): S.assigned,  # to another vehicle or driver
    (S.assigned, E.unassign): S.scheduled,
    (S.assigned, E.accepted): S.assigned,
    (S.assigned, E.en_route): S.in_progress,
    (S.assigned, E.arrived_pickup): S.in_progress,  # a driver who forgot a button goes on with the next one
    (S.assigned, E.on_board): S.in_progress,
    (S.assigned, E.arrived_dropoff): S.in_progress,
    (S.assigned, E.cancel): S.cancelled,
    (S.assigned, E.no_show): S.no_show,
    (S.assigned, E.missed): S.missed,

    (S.in_progress, E.unassign): S.scheduled,  # the vehicle broke down: another one takes over
    (S.in_progress, E.accepted): S.in_progress,
    (S.in_progress, E.en_route): S.in_progress,
    (S.in_progress, E.arrived_pickup): S.in_progress,
    (S.in_progress, E.on_board): S.in_progress,
    (S.in_progress, E.arrived_dropoff): S.in_progress,
    (S.in_progress, E.completed): S.completed,
    (S.in_progress, E.cancel): S.cancelled,
    (S.in_progress, E.no_show): S.no_show,
    (S.in_progress, E.missed): S.missed,

    (S.completed, E.reopen): S.in_progress,  # the caller refuses it once the invoice is released
    (S.cancelled, E.reopen): S.scheduled,
    (S.no_show, E.reopen): S.scheduled,  # like completed: billed, so only before the release
    (S.missed, E.reopen): S.scheduled,
})  # fmt: skip
"""(state, event) -> the state after it. What is not here is refused."""

STAMPS: Mapping[Event, str] = MappingProxyType({
    E.accepted: "accepted_at",
    E.en_route: "en_route_at",
    E.arrived_pickup: "arrived_pickup_at",
    E.on_board: "on_board_at",
    E.arrived_dropoff: "arrived_dropoff_at",
    E.completed: "completed_at",
    E.cancel: "cancelled_at",
    E.no_show: "no_show_at",
})  # fmt: skip
"""The column that keeps the time of an event."""

STEPS = (E.accepted, E.en_route, E.arrived_pickup, E.on_board, E.arrived_dropoff, E.completed)
"""What happens on a trip that goes well, in the order of its times."""

DRIVER_EVENTS = frozenset({
    E.accepted, E.en_route, E.arrived_pickup, E.on_board, E.arrived_dropoff, E.completed, E.no_show,
})  # fmt: skip
"""The buttons of a driver; everything else is the dispatcher's."""

RUNNING = frozenset({S.in_progress})
"""The trip holds its vehicle and driver now, and their fixes are its trail."""

FINISHED = frozenset({S.completed, S.cancelled, S.no_show, S.missed})
"""Nothing more happens to the trip, unless somebody reopens it."""

STATE_WORDS: Mapping[State, str] = MappingProxyType({
    S.will_call: "waiting for the patient's call",
    S.scheduled: "not given to a vehicle yet",
    S.assigned: "given to a vehicle but not started",
    S.in_progress: "under way",
    S.completed: "completed",
    S.cancelled: "cancelled",
    S.no_show: "a no-show",
    S.missed: "missed",
})  # fmt: skip

EVENT_WORDS: Mapping[Event, str] = MappingProxyType({
    E.ready: "marked ready",
    E.assign: "given to a vehicle",
    E.unassign: "taken off a vehicle",
    E.accepted: "accepted",
    E.en_route: "marked en route",
    E.arrived_pickup: "marked arrived at pickup",
    E.on_board: "marked on board",
    E.arrived_dropoff: "marked arrived at drop-off",
    E.completed: "completed",
    E.cancel: "cancelled",
    E.no_show: "marked a no-show",
    E.missed: "marked missed",
    E.reopen: "reopened",
})  # fmt: skip


def advance(state: State, event: Event) -> State:
    """The state after `event`, or `Refusal` with a reason. Knows no people and no rights: see `DRIVER_EVENTS`."""
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise Refusal(_refusal(state, event))
    return after


def cleared(state: State, event: Event) -> frozenset[str]:
    """The stamp columns that an allowed event empties: a new vehicle or driver starts afresh, a trip completed by
    mistake only loses its completion. What was stamped before stays in the event rows."""
    if (state, event) == (S.completed, E.reopen):
        return frozenset({STAMPS[E.completed]})
    if event in {E.assign, E.unassign, E.reopen}:
        return frozenset(STAMPS.values())
    return frozenset()


def _refusal(state: State, event: Event) -> str:
    if (state, event) == (S.assigned, E.completed):
        return "the trip has not started; mark the patient on board before it is completed"
    if (state, event) == (S.in_progress, E.assign):
        return "the trip is under way; take it off its vehicle before another one gets it"
    reached = {E.completed: S.completed, E.cancel: S.cancelled, E.no_show: S.no_show, E.missed: S.missed}
    if reached.get(event) == state:
        return f"the trip is already {STATE_WORDS[state]}"
    return f"the trip is {STATE_WORDS[state]}; it cannot be {EVENT_WORDS[event]}"


@dataclass(frozen=True, slots=True)
class NoShowRule:
    """What a driver must have done before a patient counts as a no-show."""

    contact_attempts: int = 1
    wait_s: float = 600


def no_show_allowed(contact_attempts: int, waited_s: float | None, rule: NoShowRule) -> str | None:
    """Why the trip is not a no-show yet, or `None` if it is.

    `waited_s` is the time since the arrival at the pickup; `None` if nobody has stamped that arrival.
    """
    if waited_s is None:
        return "the arrival at the pickup is not marked"
    if contact_attempts < rule.contact_attempts:
        return f"the patient was called {contact_attempts} of {rule.contact_attempts} times"
    if waited_s < rule.wait_s:
        return f"the vehicle has waited {int(max(waited_s, 0) // 60)} of {rule.wait_s / 60:g} minutes"
    return None


def carries(vehicle_levels: Collection[LevelOfService], level: LevelOfService) -> bool:
    """Whether a vehicle may take this level: only if it is listed for it. No level includes another (a stretcher van
    may have no seat), so a vehicle lists all that it is fitted for."""
    return level in vehicle_levels


def misplaced(event: Event, at: datetime, stamps: Mapping[Event, datetime]) -> str | None:
    """Why a step cannot have happened at that time, by the times of the other steps; `None` if it can."""
    for other in STEPS:
        stamped = stamps.get(other)
        if stamped is None or other is event:
            continue
        later = STEPS.index(other) > STEPS.index(event)
        if (at > stamped) if later else (at < stamped):
            return f"it would be {'after' if later else 'before'} the trip was {EVENT_WORDS[other]}"
    return None


EARLIEST = timedelta(hours=12)
"""Before the planned pickup nothing of a ride has happened: a wrong date would have all billed that its vehicle has
driven, and waited, since."""


def too_early(event: Event, at: datetime, pickup_at: datetime) -> str | None:
    """Why a step or a no-show cannot have happened at that time, by the planned pickup; `None` if it can."""
    if event in (*STEPS, Event.no_show) and at < pickup_at - EARLIEST:
        return f"the time is more than {EARLIEST // timedelta(hours=1)} hours before the pickup"
    return None


RIDE = timedelta(hours=1)
"""How long a trip is thought to hold its vehicle where no appointment says more."""


def planned(pickup_at: datetime, appointment_at: datetime | None) -> tuple[datetime, datetime]:
    """From when to when a trip is expected to hold its vehicle and driver: until the patient must be there."""
    ends = appointment_at if appointment_at and appointment_at > pickup_at else pickup_at + RIDE
    return pickup_at, ends


def overlaps(a_start: datetime, a_end: datetime, b_start: datetime, b_end: datetime) -> bool:
    """Whether two spans share time. Ends are not part of a span: one trip may begin as another ends."""
    return a_start < b_end and b_start < a_end
