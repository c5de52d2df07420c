"""Times that a dispatcher enters or corrects, as the driver told them by phone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from appliance import dispatch, jobs, typed
from appliance.dispatch import FUTURE, Outcome
from appliance.domain import trip
from appliance.domain.trip import STAMPS, STEPS, Event, State
from appliance.errors import NotFound, Refused
from appliance.events import Event as LiveEvent
from appliance.storage import audit, times, trips
from appliance.storage.db import Row, Tx

_OPEN = (State.assigned, State.in_progress)


def correct(
    tx: Tx, trip_id: int, said: Mapping[Event, datetime], *, now: datetime, who: str, settle_s: float, note: str = ""
) -> Outcome:
    """Sets the real times of these steps; each becomes an event with the source `phone`, and stands in the audit log.

    Times that stand there already change nothing. A trip under way goes on to the state that its steps lead to; a
    completed one is measured again by its new times, and an invoice that then would be another gets an adjustment.
    Raises NotFound, and by the name of the step InputError for a time of another age, Refused for one at which it
    cannot have happened, or not in the trip's state. Then nothing was changed.
    """
    found = trips.get(tx, trip_id)
    if found is None:
        raise NotFound("no such trip", subject=f"trip {trip_id}")
    state = State(found["state"])
    before = {step: times.parse_or_none(found[STAMPS[step]]) for step in STEPS}
    changed = {step: said[step] for step in STEPS if step in said and said[step] != before[step]}
    if not changed:
        return Outcome(True, None, state)
    if state not in (*_OPEN, State.completed):
        raise Refused(f"the trip is {trip.STATE_WORDS[state]}; its times stay as they are", subject=f"trip {trip_id}")
    after = {step: at for step, at in (before | changed).items() if at}
    for step, at in changed.items():
        typed.near(step.value, at, now)
        if at > now + FUTURE:
            raise Refused("the time is in the future", subject=step.value)
        if early := trip.too_early(step, at, times.parse(found["pickup_at"])):
            raise Refused(early, subject=step.value)
        if reason := trip.misplaced(step, at, after):
            raise Refused(reason, subject=step.value)
    if state is State.completed:
        outcome = _of_completed(tx, found, changed, now=now, who=who, settle_s=settle_s, note=note)
    else:
        outcome = _of_open(tx, found, changed, now=now, who=who, settle_s=settle_s, note=note)
    for step, at in changed.items():
        old = before[step]
        detail = f"{STAMPS[step]}: {times.text(old) if old else 'none'} -> {times.text(at)}"
        audit.record(tx, who, "trip.corrected" if old else "trip.stamped", "trip", found["uid"], now, detail)
    return outcome


def _of_open(
    tx: Tx, found: Row, changed: Mapping[Event, datetime], *, now: datetime, who: str, settle_s: float, note: str
) -> Outcome:
    """In the order of the steps: that of the times, which `misplaced` holds."""
    asks: list[jobs.Ask] = []
    live: list[LiveEvent] = []
    state: str | None = found["state"]
    for step, at in changed.items():
        outcome = dispatch.apply(
            tx, found["id"], step, at=at, now=now, source="phone", who=who, settle_s=settle_s, note=note
        )
        if not outcome.accepted:
            raise Refused(outcome.reason or "the step does not fit", subject=step.value)
        asks += outcome.jobs
        live += [event for event in outcome.events if event not in live]
        state = outcome.state
    return Outcome(True, None, state, asks, live)


def _of_completed(
    tx: Tx, found: Row, changed: Mapping[Event, datetime], *, now: datetime, who: str, settle_s: float, note: str
) -> Outcome:
    trip_id, state = found["id"], State.completed.value
    for step, at in changed.items():
        trips.add_event(
            tx, now, trip_id=trip_id, event=step.value, at=times.text(at), from_state=state, to_state=state,
            accepted=1, source="phone", who=who, note=note,
        )  # fmt: skip
    trips.change(tx, trip_id, now, **{STAMPS[step]: times.text(at) for step, at in changed.items()})
    ask = dispatch.ask_to_close(tx, trip_id, now=now, delay_s=settle_s)
    return Outcome(True, None, state, [ask], [LiveEvent("trip", str(trip_id), {"id": trip_id, "state": state})])
