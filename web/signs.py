"""What each state, colour and key means: the one table behind the page Help and the dialog `?`."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.config import Limits
from appliance.domain.trip import State


@dataclass(frozen=True, slots=True)
class Sign:
    """A state by its word, the sign that stands beside it (an icon's name), and what it means."""

    word: str
    sign: str
    text: str


KEYS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("↑", "↓"), "from card to card"),
    (("←", "→"), "from column to column"),
    (("Enter",), "select the trip; its van lights up on the map. Once more: to what can be done with it"),
    (("a",), "assign the trip to a van and a driver"),
    (("t",), "enter its times, as they are told by phone"),
    (("n",), "new trip"),
    (("/",), "search the trips of the day"),
    (("Esc",), "close, or select nothing"),
    (("b", "m"), "to the board, to the map"),
    (("?",), "this help"),
)

TRIPS: dict[State, str] = {
    State.will_call: "a return without a time yet: the patient calls when ready",
    State.scheduled: "has a time, and no vehicle yet",
    State.assigned: "a vehicle and its driver have it",
    State.in_progress: "the driver is on the way, or the patient is on board",
    State.completed: "the patient was brought; it is measured, then billed",
    State.cancelled: "called off before the patient boarded",
    State.no_show: "the van waited, nobody came",
    State.missed: "the depot could not run it",
}

JOBS: tuple[Sign, ...] = (
    Sign("pending", "clock", "written, not begun; perhaps not due yet"),
    Sign("running", "play", "a worker has it"),
    Sign("waiting", "stale", "it failed or its worker died, and it is tried again by itself"),
    Sign("done", "check", "it took effect, once"),
    Sign("failed", "alert", "parked until a person retries it or gives it up"),
    Sign("discarded", "cross", "a person gave it up; it can be retried until it is forgotten"),
)

INVOICES: tuple[Sign, ...] = (
    Sign("issued", "invoice", "open: the payer owes it"),
    Sign("paid", "check", "paid in full"),
    Sign("credited", "undo", "taken back in whole by credit notes"),
    Sign("disputed", "flag", "the payer objects; nobody is reminded meanwhile"),
    Sign("void", "cross", "taken back; another may replace it"),
)

HEALTH: tuple[Sign, ...] = (
    Sign("urgent", "alert", "something does not work now"),
    Sign("warning", "flag", "something waits for a person"),
    Sign("note", "note", "worth knowing, nothing to do"),
)

COLOURS: tuple[tuple[str, str], ...] = (
    ("live", "well, or done"),
    ("stale", "look at it soon"),
    ("offline", "needs somebody now"),
    ("accent", "selected, or to be pressed"),
)
"""Name of the colour, and what it means. No state is told by its colour alone."""


def vehicles(limits: Limits) -> tuple[Sign, ...]:
    """The states of vehicles, with the times at which one becomes another."""
    stale, silent, parked = round(limits.stale_s), round(limits.silent_s / 60), round(limits.parked_s / 60)
    return (
        Sign("live", "live", f"a position within {stale} s"),
        Sign("parked", "parked", f"its ignition is off, or it has stood on one spot for {parked} min"),
        Sign("stale", "stale", f"no position for more than {stale} s"),
        Sign("silent", "silent", f"none for more than {silent} min, or never"),
        Sign("stuck", "stuck", "its tracker talks, but sends one position of the same time again and again"),
        Sign("offline", "offline", "its tracker lost its connection to the box"),
    )
