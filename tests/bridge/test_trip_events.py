"""The driver's buttons: applied durably, answered always, and never the end of the bridge."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from appliance import clock
from appliance.config import Settings
from appliance.domain.trip import DRIVER_EVENTS
from appliance.storage import times, trips
from appliance.storage.db import rows, value, write_tx
from mqtt_bridge import trip_events
from mqtt_bridge.trip_events import Reply
from tests.cast import NOON, OTHER_VAN, VAN, Cast, SetClock, new_trip


@pytest.fixture
def trip(depot_db: Database, cast: Cast, set_clock: SetClock) -> int:
    with write_tx(depot_db) as tx:
        return new_trip(tx)


def body(trip: int = 1, **changes: Any) -> dict[str, Any]:
    return {"event_id": "e1", "trip_id": trip, "event": "on_board", "at": NOON.isoformat()} | changes


@pytest.fixture
def press(depot_db: Database, depot: Settings) -> Any:
    """`press(body)` is the reply; `press.raw(bytes)` of bytes."""

    class Press:
        def __call__(self, content: dict[str, Any], vehicle: str = VAN, settings: Settings = depot) -> dict[str, Any]:
            return self.said(trip_events.press(depot_db, settings, vehicle, json.dumps(content).encode()))

        def raw(self, payload: bytes) -> dict[str, Any]:
            return self.said(trip_events.press(depot_db, depot, VAN, payload))

        def said(self, reply: Reply) -> dict[str, Any]:
            found: dict[str, Any] = json.loads(reply.payload)
            assert found["accepted"] == reply.outcome.accepted
            return found

    return Press()


def state(db: Database, trip: int) -> str:
    return str((trips.get(db, trip) or {})["state"])


def test_a_button_is_applied_and_answered(press: Any, depot_db: Database, trip: int) -> None:
    assert press(body(trip, odometer_km=1234.5)) == {"event_id": "e1", "accepted": True}
    assert state(depot_db, trip) == "in_progress"
    event = rows(depot_db, "SELECT * FROM trip_events WHERE event_id = ?", f"{VAN}/e1")[0]
    assert (event["source"], event["who"], event["odometer_km"]) == ("driver", VAN, 1234.5)


def test_completing_asks_for_the_closing_after_the_settling_time(
    depot_db: Database, depot: Settings, trip: int
) -> None:
    for n, event in enumerate(("on_board", "completed")):
        content = body(trip, event_id=f"e{n}", event=event)
        reply = trip_events.press(depot_db, depot, VAN, json.dumps(content).encode())
    (asked,) = reply.outcome.jobs
    assert not asked.due
    assert value(depot_db, "SELECT due_at FROM jobs WHERE id = ?", asked.id) == "2026-01-26T12:01:00.000Z"


def test_sent_again_it_has_the_same_answer_and_is_one_row(press: Any, depot_db: Database, trip: int) -> None:
    for event in ("on_board", "completed", "completed"):
        content = body(trip, event_id=event, event=event)
        assert press(content) == press(content)
    assert value(depot_db, "SELECT count(*) FROM trip_events WHERE event_id IS NOT NULL") == 2


def test_a_known_event_is_answered_also_when_the_trip_has_gone_to_another_vehicle(
    press: Any, depot_db: Database, trip: int, set_clock: SetClock
) -> None:
    first = press(body(trip))
    depot_db.conn.execute("UPDATE trips SET vehicle_id = 2")
    set_clock.move(365 * 86_400)
    assert press(body(trip)) == first
    assert press(body(trip, event_id="e2", at=set_clock.at.isoformat()))["accepted"] is False


@pytest.mark.parametrize("vehicle", [OTHER_VAN, "VAN-9", ""])
def test_a_vehicle_moves_only_its_own_trips(press: Any, depot_db: Database, trip: int, vehicle: str) -> None:
    answer = press(body(trip), vehicle)
    assert answer["reason"] == f"trip {trip} is not assigned to this vehicle"
    assert state(depot_db, trip) == "assigned"


@pytest.mark.parametrize("event", ["assign", "cancel", "reopen", "unassign", "missed", "ready", "", "fly"])
def test_only_a_drivers_events_are_a_drivers(press: Any, trip: int, event: str) -> None:
    assert press(body(trip, event=event))["reason"].startswith("expected one of accepted, arrived_dropoff")
    assert event not in DRIVER_EVENTS


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"at": "2026-01-26T12:00:00"}, "expected a time with its zone in at"),
        ({"at": (NOON + timedelta(seconds=301)).isoformat()}, "the time in at is in the future"),
        ({"at": (NOON - timedelta(days=31)).isoformat()}, "the time in at is too long ago"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "the time in at is too long ago"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "the time in at is in the future"),
        ({"at": "yesterday"}, "not understood"),
        ({"trip_id": "7"}, "not understood"),
        ({"trip_id": 2**63}, "not understood"),
        ({"trip_id": -1}, "not understood"),
        ({"event_id": ""}, "not understood"),
        ({"event_id": "x" * 201}, "not understood"),
        ({"event_id": 5}, "not understood"),
        ({"contact_attempts": 2**64}, "not understood"),
        ({"contact_attempts": -1}, "not understood"),
        ({"odometer_km": -1}, "not understood"),
        ({"odometer_km": "far"}, "not understood"),
        ({"trip_id": 99}, "trip 99 is not assigned to this vehicle"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_a_reason(
    press: Any, depot_db: Database, trip: int, changes: dict[str, Any], says: str
) -> None:
    answer = press(body(trip, **changes))
    assert answer["accepted"] is False
    assert says in answer["reason"]
    assert "`" not in answer["reason"]
    assert state(depot_db, trip) == "assigned"


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1970-01-01T00:00:00Z"])
def test_a_clock_that_is_not_trusted_still_knows_the_impossible(
    press: Any, trip: int, depot: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: str
) -> None:
    monkeypatch.setattr(clock, "SYNCHRONIZED", tmp_path / "not there")
    trust = msgspec.structs.replace(depot.clock, trust="synchronized")
    careful = msgspec.structs.replace(depot, clock=trust)
    assert press(body(trip, at=at), settings=careful)["accepted"] is False
    ahead = (NOON + timedelta(days=300)).isoformat()
    assert press(body(trip, event_id="e2", at=ahead), settings=careful)["accepted"] is True


def test_a_wrong_event_is_answered_under_its_id_where_it_has_one(press: Any, trip: int) -> None:
    assert press.raw(b'{"event_id": "e7", "trip_id": "x"}')["event_id"] == "e7"
    for payload in (b"", b"{", b"[]", b"7", b'{"event_id": 7}', b"\xff", b"[" * 5000, b"[" * 990 + b"]" * 990):
        answer = press.raw(payload)
        assert answer["event_id"] is None
        assert answer["accepted"] is False


def test_an_event_may_carry_more_than_the_box_knows(press: Any, trip: int) -> None:
    assert press(body(trip, colour="red"))["accepted"] is True


def test_two_tablets_that_count_their_events_do_not_take_each_others_answers(
    press: Any, depot_db: Database, trip: int
) -> None:
    with write_tx(depot_db) as tx:
        other = new_trip(tx, vehicle=OTHER_VAN)
    assert press(body(trip, event_id="1"))["accepted"] is True
    assert press(body(other, event_id="1"), OTHER_VAN)["accepted"] is True
    answer = press(body(trip, event_id="1", event="no_show"))
    assert answer["reason"] == "another event was sent under this event_id"


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "event_id": st.text(max_size=3) | st.none() | st.integers(),
        "trip_id": st.integers() | st.floats() | st.text(max_size=3) | st.none(),
        "event": st.sampled_from(sorted(DRIVER_EVENTS)) | st.text(max_size=5),
        "at": st.datetimes().map(lambda at: at.isoformat() + "Z") | st.text(max_size=5) | st.integers(),
        "odometer_km": st.floats() | st.integers() | st.none(),
        "contact_attempts": st.integers() | st.text(max_size=2),
        "waited_s": st.floats() | st.integers(),
    },
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
@example(changes={"event_id": ""})
def test_any_event_at_all_has_an_answer(press: Any, trip: int, changes: dict[str, Any]) -> None:
    """What raised here would be delivered again, and raise again, for ever."""
    for _ in range(2):
        answer = press(body(trip, **changes))
        assert isinstance(answer["accepted"], bool)
        assert answer["accepted"] or answer["reason"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.binary(max_size=60))
def test_any_bytes_at_all_have_an_answer(press: Any, trip: int, payload: bytes) -> None:
    assert press.raw(payload)["accepted"] is False


def test_a_button_long_before_the_pickup_is_a_wrong_clock(press: Any, depot_db: Database, trip: int) -> None:
    """Else all that the vehicle has driven since is billed."""
    early = (NOON - timedelta(days=2)).isoformat()
    said = press(body(trip, at=early))
    assert (said["accepted"], said["reason"]) == (False, "the time is more than 12 hours before the pickup")
    assert value(depot_db, "SELECT on_board_at FROM trips") is None


def test_the_first_press_of_a_button_counts(press: Any, depot_db: Database, trip: int) -> None:
    """In whichever order two presses come."""
    for number, minutes in enumerate((5, 2, 7)):
        assert press(body(trip, event_id=f"e{number}", at=(NOON - timedelta(minutes=minutes)).isoformat()))["accepted"]
    assert value(depot_db, "SELECT on_board_at FROM trips") == times.text(NOON - timedelta(minutes=7))


def test_nobody_boards_after_the_arrival_at_the_drop_off(press: Any, depot_db: Database, trip: int) -> None:
    for number, (event, minutes) in enumerate((("on_board", 9), ("arrived_dropoff", 4))):
        press(body(trip, event_id=f"e{number}", event=event, at=(NOON - timedelta(minutes=minutes)).isoformat()))
    said = press(body(trip, event_id="late"))
    assert (said["accepted"], said["reason"]) == (False, "the time is after the arrival at the drop-off")
