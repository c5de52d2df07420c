"""The two ways to say something through Redis: neither raises, nor waits, when it is away."""

from __future__ import annotations

import json
import time

import pytest

from appliance import events
from appliance.config import Settings
from appliance.events import Event, Publisher
from appliance.jobs import Ask
from appliance.sender import Sender
from tests.servers import Redis

INVOICE = "billing.tasks.generate_invoice"


def vehicle(code: str, at: str) -> Event:
    return Event("vehicle", code, {"code": code, "at": at})


@pytest.fixture
def publisher(depot: Settings) -> Publisher:
    return Publisher(depot.paths.redis_socket)


@pytest.fixture
def sender(depot: Settings) -> Sender:
    return Sender(depot)


def test_an_event_without_redis_is_dropped_at_once(publisher: Publisher) -> None:
    began = time.monotonic()
    for _ in range(3):
        assert not publisher.publish(vehicle("V1", "10:00"))
        assert not publisher.knows_vehicles()
    assert time.monotonic() - began < 1
    assert publisher.publish()  # nothing to say


def test_the_newest_of_each_vehicle_stays_for_those_who_come_later(publisher: Publisher, redis_of_depot: Redis) -> None:
    assert not publisher.knows_vehicles()
    assert publisher.publish(vehicle("V1", "10:00"), vehicle("V2", "10:00"), vehicle("V1", "10:01"))
    kept = redis_of_depot.client(events.LIVE_DB).hgetall(events.VEHICLES_KEY)
    assert {code.decode(): json.loads(data)["at"] for code, data in kept.items()} == {"V1": "10:01", "V2": "10:00"}
    assert publisher.knows_vehicles()


def test_a_publisher_comes_back_when_redis_does(depot: Settings, publisher: Publisher) -> None:
    redis = Redis(depot)
    try:
        for _ in range(2):
            redis.start()
            assert publisher.publish(vehicle("V1", "10:00"))
            redis.kill()
            assert not publisher.publish(vehicle("V1", "10:00"))
    finally:
        redis.kill()


def test_a_full_redis_is_no_error(publisher: Publisher, sender: Sender, redis_of_depot: Redis) -> None:
    """`noeviction`: it refuses to write, and what is durable stands in the table."""
    redis_of_depot.client().config_set("maxmemory", 1)
    assert not publisher.publish(vehicle("V1", "10:00"))
    sender.send([Ask("j1", INVOICE, True)])
    redis_of_depot.client().config_set("maxmemory", "64mb")
    sender.send([Ask("j2", INVOICE, True)])
    assert redis_of_depot.client().llen("normal") == 1


def test_a_send_without_redis_gives_up_at_once(sender: Sender) -> None:
    began = time.monotonic()
    sender.send([Ask(f"j{n}", INVOICE, True) for n in range(5)])
    sender.send_ephemeral("trips.tasks.broadcast_trip_status", 5.0, trip_id=1, status="x")
    assert time.monotonic() - began < 2


def test_a_sender_comes_back_when_redis_does(depot: Settings, sender: Sender) -> None:
    """The first send after a restart may meet a connection from before it; the sweeper sends that job again."""
    redis = Redis(depot)
    try:
        sender.send([Ask("j0", INVOICE, True)])
        for _ in range(2):
            redis.start()
            sender.send([Ask("j1", INVOICE, True)])
            sender.send([Ask("j2", INVOICE, True)])
            assert redis.client().llen("normal") >= 1
            redis.kill()
    finally:
        redis.kill()


def test_what_is_not_due_is_not_sent(sender: Sender, redis_of_depot: Redis) -> None:
    sender.send([Ask("j1", INVOICE, False)])
    assert redis_of_depot.client().keys() == []
