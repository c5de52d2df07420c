"""The life of a trip: every state with every event, and the rules around them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.trip import (
    DRIVER_EVENTS,
    FINISHED,
    RUNNING,
    STAMPS,
    TRANSITIONS,
    Event,
    LevelOfService,
    NoShowRule,
    Refusal,
    State,
    advance,
    carries,
    cleared,
    no_show_allowed,
    overlaps,
)

ON_THE_WAY = "en_route arrived_pickup on_board arrived_dropoff"
EXPECTED = {
    # state: {state after it: events}; every pair that is not here is refused
    "will_call": {"scheduled": "ready", "cancelled": "cancel"},
    "scheduled": {"assigned": "assign", "cancelled": "cancel", "missed": "missed"},
    "assigned": {
        "scheduled": "unassign",
        "assigned": "assign accepted",
        "in_progress": ON_THE_WAY,
        "cancelled": "cancel",
        "no_show": "no_show",
        "missed": "missed",
    },
    "in_progress": {
        "scheduled": "unassign",
        "in_progress": f"accepted {ON_THE_WAY}",
        "completed": "completed",
        "cancelled": "cancel",
        "no_show": "no_show",
        "missed": "missed",
    },
    "completed": {"in_progress": "reopen"},
    "cancelled": {"scheduled": "reopen"},
    "no_show": {"scheduled": "reopen"},
    "missed": {"scheduled": "reopen"},
}
ALLOWED = {
    (State(state), Event(event)): State(after)
    for state, by_after in EXPECTED.items()
    for after, events in by_after.items()
    for event in events.split()
}
PAIRS = list(itertools.product(State, Event))
REFUSED = [pair for pair in PAIRS if pair not in ALLOWED]


@pytest.mark.parametrize(("state", "event"), ALLOWED)
def test_allowed_event_leads_to_its_state(state: State, event: Event) -> None:
    assert advance(state, event) is ALLOWED[state, event]


@pytest.mark.parametrize(("state", "event"), REFUSED)
def test_any_other_event_is_refused_with_a_reason_in_plain_words(state: State, event: Event) -> None:
    with pytest.raises(Refusal) as refused:
        advance(state, event)
    reason = refused.value.reason
    assert reason.startswith("the trip ")
    assert str(refused.value) == reason
    assert "_" not in reason
    assert len(reason) <= 100


def test_the_two_lists_together_are_every_pair() -> None:
    assert len(ALLOWED) + len(REFUSED) == len(State) * len(Event) == 104


@pytest.mark.parametrize(("state", "event", "reason"), [
    ("cancelled", "completed", "the trip is cancelled; it cannot be completed"),
    ("assigned", "completed", "the trip has not started; mark the patient on board before it is completed"),
    ("completed", "completed", "the trip is already completed"),
    ("cancelled", "cancel", "the trip is already cancelled"),
    ("no_show", "no_show", "the trip is already a no-show"),
    ("missed", "missed", "the trip is already missed"),
    ("scheduled", "on_board", "the trip is not given to a vehicle yet; it cannot be marked on board"),
    ("will_call", "assign", "the trip is waiting for the patient's call; it cannot be given to a vehicle"),
    ("in_progress", "assign", "the trip is under way; take it off its vehicle before another one gets it"),
])  # fmt: skip
def test_reason_says_what_stands_in_the_way(state: str, event: str, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        advance(State(state), Event(event))
    assert refused.value.reason == reason


@pytest.mark.parametrize("buttons", [
    "accepted en_route arrived_pickup on_board arrived_dropoff completed",
    "on_board completed",
    "arrived_dropoff completed",
    "en_route accepted on_board arrived_pickup completed",
])  # fmt: skip
def test_driver_may_press_buttons_late_or_skip_them(buttons: str) -> None:
    state = State.assigned
    for button in buttons.split():
        state = advance(state, Event(button))
    assert state is State.completed


@given(st.lists(st.sampled_from(Event)))
def test_no_trip_is_completed_that_was_never_in_progress(events: list[Event]) -> None:
    state, seen = State.will_call, {State.will_call}
    for event in events:
        state = TRANSITIONS.get((state, event), state)
        assert state is not State.completed or State.in_progress in seen
        seen.add(state)


def test_every_state_can_be_reached_from_a_will_call() -> None:
    reached = {State.will_call}
    for _ in State:
        reached |= {after for (state, _event), after in TRANSITIONS.items() if state in reached}
    assert reached == set(State)


def test_a_finished_trip_can_only_be_reopened() -> None:
    assert {event for (state, event) in TRANSITIONS if state in FINISHED} == {Event.reopen}


def test_a_trip_that_is_not_finished_can_be_cancelled() -> None:
    assert {state for (state, event) in TRANSITIONS if event is Event.cancel} == set(State) - FINISHED


def test_a_running_trip_is_not_finished() -> None:
    assert {State.in_progress} == RUNNING
    assert not RUNNING & FINISHED


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[State.will_call, Event.completed] = State.completed  # type: ignore[index]


def test_driver_has_the_buttons_of_the_way_and_no_others() -> None:
    buttons = f"accepted {ON_THE_WAY} completed no_show"
    assert set(buttons.split()) == DRIVER_EVENTS


def test_each_driver_event_and_the_cancellation_has_a_stamp_of_its_own() -> None:
    assert set(STAMPS) == DRIVER_EVENTS | {Event.cancel}
    assert len(set(STAMPS.values())) == len(STAMPS)


@pytest.mark.parametrize(("state", "event"), [
    ("assigned", "assign"), ("assigned", "unassign"), ("in_progress", "unassign"), ("no_show", "reopen"),
])  # fmt: skip
def test_new_start_clears_every_stamp(state: str, event: str) -> None:
    assert cleared(State(state), Event(event)) == set(STAMPS.values())


def test_reopening_a_completed_trip_clears_its_completion_only() -> None:
    assert cleared(State.completed, Event.reopen) == {"completed_at"}


@pytest.mark.parametrize("event", STAMPS)
def test_event_with_a_stamp_clears_none(event: Event) -> None:
    assert cleared(State.in_progress, event) == set()


# carries


@pytest.mark.parametrize("level", LevelOfService)
def test_vehicle_carries_the_levels_it_is_listed_for_and_no_others(level: LevelOfService) -> None:
    listed = {LevelOfService.ambulatory, LevelOfService.wheelchair}
    assert carries(listed, level) is (level in {"ambulatory", "wheelchair"})


@pytest.mark.parametrize("level", LevelOfService)
def test_vehicle_without_levels_carries_nobody(level: LevelOfService) -> None:
    assert not carries([], level)


# no-show

RULE = NoShowRule(contact_attempts=2, wait_s=600)


@pytest.mark.parametrize(("attempts", "waited_s", "reason"), [
    (2, 600, None),
    (5, 3_600.5, None),
    (1, 600, "the patient was called 1 of 2 times"),
    (2, 599.9, "the vehicle has waited 9 of 10 minutes"),
    (2, -30, "the vehicle has waited 0 of 10 minutes"),
    (2, None, "the arrival at the pickup is not marked"),
])  # fmt: skip
def test_no_show_needs_arrival_calls_and_waiting(attempts: int, waited_s: float | None, reason: str | None) -> None:
    assert no_show_allowed(attempts, waited_s, RULE) == reason


def test_no_show_needs_a_call_and_ten_minutes_by_default() -> None:
    assert no_show_allowed(0, 3_600, NoShowRule()) == "the patient was called 0 of 1 times"
    assert no_show_allowed(1, 599, NoShowRule()) == "the vehicle has waited 9 of 10 minutes"
    assert no_show_allowed(1, 600, NoShowRule()) is None


# overlaps

EIGHT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
hours = st.integers(0, 12).map(lambda hour: EIGHT + timedelta(hours=hour))
spans = st.tuples(hours, hours).filter(lambda span: span[0] < span[1])


@given(spans, spans)
def test_spans_overlap_if_they_share_some_time(a: tuple[datetime, datetime], b: tuple[datetime, datetime]) -> None:
    assert overlaps(*a, *b) is (min(a[1], b[1]) > max(a[0], b[0]))


def test_trip_may_begin_as_another_ends() -> None:
    nine, ten = EIGHT + timedelta(hours=1), EIGHT + timedelta(hours=2)
    assert not overlaps(EIGHT, nine, nine, ten)
    assert not overlaps(nine, ten, EIGHT, nine)


def test_span_inside_another_overlaps_it() -> None:
    assert overlaps(EIGHT, EIGHT + timedelta(hours=3), EIGHT + timedelta(hours=1), EIGHT + timedelta(hours=2))
