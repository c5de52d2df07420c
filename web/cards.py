"""What the board shows of a trip: pure rules from a row of the database and the present to a card."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from appliance.domain.trip import FINISHED, Event, State
from appliance.storage.db import Row
from appliance.storage.times import parse, parse_or_none

NEAR = timedelta(minutes=90)

Tone = Literal["quiet", "warn"]

COLUMNS: dict[str, tuple[str, str]] = {
    "unassigned": ("Unassigned", "Trips that still need a vehicle"),
    "assigned": ("Assigned", "Trips given to a vehicle, not started yet"),
    "progress": ("In progress", "Trips under way now"),
    "done": ("Done", "Completed, cancelled, no-show and missed trips of the day"),
}
"""Key, title and what will appear, in the order of the board."""

STEPS = (
    ("accepted_at", "Accepted"),
    ("en_route_at", "En route"),
    ("arrived_pickup_at", "At pickup"),
    ("on_board_at", "On board"),
    ("arrived_dropoff_at", "At drop-off"),
)

STATE_TITLES = {
    State.will_call: "Will-call",
    State.scheduled: "Scheduled",
    State.assigned: "Assigned",
    State.in_progress: "In progress",
    State.completed: "Completed",
    State.cancelled: "Cancelled",
    State.no_show: "No-show",
    State.missed: "Missed",
}

EVENT_TITLES = {
    Event.ready: "Ready to go",
    Event.assign: "Given to a vehicle",
    Event.unassign: "Taken off its vehicle",
    Event.accepted: "Accepted by the driver",
    Event.en_route: "En route to the pickup",
    Event.arrived_pickup: "Arrived at pickup",
    Event.on_board: "On board",
    Event.arrived_dropoff: "Arrived at drop-off",
    Event.completed: "Completed",
    Event.cancel: "Cancelled",
    Event.no_show: "No-show",
    Event.missed: "Missed",
    Event.reopen: "Reopened",
}

UNBILLED_TITLES = {
    "no_payer": "Not billed: no payer",
    "no_rate": "Not billed: the payer has no rate for it",
    "no_distance": "Not billed: no distance was measured",
    "implausible_times": "Not billed: by its times it took more than a day",
    "issuer_incomplete": "Not billed: the depot's legal details are missing",
    "clock_untrusted": "Not billed yet: the clock is not trusted",
    "not_recovered": "Not billed yet: after the restore the central office must be asked",
    "not_finished": "Not billed yet: not finished",
    "not_released": "Waits for release",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time for people: `clock` in the depot's zone, `near` like "in 12 min" (empty when far), `iso` exact."""

    iso: str
    clock: str
    near: str


@dataclass(frozen=True, slots=True)
class Step:
    """One stamp of the trip's progress; `at` is empty until it happened."""

    title: str
    at: str


@dataclass(frozen=True, slots=True)
class Card:
    """All that a card shows."""

    id: int
    version: int
    title: str
    column: str
    state: str
    state_title: str
    level: str
    patient: str | None
    pickup: Moment
    appointment: str
    origin: str
    destination: str
    pickup_place: str
    dropoff_place: str
    vehicle: str | None
    driver: str | None
    driver_code: str | None
    outbound: str
    steps: list[Step]
    said: str
    said_tone: Tone
    flagged: bool
    ended: str
    distance: str
    invoice_id: int | None
    invoice_number: str | None
    unbilled: str


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the depot's calendar, as the board's head names it; the addresses are those of the days beside it."""

    title: str
    iso: str
    is_today: bool
    previous: str
    next: str


def day(shown: date, today: date) -> Day:
    words = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}
    title = f"{shown:%a} {shown.day} {shown:%b}" + (f" {shown.year}" if shown.year != today.year else "")
    word = words.get((shown - today).days)
    beside = (shown + timedelta(days=away) for away in (-1, 1))
    previous, following = ("/" if each == today else f"/?day={each.isoformat()}" for each in beside)
    return Day(f"{word}, {title}" if word else title, shown.isoformat(), shown == today, previous, following)


def columns(
    rows: Iterable[Row], now: datetime, zone: ZoneInfo, units: str, late_from: timedelta
) -> dict[str, list[Card]]:
    """The cards of each column: open trips by pickup, finished ones newest end first."""
    found: dict[str, list[Card]] = {key: [] for key in COLUMNS}
    ended: dict[int, str] = {}
    for row in rows:
        made = card(row, now, zone, units, late_from)
        found[made.column].append(made)
        ended[made.id] = row["ended_at"]
    found["done"].sort(key=lambda each: ended[each.id], reverse=True)
    return found


def card(row: Row, now: datetime, zone: ZoneInfo, units: str, late_from: timedelta) -> Card:
    state = State(row["state"])
    pickup = parse(row["pickup_at"])
    appointment = parse_or_none(row["appointment_at"])
    said, tone = lateness(row, state, now, late_from)
    return Card(
        id=row["id"],
        version=row["version"],
        title=title(row),
        column=column(state),
        state=state.value,
        state_title=STATE_TITLES[state],
        level=row["level"],
        patient=row["patient"],
        pickup=moment(pickup, now, zone),
        appointment=clock(appointment, now, zone) if appointment else "",
        origin=row["pickup_address"],
        destination=row["dropoff_address"],
        pickup_place=place(row["pickup_lat"], row["pickup_lon"]),
        dropoff_place=place(row["dropoff_lat"], row["dropoff_lon"]),
        vehicle=row["vehicle"],
        driver=row["driver_name"] or row["driver"],
        driver_code=row["driver"],
        outbound=outbound(row, now, zone),
        steps=steps(row, now, zone),
        said=said,
        said_tone=tone,
        flagged=row["flagged_at"] is not None and state not in FINISHED,
        ended=clock(parse(row["completed_at"]), now, zone) if row["completed_at"] else "",
        distance=distance(row["distance_m"], units),
        invoice_id=row["invoice_id"],
        invoice_number=row["invoice_number"],
        unbilled=unbilled(row["unbilled_reason"]) if not row["invoice_id"] else "",
    )


def title(row: Row) -> str:
    """The number of a trip: the broker's, else our own."""
    return row["ref"] or f"#{row['id']}"


def outbound(row: Row, now: datetime, zone: ZoneInfo) -> str:
    """Of a return leg: which trip was the way there, and how far it is. Empty for any other trip."""
    if row["outbound_state"] is None:
        return ""
    at = parse_or_none(row["outbound_completed_at"])
    word = STATE_TITLES[State(row["outbound_state"])].lower()
    return (
        f"{row['outbound_ref'] or '#' + str(row['outbound_trip_id'])}, {word}{' ' + clock(at, now, zone) if at else ''}"
    )


def column(state: State) -> str:
    if state in FINISHED:
        return "done"
    return {State.in_progress: "progress", State.assigned: "assigned"}.get(state, "unassigned")


def steps(row: Row, now: datetime, zone: ZoneInfo) -> list[Step]:
    stamps = ((title, parse_or_none(row[name])) for name, title in STEPS)
    return [Step(title, clock(at, now, zone) if at else "") for title, at in stamps]


def lateness(row: Row, state: State, now: datetime, late_from: timedelta) -> tuple[str, Tone]:
    """One short line on time, and whether a person should look; empty where there is nothing to say. `late_from`: how
    long after the pickup or the appointment a trip is late."""
    pickup, arrived = parse(row["pickup_at"]), parse_or_none(row["arrived_pickup_at"] or row["on_board_at"])
    if state in FINISHED or state is State.will_call:
        late = (arrived - pickup) if arrived else timedelta(0)
        return (f"picked up {minutes(late)} late", "quiet") if late >= late_from else ("", "quiet")
    if not arrived:
        late = now - pickup
        return (f"{minutes(late)} late", "warn") if late >= late_from else ("", "quiet")
    appointment = parse_or_none(row["appointment_at"])
    if appointment and not row["arrived_dropoff_at"] and now - appointment >= late_from:
        return f"{minutes(now - appointment)} late for the appointment", "warn"
    late = arrived - pickup
    return (f"picked up {minutes(late)} late", "quiet") if late >= late_from else ("", "quiet")


def minutes(span: timedelta) -> str:
    """`12 min`, `2 h 05 min`, `3 d 4 h`."""
    total = int(span.total_seconds() // 60)
    days, hours = divmod(total // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {total % 60:02d} min" if hours else f"{total} min"


def moment(at: datetime, now: datetime, zone: ZoneInfo) -> Moment:
    return Moment(iso=at.isoformat(), clock=clock(at, now, zone), near=near(at, now))


def clock(at: datetime, now: datetime, zone: ZoneInfo) -> str:
    """`14:05` today, `Mon 14:05` within a week, `26 Jan 14:05` otherwise, in the depot's zone."""
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    text = f"{local:%H:%M}"
    if local.date() == today:
        return text
    return f"{local:%a} {text}" if abs((local.date() - today).days) < 6 else f"{local.day} {local:%b} {text}"


def near(at: datetime, now: datetime) -> str:
    """The same words as `near` in static/times.js, which goes on from here."""
    away = at - now
    if abs(away) > NEAR:
        return ""
    total = int(abs(away).total_seconds() // 60)
    if total == 0:
        return "now"
    return f"in {total} min" if away > timedelta(0) else f"{total} min ago"


def distance(metres: float | None, units: str) -> str:
    """`4.2 mi` or `6.8 km`; empty where it was not measured."""
    if metres is None:
        return ""
    return f"{metres / 1609.344:.1f} mi" if units == "mile" else f"{metres / 1000:.1f} km"


def place(lat: float | None, lon: float | None) -> str:
    """`53.40840,-2.99160` for the map; empty where the place is not known."""
    return f"{lat:.5f},{lon:.5f}" if lat is not None and lon is not None else ""


def event_title(event: str) -> str:
    """The words for an event; an event that only another version knows keeps its name."""
    return EVENT_TITLES[Event(event)] if event in list(Event) else event.replace("_", " ").capitalize()


def unbilled(reason: str | None) -> str:
    return UNBILLED_TITLES.get(reason, f"Not billed: {reason.replace('_', ' ')}") if reason else ""
