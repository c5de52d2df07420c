"""The bridge on a real broker: on disk before it is acknowledged, whatever is killed in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import clock
from appliance.domain.trip import Event
from appliance.storage import trips
from appliance.storage.db import value, write_tx
from appliance.storage.gps import Store
from mqtt_bridge import topics, trip_events
from mqtt_bridge.assignments import Assignments
from tests.bridge.mqtt import Broker, Mqtt
from tests.bridge.workbench import Workbench, fix
from tests.cast import OTHER_VAN, VAN, new_trip, say
from tests.servers import wait_for

TRACKER = f"{VAN}-1"
GPS, OTHER_GPS = topics.gps(VAN), topics.gps(OTHER_VAN)


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
    wait_for(lambda: late.got and trip in [one["trip_id"] for one in late.got[-1][1]["trips"]], "what is retained")
    topic, _body, retained = late.got[0]  # a second one only where the broker was still busy with it
    assert retained
    assert topic == topics.assignment(OTHER_VAN)


class TestADriversDay:
    """Point by point what a tablet and the box say to each other, on a real broker."""

    @pytest.fixture
    def tablet(self, client: Callable[..., Mqtt]) -> Mqtt:
        made = client(TRACKER, device=True)
        made.subscribe(topics.trip_reply(VAN))
        return made

    @pytest.fixture
    def press(self, bench: Workbench, tablet: Mqtt) -> Callable[..., dict[str, Any]]:
        def pressed(trip: int, event: str, **more: Any) -> dict[str, Any]:
            before = len(tablet.heard("/reply"))
            content = {"event_id": f"{trip}-{event}", "trip_id": trip, "event": event, "at": clock.now().isoformat()}
            tablet.publish(topics.trip(VAN), content | more)
            bench.round()
            wait_for(lambda: len(tablet.heard("/reply")) > before, "the reply")
            found: dict[str, Any] = tablet.heard("/reply")[-1]
            return found

        return pressed

    @pytest.fixture
    def trip(self, broker_db: Database) -> int:
        with write_tx(broker_db) as tx:
            return new_trip(tx, clock.now())

    def test_every_button_moves_the_trip_once_however_often_it_is_sent(
        self, press: Callable[..., dict[str, Any]], trip: int, broker_db: Database
    ) -> None:
        at = clock.now().isoformat()
        for event in ("accepted", "en_route", "arrived_pickup", "on_board", "arrived_dropoff", "completed"):
            for _ in range(2):
                assert press(trip, event, at=at) == {"event_id": f"{trip}-{event}", "accepted": True}
        found = trips.get(broker_db, trip) or {}
        assert found["state"] == "completed"
        assert all(found[f"{stamp}_at"] for stamp in ("accepted", "en_route", "on_board", "arrived_dropoff"))
        assert value(broker_db, "SELECT count(*) FROM trip_events WHERE trip_id = ? AND source = 'driver'", trip) == 6

    @pytest.mark.parametrize("first", ["en_route", "arrived_pickup", "on_board", "arrived_dropoff"])
    def test_a_driver_who_forgot_buttons_goes_on_with_the_next(
        self, press: Callable[..., dict[str, Any]], trip: int, first: str
    ) -> None:
        assert press(trip, first)["accepted"]
        assert press(trip, "accepted")["accepted"]  # forgotten, and pressed later
        assert press(trip, "completed")["accepted"]

    def test_a_trip_that_never_began_is_not_completed_and_the_reason_says_what_to_do(
        self, press: Callable[..., dict[str, Any]], trip: int
    ) -> None:
        """Its distance would be billed, and nobody would know from where on."""
        answer = press(trip, "completed")
        assert answer["accepted"] is False
        assert "mark the patient on board" in answer["reason"]
        assert press(trip, "on_board")["accepted"]
        assert press(trip, "completed", event_id=f"{trip}-again")["accepted"]

    def test_a_no_show_has_its_conditions(self, press: Callable[..., dict[str, Any]], trip: int) -> None:
        arrived, later = clock.now() - timedelta(minutes=11), clock.now().isoformat()
        for n, (more, says) in enumerate((
            ({"contact_attempts": 1}, "arrival at the pickup is not marked"),
            ({"waited_s": 900.0}, "called 0 of 1 times"),
            ({"contact_attempts": 1, "waited_s": 300.0}, "has waited 5 of 10 minutes"),
        )):  # fmt: skip
            assert says in press(trip, "no_show", event_id=f"{trip}-{n}", **more)["reason"]
        assert press(trip, "arrived_pickup", at=arrived.isoformat())["accepted"]
        assert press(trip, "no_show", at=later, contact_attempts=1)["accepted"]
        assert "already a no-show" in press(trip, "no_show", event_id=f"{trip}-twice", contact_attempts=1)["reason"]

    def test_a_trip_that_is_taken_away_leaves_what_is_retained_and_its_buttons_are_refused(
        self, press: Callable[..., dict[str, Any]], trip: int, bench: Workbench, tablet: Mqtt,
        broker_db: Database,
    ) -> None:  # fmt: skip
        assignments = Assignments(broker_db, lambda topic, payload: bench.client.publish(topic, payload, retain=True))
        assignments.step()
        tablet.subscribe(topics.assignment(VAN))

        def listed() -> list[int]:
            told = tablet.heard("/assignment")
            return [one["trip_id"] for one in told[-1]["trips"]] if told else []

        wait_for(lambda: trip in listed(), "it is there")
        with write_tx(broker_db) as tx:
            for (open_trip,) in tx.conn.execute("SELECT id FROM trips WHERE state = 'assigned'").fetchall():
                say(tx, open_trip, Event.unassign, clock.now())
        assignments.step()
        wait_for(lambda: tablet.heard("/assignment")[-1]["trips"] == [], "it is gone, and so says the retained message")
        assert press(trip, "accepted")["reason"] == f"trip {trip} is not assigned to this vehicle"
