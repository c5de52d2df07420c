"""The live side: newest wins, never backwards, never in the way, and back by itself when Redis is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from appliance import events, jobs
from appliance.config import Settings
from appliance.domain.fix import Fix
from appliance.events import Event, Publisher
from appliance.sender import Sender
from mqtt_bridge.live import Live
from mqtt_bridge.presence import Presence
from tests.cast import NOON, VAN, SetClock
from tests.servers import Redis, wait_for


def fix(seconds: float, lat: float = 53.4) -> Fix:
    return Fix(NOON + timedelta(seconds=seconds), lat, -2.9, speed_kmh=30.0, heading_deg=90.0)


pytestmark = pytest.mark.usefixtures("set_clock")


@pytest.fixture
def live(depot: Settings, set_clock: SetClock) -> Live:
    return live_of(depot)


def live_of(depot: Settings, newest: dict[str, Fix] | None = None) -> Live:
    presence = Presence(depot, {code: [fix] for code, fix in (newest or {}).items()})
    return Live(Publisher(depot.paths.redis_socket), Sender(depot), presence)


@pytest.fixture
def heard(redis_of_depot: Redis) -> Iterator[Any]:
    """`heard()` are the events since the last time."""
    with redis_of_depot.client(events.LIVE_DB).pubsub() as subscription:
        subscription.subscribe(events.CHANNEL)
        wait_for(lambda: redis_of_depot.client().pubsub_numsub(events.CHANNEL)[0][1], "it listens")

        def since() -> list[Event]:
            found = []
            while message := subscription.get_message(timeout=0.05):
                if message["type"] == "message":
                    found.append(events.decode(message["data"]))
            return found

        yield since


def marker(redis: Redis) -> str | None:
    """The time of the van's marker, as a page that is opened now shows it."""
    found = redis.client(events.LIVE_DB).hget(events.VEHICLES_KEY, VAN)
    return json.loads(found)["at"] if found else None


def broadcasts(redis: Redis) -> int:
    return int(redis.client().llen("high_priority"))


def test_the_newest_fix_is_told_once(live: Live, heard: Any, redis_of_depot: Redis) -> None:
    live.see({VAN: (1, fix(0))})
    live.step(100.0)
    live.step(100.2)
    (event,) = heard()
    assert (event.kind, event.key) == ("vehicle", VAN)
    assert event.data == {
        "code": VAN, "at": "2026-01-26T12:00:00.000Z", "lat": 53.4, "lon": -2.9, "speed_kmh": 30.0, "heading_deg": 90.0,
        "trip_id": None, "state": "live", "ignition": None, "standing_since": None,
        "received_at": event.data["received_at"], "repeated_at": None, "offline_at": None,
    }  # fmt: skip


def test_a_late_fix_does_not_move_the_live_marker(live: Live, heard: Any, redis_of_depot: Redis) -> None:
    for seconds in (10, 5, 10):
        live.see({VAN: (1, fix(seconds, lat=50 + seconds))})
        live.step(100.0 + seconds)
    told = [(event.data["lat"], event.data["at"]) for event in heard()]
    assert set(told) == {(60, "2026-01-26T12:00:10.000Z")}
    assert len(told) == 2  # the first, and that it came again: what tells a stuck tracker
    assert marker(redis_of_depot) == "2026-01-26T12:00:10.000Z"


def test_a_late_fix_does_not_move_the_marker_of_before_the_start(depot: Settings, redis_of_depot: Redis) -> None:
    live = live_of(depot, {VAN: fix(60)})
    live.see({VAN: (1, fix(30))})
    live.step(100.0)
    assert marker(redis_of_depot) == "2026-01-26T12:01:00.000Z"


def test_many_fixes_between_two_steps_are_one_event(live: Live, heard: Any) -> None:
    for seconds in range(50):
        live.see({VAN: (1, fix(seconds))})
    live.step(100.0)
    assert [event.data["at"] for event in heard()] == ["2026-01-26T12:00:49.000Z"]


def test_a_running_trip_is_broadcast_at_most_once_a_second(live: Live, redis_of_depot: Redis) -> None:
    live.running({VAN: [7]})
    for tenth in range(30):
        live.see({VAN: (1, fix(tenth / 10))})
        live.step(100.0 + tenth / 10)
    assert broadcasts(redis_of_depot) == 3


def test_the_last_fix_before_a_stop_is_broadcast_as_well(live: Live, redis_of_depot: Redis) -> None:
    """It came too soon after the one before; it waits for its turn, and is not forgotten."""
    live.running({VAN: [7]})
    for seconds in (0, 0.5):
        live.see({VAN: (1, fix(seconds))})
        live.step(100.0 + seconds)
    assert broadcasts(redis_of_depot) == 1
    live.step(101.0)
    live.step(102.5)
    assert broadcasts(redis_of_depot) == 2


def test_no_trip_no_broadcast_and_none_after_its_end(live: Live, redis_of_depot: Redis) -> None:
    live.see({VAN: (1, fix(0))})
    live.step(100.0)
    assert broadcasts(redis_of_depot) == 0
    live.running({VAN: [7]})
    for seconds in (1, 1.5):
        live.see({VAN: (1, fix(seconds))})
        live.step(100.0 + seconds)
    live.running({})
    live.step(105.0)
    assert broadcasts(redis_of_depot) == 1
    assert live._broadcast_at == {}


def test_events_and_jobs_are_passed_on_in_their_order(
    live: Live, heard: Any, redis_of_depot: Redis, depot: Settings
) -> None:
    live.say([Event("trip", "1", {}), Event("trip", "2", {})], [jobs.Ask("j1", "billing.tasks.generate_invoice", True)])
    live.step(100.0)
    assert [event.key for event in heard()] == ["1", "2"]
    assert redis_of_depot.client().llen("normal") == 1


def test_a_job_that_is_not_due_is_not_sent(live: Live, redis_of_depot: Redis) -> None:
    live.say([], [jobs.Ask("j1", "billing.tasks.generate_invoice", False)])
    live.step(100.0)
    assert redis_of_depot.client().llen("normal") == 0


def test_after_a_redis_that_was_away_the_marker_is_there_again(depot: Settings, live: Live) -> None:
    redis = Redis(depot)
    live.see({VAN: (1, fix(0))})
    live.step(100.0)
    redis.start()
    try:
        live.step(101.5)
        assert marker(redis) == "2026-01-26T12:00:00.000Z"
        redis.kill()
        live.see({VAN: (1, fix(3))})
        live.step(103.0)
        redis.start()
        live.step(104.5)
        assert marker(redis) == "2026-01-26T12:00:03.000Z"
    finally:
        redis.kill()


def test_after_a_wiped_redis_every_marker_is_published_again(depot: Settings, redis_of_depot: Redis) -> None:
    live = live_of(depot, {VAN: fix(0), "VAN-2": fix(1)})
    live.step(100.0)
    redis_of_depot.client().flushall()
    live.step(100.5)
    assert marker(redis_of_depot) is None
    live.step(101.5)
    assert redis_of_depot.client(events.LIVE_DB).hlen(events.VEHICLES_KEY) == 2


def test_the_thread_does_it_by_itself_and_ends_when_told(depot: Settings, redis_of_depot: Redis, heard: Any) -> None:
    live = live_of(depot)
    live.running({VAN: [7]})
    live.start()
    live.see({VAN: (1, fix(0))})
    wait_for(lambda: marker(redis_of_depot), "the marker is there")
    live.see({VAN: (1, fix(1))})
    wait_for(lambda: broadcasts(redis_of_depot) == 2, "the second broadcast follows after its second")
    live.stop()
    assert not live._thread.is_alive()


def test_an_error_in_a_step_does_not_end_the_thread(depot: Settings, redis_of_depot: Redis) -> None:
    live = live_of(depot)
    live.say([Event("trip", "1", {"unwritable": object()})], [])
    live.start()
    live.see({VAN: (1, fix(0))})
    wait_for(lambda: marker(redis_of_depot), "the next step works")
    live.stop()
