"""A driver who cannot drive today: all that is theirs goes to another driver or to nobody, and can be taken back."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from appliance import dispatch, driver_desk, jobs
from appliance.domain.trip import Event, State
from appliance.errors import NotFound, Refused
from appliance.events import Event as LiveEvent
from appliance.storage import audit, handovers, people, times, trips, vehicles
from appliance.storage.db import Row, Tx

_KEPT = ("state", "vehicle_id", "driver_id", *trips.STAMP_COLUMNS)
"""What a handover may change of a trip."""


class HandedOver(Struct, frozen=True):
    """What was done: the handover's id, which trips changed hands, and which stayed as they are: those under way where
    nobody takes over, and for an undoing those about which somebody has decided since. Jobs to send and live events to
    publish, after the commit."""

    id: int
    trips: list[int]
    left: list[int]
    jobs: list[jobs.Ask]
    events: list[LiveEvent]


def unavailable(tx: Tx, code: str, to: str | None, *, now: datetime, who: str) -> HandedOver:
    """The driver gets no trip from now on. Trips that are assigned keep their vehicle and get the other driver, those
    under way their times, too. Without another driver those that are assigned go to nobody, and those under way stay
    with their van: there may be a patient on board, and whoever drives it on ends the trip.

    Raises NotFound by the field, and Refused where it is so already, the other one cannot drive, or a trip cannot be
    given on, naming it. Then nothing was changed.
    """
    found = _driver(tx, code, "driver")
    if found["unavailable_at"]:
        raise Refused("the driver is unavailable already", subject="driver")
    other = _driver(tx, to, "to") if to else None
    if other and (other["id"] == found["id"] or other["unavailable_at"]):
        raise Refused("the driver is unavailable", subject="to")
    before, stay, asks, live = [], list[int](), list[jobs.Ask](), list[LiveEvent]()
    for each in trips.open_of(tx, "driver_id", found["id"]):
        was = trips.get(tx, each["id"])
        assert was is not None
        if other is None and was["state"] == State.in_progress:
            stay.append(was["id"])
            continue
        outcome = _give(tx, was, found, other, now=now, who=who)
        asks += outcome.jobs
        live += outcome.events
        now_is = trips.get(tx, was["id"])
        assert now_is is not None
        kept = {name: was[name] for name in _KEPT}
        before.append({"id": was["id"], "version": now_is["version"], "before": kept})
    people.change_driver(tx, found["id"], now, unavailable_at=times.text(now))
    id = handovers.add(tx, found["id"], other["id"] if other else None, before, now, who)
    said = f"{len(before)} trips to {to or 'nobody'}"
    audit.record(tx, who, "driver.unavailable", "driver", found["uid"], now, said)
    return HandedOver(id, [one["id"] for one in before], stay, asks, live)


def available(tx: Tx, code: str, *, now: datetime, who: str) -> None:
    """The driver can be given trips again. Raises NotFound, and Refused where that is so already."""
    found = _driver(tx, code, "driver")
    if not found["unavailable_at"]:
        raise Refused("the driver is not unavailable", subject="driver")
    people.change_driver(tx, found["id"], now, unavailable_at=None)
    audit.record(tx, who, "driver.available", "driver", found["uid"], now)


def undo(tx: Tx, id: int, *, now: datetime, who: str) -> HandedOver:
    """The trips are the driver's again, with the times that they had, and the driver is available. A trip that changed
    since, or whose vehicle is out of service, is left as it is. Raises NotFound, and Refused where it was undone."""
    found = handovers.get(tx, id)
    if found is None:
        raise NotFound("no such handover", subject=f"handover {id}")
    if found["undone_at"]:
        raise Refused("it was undone already", subject=f"handover {id}")
    driver = people.driver(tx, found["driver_id"])
    assert driver is not None
    if driver["disabled_at"]:
        raise Refused(f"driver {driver['code']} drives no more", subject=f"handover {id}")
    back, left, live = list[int](), list[int](), list[LiveEvent]()
    serving = {one["id"]: one["code"] for one in vehicles.every(tx) if not one["disabled_at"]}
    for one in found["trips"]:
        now_is = trips.get(tx, one["id"])
        before = one["before"]
        if now_is is None or now_is["version"] != one["version"] or before["vehicle_id"] not in serving:
            left.append(one["id"])
            continue
        trips.change(tx, one["id"], now, **before)
        _note(tx, now_is, before["state"], now=now, who=who, note="the handover was undone")
        back.append(one["id"])
        live.append(LiveEvent("trip", str(one["id"]), {"id": one["id"], "state": before["state"]}))
        codes = {serving[before["vehicle_id"]], vehicles.code_of(tx, now_is["vehicle_id"])}
        live += [LiveEvent("assignment", code, {}) for code in sorted(code for code in codes if code)]
    people.change_driver(tx, driver["id"], now, unavailable_at=None)
    handovers.mark_undone(tx, id, now)
    audit.record(tx, who, "driver.handover_undone", "driver", driver["uid"], now, f"{len(back)} trips")
    return HandedOver(id, back, left, [], live)


def _give(tx: Tx, was: Row, driver: Row, other: Row | None, *, now: datetime, who: str) -> dispatch.Outcome:
    note = f"driver {driver['code']} is unavailable"
    vehicle = vehicles.code_of(tx, was["vehicle_id"])
    if other and was["state"] == State.in_progress:
        trips.change(tx, was["id"], now, driver_id=other["id"])
        _note(tx, was, was["state"], now=now, who=who, note=note)
        name = "users.tasks.send_trip_assignment_notification"
        told = jobs.enqueue(tx, name, now=now, trip_id=was["id"], driver_id=other["id"])
        live = [LiveEvent("trip", str(was["id"]), {"id": was["id"], "state": was["state"]})]
        live += [LiveEvent("assignment", vehicle, {})] if vehicle else []
        return dispatch.Outcome(True, None, was["state"], [told], live)
    outcome = dispatch.apply(
        tx,
        was["id"],
        Event.assign if other else Event.unassign,
        at=now,
        now=now,
        source="dispatcher",
        who=who,
        vehicle=vehicle if other else None,
        driver=other["code"] if other else None,
        note=note,
    )
    if not outcome.accepted:
        raise Refused(outcome.reason or "it cannot be given on", subject=f"trip {was['ref'] or was['id']}")
    return outcome


def _note(tx: Tx, was: Row, state: str, *, now: datetime, who: str, note: str) -> None:
    """The event row of a change that is no step of the trip's own table."""
    trips.add_event(
        tx, now, trip_id=was["id"], event=Event.assign.value, at=times.text(now), from_state=was["state"],
        to_state=state, accepted=1, source="dispatcher", who=who, note=note,
    )  # fmt: skip


def _driver(tx: Tx, code: str, field: str) -> Row:
    try:
        found = driver_desk.get(tx, code)
    except NotFound as error:
        raise NotFound("there is no such driver", subject=field) from error
    if found["disabled_at"]:
        raise Refused("the driver drives no more", subject=field)
    return found
