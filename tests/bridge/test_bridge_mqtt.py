"""The bridge on a real broker: on disk before it is acknowledged, whatever is killed in between."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from sqlite_utils import Database

from appliance import clock
from appliance.storage.db import value, write_tx
from appliance.storage.gps import Store
from mqtt_bridge import topics, trip_events
from mqtt_bridge.assignments import Assignments
from tests.bridge.conftest import Broker
from tests.bridge.mqtt import Mqtt
from tests.bridge.workbench import Workbench, fix
from tests.cast import OTHER_VAN, VAN, new_trip
from tests.servers import Role, wait_for

TRACKER = f"{VAN}-1"
GPS, OTHER_GPS = topics.gps(VAN), topics.gps(OTHER_VAN)
_epochs = itertools.count(1)


@pytest.fixture
def epoch() -> int:
    """A numbering of the test's own."""
    return next(_epochs)


@pytest.fixture
def begin() -> datetime:
    """A span of time of the test's own: no fix of it is that of another test."""
    return clock.now().replace(microsecond=0) - timedelta(hours=2 * next(_epochs))


@pytest.fixture
def loopback(client: Callable[..., Mqtt]) -> Mqtt:
    made = client()
    made.subscribe("depot/v1/vehicles/+/ack/+", "depot/v1/vehicles/+/trip/reply")
    return made


def rejections(store: Store) -> int:
    return store.rejected()[1]


def test_a_fix_is_on_disk_before_its_acknowledgement_arrives(
    bench: Workbench, loopback: Mqtt, stored: Store, epoch: int, begin: datetime
) -> None:
    before = stored.count()
    seen: list[int] = []
    loopback.on_heard = lambda _topic, _body: seen.append(stored.count() - before)
    loopback.publish(GPS, [fix(n, begin, seq=n + 1, epoch=epoch) for n in range(5)])
    assert loopback.got == []
    bench.round()
    wait_for(lambda: loopback.got, "the acknowledgement")
    assert seen == [5]
    assert loopback.got == [(topics.ack(VAN, TRACKER), {"epoch": epoch, "seq": 5}, False)]


def test_a_fix_for_an_unknown_vehicle_is_kept_as_rejected(bench: Workbench, loopback: Mqtt, stored: Store) -> None:
    before = rejections(stored)
    loopback.publish(topics.gps("VAN-9"), fix(seq=1))
    bench.round()
    assert rejections(stored) == before + 1
    assert stored.rejected()[0][0]["vehicle"] == "VAN-9"


def test_a_poisoned_payload_among_good_ones_does_not_hold_up_their_acknowledgement(
    bench: Workbench, loopback: Mqtt, epoch: int, begin: datetime
) -> None:
    loopback.publish(GPS, fix(0, begin, seq=1, epoch=epoch))
    for poison in (b"\xff\xfe", b"[" * 990 + b"]" * 990, b'{"lat": ' + b"[" * 994 + b"]" * 994 + b"}", b"{", b"null"):
        loopback.publish(GPS, poison)
    loopback.publish(topics.gps("V" * 200), b"poison")
    loopback.publish(GPS, fix(1, begin, seq=2, epoch=epoch))
    bench.round(8)
    wait_for(lambda: {"epoch": epoch, "seq": 2} in loopback.heard("/ack/"), "the acknowledgement")


def test_a_poisoned_button_is_answered_and_the_next_one_too(
    bench: Workbench, loopback: Mqtt, broker_db: Database
) -> None:
    with write_tx(broker_db) as tx:
        trip = new_trip(tx, clock.now())
    now = clock.now().isoformat()
    for n, content in enumerate((
        {"event_id": "", "trip_id": trip, "event": "accepted", "at": now},
        {"event_id": "", "trip_id": trip, "event": "accepted", "at": now},
        {"event_id": "p1", "trip_id": 2**70, "event": "accepted", "at": now},
        {"event_id": "p2", "trip_id": trip, "event": "accepted", "at": "0001-01-01T00:00:00+14:00"},
        {"event_id": f"good-{trip}", "trip_id": trip, "event": "accepted", "at": now},
    ), 1):  # fmt: skip
        loopback.publish(topics.trip(VAN), content)
        bench.round()
        wait_for(lambda n=n: len(loopback.heard("/reply")) == n, "the reply")
    assert [answer["accepted"] for answer in loopback.heard("/reply")] == [False, False, False, False, True]


def test_fixes_before_a_trip_event_are_stored_before_it_is_applied(
    bench: Workbench,
    loopback: Mqtt,
    stored: Store,
    broker_db: Database,
    begin: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_event: list[int] = []
    press = trip_events.press
    monkeypatch.setattr(trip_events, "press", lambda *args: at_event.append(stored.count() - before) or press(*args))
    with write_tx(broker_db) as tx:
        trip = new_trip(tx, clock.now())
    before = stored.count()
    button = {"trip_id": trip, "event": "accepted", "at": clock.now().isoformat()}
    loopback.publish(GPS, [fix(n, begin) for n in range(3)])
    loopback.publish(topics.trip(VAN), button | {"event_id": f"a{trip}"})
    loopback.publish(GPS, fix(3, begin))
    loopback.publish(topics.trip(VAN), button | {"event_id": f"b{trip}"})
    loopback.publish(GPS, fix(4, begin))
    bench.round(5)
    assert at_event == [3, 4]
    assert stored.count() - before == 5
    wait_for(lambda: len(loopback.heard("/reply")) == 2, "both are answered")


def test_a_device_publishes_only_in_its_own_branch(
    bench: Workbench, client: Callable[..., Mqtt], stored: Store, begin: datetime
) -> None:
    before, refused = stored.count(), rejections(stored)
    device = client(TRACKER, device=True)
    for foreign in (OTHER_GPS, f"{OTHER_GPS}/{OTHER_VAN}-1", topics.trip(OTHER_VAN), f"owntracks/{OTHER_VAN}-1/x",
                    topics.assignment(VAN), topics.ack(VAN, TRACKER)):  # fmt: skip
        device.publish(foreign, fix(0, begin))
    device.publish(GPS, fix(1, begin))
    (message,) = bench.arrived(1)
    assert message.topic == GPS
    bench.bridge.handle([message])
    assert (stored.count() - before, rejections(stored) - refused) == (1, 0)


def test_a_device_hears_its_own_acknowledgements_and_no_others(
    bench: Workbench, client: Callable[..., Mqtt], loopback: Mqtt, epoch: int, begin: datetime
) -> None:
    device = client(TRACKER, device=True)
    device.subscribe("depot/v1/vehicles/+/ack/+", "#")
    loopback.publish(OTHER_GPS, fix(0, begin, seq=1, epoch=epoch))
    device.publish(GPS, fix(0, begin, seq=1, epoch=epoch))
    bench.round(2)
    wait_for(lambda: len(loopback.heard("/ack/")) == 2, "both are acknowledged")
    wait_for(lambda: device.got, "the device hears of its own")
    assert {topic for topic, _body, _retained in device.got} == {topics.ack(VAN, TRACKER)}


def test_a_retained_gps_message_is_not_a_fix(
    bench: Workbench, loopback: Mqtt, stored: Store, begin: datetime, broker: Broker, broker_db: Database
) -> None:
    """It is one when it comes; on the next subscription it is only what the broker has kept."""
    before = stored.count()
    loopback.publish(GPS, fix(0, begin), retain=True)
    bench.round()
    assert stored.count() == before + 1
    bench.client.stop()
    again = Workbench(broker.settings, broker_db)
    again.start()
    try:
        (message,) = again.arrived(1)
        assert message.retained
        again.bridge.handle([message])
        assert stored.count() == before + 1
        loopback.publish(GPS, b"", retain=True)  # forget it
        again.round()
        assert stored.count() == before + 1
    finally:
        again.stop()


def test_after_a_kill_between_commit_and_acknowledgement_it_comes_again_and_is_one_row(
    bench: Workbench, loopback: Mqtt, stored: Store, epoch: int, begin: datetime, broker: Broker, broker_db: Database
) -> None:
    before = stored.count()
    loopback.publish(GPS, [fix(n, begin, seq=n + 1, epoch=epoch) for n in range(3)])
    (message,) = bench.arrived(1)
    bench.ingest.add(message, topics.address(message.topic))
    bench.ingest.commit()
    bench.stop()
    assert stored.count() == before + 3
    assert loopback.got == []
    again = Workbench(broker.settings, broker_db)
    again.start()
    again.round()
    assert stored.count() == before + 3
    wait_for(lambda: loopback.heard("/ack/") == [{"epoch": epoch, "seq": 3}], "now it is acknowledged")
    again.stop()
    third = Workbench(broker.settings, broker_db)
    third.start()
    loopback.publish(OTHER_GPS, b"the next one")
    (message,) = third.arrived(1)
    assert message.payload == b"the next one"
    third.bridge.handle([message])
    third.stop()


def test_after_a_kill_before_the_commit_nothing_is_lost(
    bench: Workbench, loopback: Mqtt, stored: Store, begin: datetime, broker: Broker, broker_db: Database
) -> None:
    before = stored.count()
    loopback.publish(GPS, fix(0, begin))
    bench.arrived(1)
    bench.stop()
    loopback.publish(GPS, fix(1, begin))  # while nobody is there
    again = Workbench(broker.settings, broker_db)
    again.start()
    again.round(2)
    again.stop()
    assert stored.count() == before + 2


def test_assignments_stand_retained_and_are_published_only_when_they_change(
    bench: Workbench, client: Callable[..., Mqtt], broker_db: Database
) -> None:
    assignments = Assignments(broker_db, lambda topic, payload: bench.client.publish(topic, payload, retain=True))
    assert assignments.step() == 2
    with write_tx(broker_db) as tx:
        trip = new_trip(tx, clock.now(), vehicle=OTHER_VAN)
    assert assignments.step() == 1
    assert assignments.step() == 0
    late = client(f"{OTHER_VAN}-1", device=True)
    late.subscribe(topics.assignment(OTHER_VAN))
    wait_for(lambda: late.got, "what is retained")
    (topic, body, retained) = late.got[0]
    assert retained
    assert topic == topics.assignment(OTHER_VAN)
    assert trip in [one["trip_id"] for one in body["trips"]]


class TestBrokerKilled:
    def test_the_client_comes_back_subscribed_and_old_messages_are_not_acknowledged(
        self, bench: Workbench, broker: Broker, stored: Store, begin: datetime, client: Callable[..., Mqtt]
    ) -> None:
        before, loopback = stored.count(), client()
        readies: list[int] = []
        bench.client._resubscribed = lambda: readies.append(1)
        loopback.publish(GPS, fix(0, begin))
        (old,) = bench.arrived(1)
        broker.restart()
        wait_for(lambda: readies, "it is connected again, and subscribed")
        acknowledged: list[int] = []
        bench.client._paho.ack = lambda mid, qos: acknowledged.append(mid)  # type: ignore[method-assign]
        bench.bridge.handle([old])
        assert acknowledged == []
        assert stored.count() == before + 1
        again = client("again")
        again.publish(GPS, fix(1, begin))
        bench.round()
        assert acknowledged != []
        assert stored.count() == before + 2

    def test_what_cannot_be_published_is_said(self, bench: Workbench, broker: Broker) -> None:
        assert bench.client.publish(topics.trip_status(1), b"{}")
        broker.stop()
        wait_for(lambda: not bench.client.connected, "it is noticed")
        assert not bench.client.publish(topics.trip_status(1), b"{}")
        broker.restart()


@pytest.fixture
def role(broker: Broker) -> Iterator[Callable[[], Role]]:
    made: list[Role] = []

    def start() -> Role:
        made.append(Role(broker.settings, "bridge"))
        return made[-1]

    yield start
    for one in made:
        one.kill()


def test_a_bridge_that_is_killed_twice_in_a_stream_loses_no_fix_and_doubles_none(
    role: Callable[[], Role], broker: Broker, stored: Store, begin: datetime
) -> None:
    """The whole role, without Redis, against a tracker as the protocol wants it."""
    from mqtt_bridge.tracker import Fleet

    before = stored.count()
    fleet = Fleet(broker.settings.paths, "stream")
    assert fleet.start()
    fleet.add(VAN, next(_epochs))
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            fleet.step()
            stop.wait(0.005)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        bridge = role()
        for n in range(900):
            fleet.fix(VAN, fix(n, begin))
            if n in (300, 600):
                wait_for(lambda n=n: fleet.acknowledged > n - 290, "some are acknowledged")
                bridge.kill()
                bridge = role()
        wait_for(lambda: fleet.waiting() == 0, "all are acknowledged")
    finally:
        stop.set()
        thread.join()
        fleet.stop()
    assert stored.count() == before + 900
    bridge.process.terminate()
    assert bridge.process.wait(10) == 0


def test_the_log_of_the_bridge_names_nobody(broker: Broker, broker_db: Database) -> None:
    log = (broker.settings.paths.run_dir / "bridge.log").read_text()
    assert "mqtt.connected" in log
    assert "Ada Marsh" not in log
    assert value(broker_db, "SELECT count(*) FROM patients") == 1
