"""From the box's events to MQTT: the broadcasts, and a hint at each assignment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from appliance import events
from appliance.config import Settings
from appliance.events import Event, Publisher
from mqtt_bridge.relay import Relay
from tests.servers import Redis, wait_for


class Heard:
    """What the relay publishes and hints."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []
        self.hints = 0

    def publish(self, topic: str, payload: bytes) -> bool:
        if "#" in topic:
            raise ValueError("Publish topic cannot contain wildcards.")
        self.said.append((topic, json.loads(payload)))
        return True

    def hint(self) -> None:
        self.hints += 1


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def relay(depot: Settings, heard: Heard) -> Iterator[Relay]:
    made = Relay(depot.paths.redis_socket, heard.publish, heard.hint)
    made.start()
    yield made
    made.stop()
    assert "relay" not in {thread.name for thread in threading.enumerate()}


def say(depot: Settings, *said: Event) -> None:
    assert Publisher(depot.paths.redis_socket).publish(*said)


def position(trip: str) -> Event:
    return Event("trip_position", trip, {"trip_id": trip, "lat": 1.0})


def test_broadcasts_go_to_the_topics_of_their_trip(
    depot: Settings, redis_of_depot: Redis, relay: Relay, heard: Heard
) -> None:
    wait_for(lambda: heard.hints, "it listens")
    say(depot, position("7"), Event("trip_status", "8", {"status": "late"}), Event("trip", "9", {}))
    wait_for(lambda: len(heard.said) == 2, "both are passed on")
    assert heard.said == [
        ("depot/v1/trips/7/position", {"trip_id": "7", "lat": 1.0}), ("depot/v1/trips/8/status", {"status": "late"}),
    ]  # fmt: skip


def test_an_assignment_is_only_a_hint(depot: Settings, redis_of_depot: Redis, relay: Relay, heard: Heard) -> None:
    wait_for(lambda: heard.hints == 1, "it listens; one may have been missed before")
    say(depot, Event("assignment", "VAN-1", {}))
    wait_for(lambda: heard.hints == 2, "the hint")
    assert heard.said == []


def test_it_comes_back_when_redis_does(depot: Settings, relay: Relay, heard: Heard) -> None:
    redis = Redis(depot)
    try:
        for count in (1, 2):
            redis.start()
            wait_for(lambda count=count: heard.hints == count, "it listens")
            say(depot, position(str(count)))
            wait_for(lambda count=count: len(heard.said) == count, "it is passed on")
            redis.kill()
    finally:
        redis.kill()


def test_an_event_that_cannot_be_passed_on_ends_nothing(
    depot: Settings, redis_of_depot: Redis, relay: Relay, heard: Heard
) -> None:
    """A trip called "#" (a task is called by whoever may send one) cannot be a topic."""
    wait_for(lambda: heard.hints, "it listens")
    redis_of_depot.client(events.LIVE_DB).publish(events.CHANNEL, b"\xff no event")
    redis_of_depot.client(events.LIVE_DB).publish(events.CHANNEL, b'{"kind": "party", "key": "", "data": {}}')
    say(depot, position("#"), position("7"))
    wait_for(lambda: heard.said, "the one after them is passed on")
    assert heard.hints == 1
