"""What a card says: its column, its times, and whether a person should look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from appliance.domain.trip import Event, State
from web import cards

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 7, 6, 12, 0, tzinfo=UTC)  # 13:00 in London


def at(minutes: float) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat()


def row(**columns: Any) -> dict[str, Any]:
    stamps = dict.fromkeys((name for name, _ in cards.STEPS), None)
    return {"pickup_at": at(0), "appointment_at": None, **stamps, **columns}


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_column_and_a_word(state: State) -> None:
    assert cards.column(state) in cards.COLUMNS
    assert cards.STATE_TITLES[state]


def test_every_event_has_words() -> None:
    assert set(cards.EVENT_TITLES) == set(Event)
    assert cards.event_title("something_newer") == "Something newer"


@pytest.mark.parametrize(
    ("columns", "state", "said", "tone"),
    [
        ({"pickup_at": at(10)}, State.assigned, "", "quiet"),
        ({"pickup_at": at(-4)}, State.assigned, "", "quiet"),
        ({"pickup_at": at(-5)}, State.scheduled, "5 min late", "warn"),
        ({"pickup_at": at(-65)}, State.assigned, "1 h 05 min late", "warn"),
        ({"pickup_at": at(-65)}, State.will_call, "", "quiet"),
        ({"pickup_at": at(-20), "arrived_pickup_at": at(-20)}, State.in_progress, "", "quiet"),
        ({"pickup_at": at(-20), "arrived_pickup_at": at(-8)}, State.in_progress, "picked up 12 min late", "quiet"),
        (
            {"pickup_at": at(-60), "arrived_pickup_at": at(-60), "appointment_at": at(-7)},
            State.in_progress,
            "7 min late for the appointment",
            "warn",
        ),
        ({"pickup_at": at(-60), "on_board_at": at(-60), "appointment_at": at(7)}, State.in_progress, "", "quiet"),
        ({"pickup_at": at(-60), "arrived_pickup_at": at(-50)}, State.completed, "picked up 10 min late", "quiet"),
        ({"pickup_at": at(-60)}, State.cancelled, "", "quiet"),
    ],
)
def test_lateness(columns: dict[str, str], state: State, said: str, tone: str) -> None:
    assert cards.lateness(row(**columns), state, NOW, timedelta(minutes=5)) == (said, tone)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "now"), (0.5, "now"), (12, "in 12 min"), (-3, "3 min ago"), (90, "in 90 min"), (91, ""), (-100, "")],
)
def test_near_times_are_relative(minutes: float, words: str) -> None:
    assert cards.near(NOW + timedelta(minutes=minutes), NOW) == words


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (NOW, "13:00"),
        (NOW + timedelta(hours=11), "Tue 00:00"),
        (NOW - timedelta(days=1), "Sun 13:00"),
        (NOW - timedelta(days=40), "27 May 13:00"),
    ],
)
def test_clock_times_are_in_the_depots_zone(moment: datetime, words: str) -> None:
    assert cards.clock(moment, NOW, LONDON) == words


def test_distances_have_the_depots_unit() -> None:
    assert cards.distance(1609.344, "mile") == "1.0 mi"
    assert cards.distance(1609.344, "km") == "1.6 km"
    assert cards.distance(None, "km") == ""


@pytest.mark.parametrize(("minutes", "words"), [(59, "59 min"), (60, "1 h 00 min"), (1500, "1 d 1 h")])
def test_spans_are_readable(minutes: int, words: str) -> None:
    assert cards.minutes(timedelta(minutes=minutes)) == words
