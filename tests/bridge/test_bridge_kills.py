"""Whatever is killed between the broker and the disk: no fix is lost, and none is there twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from sqlite_utils import Database

from appliance import clock
from appliance.storage import gps_days
from appliance.storage.db import value, write_tx
from appliance.storage.gps import Store
from mqtt_bridge import topics
from mqtt_bridge.tracker import Fleet
from tests.bridge.mqtt import Broker, Mqtt
from tests.bridge.workbench import Workbench, fix
from tests.cast import OTHER_VAN, VAN, new_trip
from tests.servers import Role, wait_for

GPS, OTHER_GPS = topics.gps(VAN), topics.gps(OTHER_VAN)


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


def test_what_waited_is_acknowledged_also_before_the_subscriptions_stand(
    bench: Workbench, loopback: Mqtt, begin: datetime, epoch: int, broker: Broker, broker_db: Database
) -> None:
    bench.stop()
    loopback.publish(GPS, fix(0, begin, seq=1, epoch=epoch))
    again = Workbench(broker.settings, broker_db)
    again.client._paho.on_subscribe = lambda *_: None
    again.client.start()
    try:
        again.round()
        wait_for(lambda: loopback.heard("/ack/") == [{"epoch": epoch, "seq": 1}], "the acknowledgement")
        assert not again.client.connected
    finally:
        again.stop()


class TestBrokerKilled:
    def test_the_client_comes_back_subscribed_and_old_messages_are_not_acknowledged(
        self, bench: Workbench, broker: Broker, stored: Store, begin: datetime, client: Callable[..., Mqtt]
    ) -> None:
        before, loopback = stored.count(), client()
        readies: list[int] = []
        bench.client._resubscribed = lambda: readies.append(1)
        loopback.publish(GPS, fix(0, begin))
        (old,) = bench.arrived(1)
        loopback.close()
        broker.restart()
        wait_for(lambda: readies, "it is connected again, and subscribed")
        acknowledged: list[int] = []
        bench.client._paho.acknowledge = acknowledged.extend  # type: ignore[method-assign]
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
    role: Callable[[], Role], broker: Broker, broker_db: Database, stored: Store, begin: datetime, epoch: int
) -> None:
    """The whole role, without Redis, against a tracker as the protocol wants it. Its log names nobody."""
    before = stored.count()
    with write_tx(broker_db) as tx:
        trip = new_trip(tx, clock.now())
    fleet = Fleet(broker.settings.paths, "stream")
    assert fleet.start()
    fleet.add(VAN, epoch)
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
                event = "on_board" if n == 300 else "completed"
                button = {"event_id": f"{trip}{event}", "trip_id": trip, "event": event, "at": clock.now().isoformat()}
                fleet.press(VAN, button)
                wait_for(lambda n=n: fleet.acknowledged > n - 290, "some are acknowledged")
                bridge.kill()
                bridge = role()
        wait_for(lambda: fleet.waiting() == 0, "all are acknowledged")
    finally:
        stop.set()
        thread.join()
        fleet.stop()
    assert stored.count() == before + 900
    assert fleet.refused == []
    assert value(broker_db, "SELECT state FROM trips WHERE id = ?", trip) == "completed"
    assert value(broker_db, "SELECT count(*) FROM trip_events WHERE event_id IS NOT NULL AND trip_id = ?", trip) == 2
    bridge.process.terminate()
    assert bridge.process.wait(10) == 0
    log = (broker.settings.paths.run_dir / "bridge.log").read_text()
    assert "trip.event" in log
    assert not any(personal in log for personal in ("Ada Marsh", "Dee Frost", "Utting"))


def test_a_bridge_starts_beside_damaged_days_and_stores_what_comes(
    role: Callable[[], Role], broker: Broker, loopback: Mqtt, stored: Store
) -> None:
    """They are set aside, and said."""
    today = clock.now().date()
    files = [gps_days.path(broker.settings.paths.gps_dir, day) for day in (today, today - timedelta(days=9))]
    for file in files:
        file.write_bytes(b"no database " * 999)
    started = role()
    assert stored.damaged_days() == [today - timedelta(days=9), today]
    loopback.publish(GPS, fix(0, clock.now()))
    wait_for(lambda: today in stored.days() and stored.count(), "the fix is stored in a new file")
    assert started.log.read_text().count("gps.day_set_aside") == 2
