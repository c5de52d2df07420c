"""What the bridge knows of the vehicles: through restarts, clocks that jump, last wills, and fixes from the future."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlite_utils import Database

from appliance import clock, events
from appliance.config import Settings
from appliance.domain.fix import Fix
from appliance.domain.trip import Event
from appliance.events import Publisher
from appliance.sender import Sender
from appliance.servers import access
from appliance.storage import devices, times, users
from appliance.storage.db import rows as query
from appliance.storage.db import write_tx
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Arrival, Batch, Writer
from mqtt_bridge import topics
from mqtt_bridge.client import Message
from mqtt_bridge.live import Live
from mqtt_bridge.main import stored
from mqtt_bridge.presence import Presence
from tests.bridge.mqtt import Broker, Mqtt
from tests.bridge.workbench import Workbench, message
from tests.bridge.workbench import fix as native
from tests.cast import NOON, OTHER_VAN, VAN, Cast, SetClock, eastward, new_trip, say
from tests.servers import Redis, Role, running_redis, wait_for


class Clocks:
    """The wall clock and the monotonic one, in step until somebody sets the first."""

    def __init__(self, wall: SetClock) -> None:
        self.wall = wall
        self.instant = 5000.0

    def go(self, seconds: float) -> None:
        self.wall.move(seconds)
        self.instant += seconds


@pytest.fixture
def clocks(set_clock: SetClock) -> Clocks:
    return Clocks(set_clock)


@pytest.fixture
def make(depot: Settings, clocks: Clocks) -> Callable[..., Presence]:
    def made(known: dict[str, list[Fix]] | None = None, settings: Settings = depot) -> Presence:
        return Presence(settings, known or {}, monotonic=lambda: clocks.instant)

    return made


def fix(seconds: float = 0, **more: Any) -> Fix:
    return Fix(NOON + timedelta(seconds=seconds), 53.4, -2.9, **more)


def see(presence: Presence, given: Fix) -> None:
    presence.see({VAN: (1, given)})


def state(presence: Presence) -> str:
    return presence.look()[VAN].state.value


@pytest.fixture
def untrusted(depot: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """A box whose time service has not answered; it has once `tmp_path / "synchronized"` is there."""
    monkeypatch.setattr(clock, "SYNCHRONIZED", tmp_path / "synchronized")
    return msgspec.structs.replace(depot, clock=msgspec.structs.replace(depot.clock, trust="synchronized"))


def test_a_vehicle_that_nothing_comes_from_goes_stale_and_silent_and_each_turn_is_news(
    make: Callable[..., Presence], clocks: Clocks
) -> None:
    presence = make()
    see(presence, fix())
    presence.turned()
    found = []
    for _ in range(700):
        clocks.go(1)
        if presence.turned():
            found.append((presence.report({VAN})[VAN][1].state.value, clocks.wall.at - NOON))
    assert found == [
        ("live", timedelta(seconds=1)), ("stale", timedelta(seconds=60)), ("silent", timedelta(seconds=600))
    ]  # fmt: skip


def test_one_fix_time_again_and_again_is_stuck_until_a_newer_one(make: Callable[..., Presence], clocks: Clocks) -> None:
    presence = make()
    for _ in range(19):
        see(presence, fix())
        see(presence, fix(-5))  # a late one is no repetition and no advance
        clocks.go(10)
    assert state(presence) == "stuck"
    see(presence, fix(180))
    assert state(presence) == "live"


def test_a_step_of_the_wall_clock_makes_nobody_silent_and_moves_what_was_told(
    make: Callable[..., Presence], clocks: Clocks, untrusted: Settings
) -> None:
    """A box without a clock battery comes up two hours behind."""
    presence = make(settings=untrusted)
    see(presence, fix(7200))
    presence.status(VAN, "VAN-1-1", b"offline", retained=False)
    presence.report({VAN})
    presence.turned()
    clocks.go(5)
    assert presence.turned() == set()
    clocks.wall.move(7200)
    assert presence.turned() == {VAN}
    look = presence.look()[VAN]
    assert look.signs.received_at == look.signs.offline_at == NOON + timedelta(seconds=7200)
    see(presence, fix(7205))
    for by_s in (-86_400, 2 * 86_400):
        clocks.wall.move(by_s)
        assert state(presence) == "live"


def test_a_marker_from_the_future_gives_way_once_the_time_is_known(
    make: Callable[..., Presence], clocks: Clocks, untrusted: Settings
) -> None:
    presence = make(settings=untrusted)
    see(presence, fix(86_400 * 400))
    see(presence, fix(1))
    assert presence.report({VAN})[VAN][0] == fix(86_400 * 400)
    clock.SYNCHRONIZED.touch()
    see(presence, fix(2))
    assert presence.report({VAN})[VAN][0] == fix(2)
    see(presence, fix(1))
    assert presence.report({VAN})[VAN][0] == fix(2)


def test_a_marker_a_little_ahead_stays(make: Callable[..., Presence], clocks: Clocks) -> None:
    presence = make()
    see(presence, fix(300))
    see(presence, fix(1))
    assert presence.report({VAN})[VAN][0] == fix(300)


def test_a_newer_fix_makes_online_again_and_an_old_retained_word_does_not_undo_it(
    make: Callable[..., Presence], clocks: Clocks
) -> None:
    presence = make()
    see(presence, fix())
    clocks.go(1)
    presence.status(VAN, "VAN-1-1", b"offline", retained=True)
    assert state(presence) == "offline"
    clocks.go(1)
    see(presence, fix(2))
    assert state(presence) == "live"
    presence.status(VAN, "VAN-1-1", b"offline", retained=True)  # the bridge has connected anew
    assert state(presence) == "live"
    clocks.go(1)
    presence.status(VAN, "VAN-1-1", b"offline", retained=False)
    assert state(presence) == "offline"
    presence.status(VAN, "VAN-1-1", b"online", retained=False)
    assert state(presence) == "live"


def test_an_old_word_of_a_device_that_became_the_source_since_is_no_news(
    depot: Settings, make: Callable[..., Presence]
) -> None:
    before = make()
    before.status(VAN, "VAN-1-2", b"offline", retained=False, source=False)
    again = Presence(depot, {VAN: [fix()]}, [(VAN, name, said) for name, said in before.said().items()])
    again.status(VAN, "VAN-1-2", b"offline", retained=True)
    assert state(again) == "live"


class TestAfterARestart:
    @pytest.fixture
    def kept(
        self, depot: Settings, depot_db: Database, gps_writer: Writer, gps_store: Store, cast: Cast, set_clock: SetClock
    ) -> Callable[..., dict[str, list[Fix]]]:
        def put(*fixes: Fix, device: int | None = None, settings: Settings = depot) -> dict[str, list[Fix]]:
            found = [Arrival(cast.van, device or cast.tracker, one, one.at) for one in fixes]
            gps_writer.commit(Batch(found), NOON)
            return stored(depot_db, gps_store, settings)

        return put

    def test_it_is_known_who_stood(self, make: Callable[..., Presence], kept: Any, clocks: Clocks) -> None:
        presence = make(kept(*(fix(seconds) for seconds in range(-400, 0, 10))))
        assert state(presence) == "parked"
        assert presence.look()[VAN].heard is None

    def test_it_is_known_who_drove_and_who_was_silent(self, make: Callable[..., Presence], kept: Any) -> None:
        assert state(make(kept(*eastward(NOON - timedelta(seconds=390), 40)))) == "live"

    def test_it_is_known_who_was_silent(self, make: Callable[..., Presence], kept: Any) -> None:
        assert state(make(kept(*eastward(NOON - timedelta(hours=20), 40)))) == "silent"

    def test_another_device_does_not_set_the_marker(
        self, kept: Any, depot_db: Database, cast: Cast, make: Callable[..., Presence]
    ) -> None:
        with write_tx(depot_db) as tx:
            devices.add(tx, cast.van, VAN, "no password", NOON)
        assert kept(fix(-9), device=99) == {}
        assert kept(fix(-20)) == {VAN: [fix(-20)]}

    def test_a_marker_from_the_future_is_not_taken_up_again(self, kept: Any, untrusted: Settings) -> None:
        kept(fix(-20), fix(3600), fix(86_400 * 400))
        clock.SYNCHRONIZED.touch()
        assert kept(settings=untrusted) == {VAN: [fix(-20)]}

    def test_a_clock_that_is_behind_hides_no_vehicle(
        self, kept: Any, untrusted: Settings, make: Callable[..., Presence], set_clock: SetClock, clocks: Clocks
    ) -> None:
        """It is stale until it is heard of: how old its fix is, nobody knows."""
        kept(fix())
        set_clock.move(-40 * 86_400)
        presence = make(kept(settings=untrusted), settings=untrusted)
        assert state(presence) == "stale"
        clocks.go(541)
        assert state(presence) == "silent"


def test_the_state_stands_in_redis_and_is_there_again_after_a_wipe(
    depot: Settings, redis_of_depot: Redis, make: Callable[..., Presence], clocks: Clocks
) -> None:
    presence = make({VAN: [fix(-5)]})
    live = Live(Publisher(depot.paths.redis_socket), Sender(depot), presence)

    def told() -> dict[str, Any]:
        found = redis_of_depot.client(events.LIVE_DB).hget(events.VEHICLES_KEY, VAN)
        return json.loads(found) if found else {}

    live.step(100.0)
    assert told()["state"] == "live"
    presence.status(VAN, "VAN-1-1", b"offline", retained=False)
    live.step(101.5)
    assert told()["state"] == "offline"
    redis_of_depot.client().flushall()
    live.step(103.0)
    assert (told()["state"], told()["offline_at"]) == ("offline", "2026-01-26T12:00:00.000Z")


def location(at: datetime) -> dict[str, Any]:
    """What the OwnTracks app sends."""
    return {"_type": "location", "lat": 53.4, "lon": -2.9, "tst": int(at.timestamp()), "vel": 30}


class TestLastWill:
    """On a real broker."""

    def becomes(self, bench: Workbench, state: str) -> None:
        """What an earlier bridge did not acknowledge in time may come again, and first."""

        def is_now() -> bool:
            bench.bridge.handle(bench.inbox.take(0.05))
            look = bench.presence.look().get(VAN)
            return look is not None and look.state == state

        wait_for(is_now, f"the van is {state}")

    def test_the_last_will_of_the_tracker_makes_it_offline_and_its_next_fix_online(
        self, bench: Workbench, client: Callable[..., Mqtt]
    ) -> None:
        tracker = client(f"{VAN}-1", device=True, will=topics.status(VAN))
        tracker.publish(topics.gps(VAN), native(0, clock.now()))
        self.becomes(bench, "live")
        tracker.drop()
        self.becomes(bench, "offline")
        again = client(f"{VAN}-1", device=True)
        again.publish(topics.gps(VAN), native(1, clock.now()))
        self.becomes(bench, "live")
        again.publish(topics.status(VAN), b"", retain=True)
        self.becomes(bench, "live")

    def test_an_owntracks_app_that_the_broker_loses_is_offline_until_its_next_fix(
        self, bench: Workbench, client: Callable[..., Mqtt]
    ) -> None:
        topic, will = f"owntracks/{VAN}-1/phone", b'{"_type": "lwt", "tst": 1769443022}'
        phone = client(f"{VAN}-1", device=True, will=topic, says=will)
        phone.publish(topic, location(clock.now()))
        phone.publish(f"{topic}/event", location(clock.now()) | {"_type": "transition"})
        self.becomes(bench, "live")
        phone.drop()
        self.becomes(bench, "offline")
        again = client(f"{VAN}-1", device=True)
        again.publish(topic, location(clock.now() + timedelta(seconds=1)))
        self.becomes(bench, "live")

    def test_an_owntracks_last_will_counts_in_its_order_only_when_it_is_new_and_the_position_sources(
        self, bench: Workbench
    ) -> None:
        topic, will, now = f"owntracks/{VAN}-1/phone", {"_type": "lwt"}, clock.now()

        def comes(*messages: Message) -> str:
            bench.bridge.handle(list(messages))
            return bench.presence.look()[VAN].state

        def heard(body: dict[str, Any], on: str = topic, **more: Any) -> Message:
            return message(body, on, qos=0, received=now, **more)

        first, second = (heard(location(now + timedelta(seconds=n))) for n in (2, 3))
        assert comes(first, heard(will)) == "offline"
        assert comes(heard(will), second) == "live"
        assert comes(heard(will, retained=True), heard(will, f"owntracks/{OTHER_VAN}-1/phone")) == "live"

    def test_a_tablet_that_is_switched_off_takes_nothing_offline(
        self, bench: Workbench, client: Callable[..., Mqtt], broker_db: Database, broker: Broker
    ) -> None:
        with write_tx(broker_db) as tx:
            if devices.by_username(tx, f"{VAN}-2") is None:
                known = devices.by_username(tx, f"{VAN}-1") or {}
                devices.add(tx, known["vehicle_id"], VAN, known["password_hash"], clock.now())
        access.refresh(broker.settings)
        tracker = client(f"{VAN}-1", device=True)
        tracker.publish(topics.gps(VAN), native(0, clock.now()))
        self.becomes(bench, "live")
        tablet = client(f"{VAN}-2", device=True, will=topics.device_status(VAN, f"{VAN}-2"))
        tablet.publish(topics.status(VAN), b"Offline")  # not its own: the broker drops it
        tablet.publish(topics.device_status(OTHER_VAN, f"{VAN}-2"), b"Offline")
        tablet.drop()
        said: list[Message] = []
        own = topics.device_status(VAN, f"{VAN}-2")
        wait_for(lambda: said.extend(bench.inbox.take(0.05)) or own in [one.topic for one in said], "its last will")
        assert b"Offline" not in [one.payload for one in said]
        bench.bridge.handle(said)
        assert bench.presence.look()[VAN].state == "live"

    def test_a_retained_word_is_there_after_a_restart_and_what_is_no_word_is_left_alone(
        self, bench: Workbench, loopback: Mqtt, broker: Broker, broker_db: Database
    ) -> None:
        loopback.publish(topics.gps(VAN), native(0, clock.now()))
        loopback.publish(topics.device_status(VAN, f"{VAN}-1"), b'"Offline"\n', retain=True)
        self.becomes(bench, "offline")
        bench.stop()
        again = Workbench(broker.settings, broker_db)
        again.start()
        try:
            again.presence.see({VAN: (1, Fix(clock.now(), 53.4, -2.9))})
            self.becomes(again, "offline")
            for poison in (b"\xff\xfe", b"{}", b"o" * 900, b'{"state": "online"}'):
                loopback.publish(topics.status(VAN), poison)
            loopback.publish(topics.status("VAN-9"), b"online")
            again.round(5)
            assert again.presence.look()[VAN].state == "offline"
            loopback.publish(topics.device_status(VAN, f"{VAN}-1"), b"", retain=True)
            self.becomes(again, "live")
        finally:
            again.stop()


def test_a_restart_knows_whether_a_fix_came_after_the_last_will(
    broker: Broker, broker_db: Database, client: Callable[..., Mqtt], loopback: Mqtt
) -> None:
    """The whole role. The tracker never says `online`, so that the broker gives `offline` at each start."""
    with running_redis(broker.settings) as redis:
        live = redis.client(events.LIVE_DB)

        def told(code: str = VAN) -> dict[str, Any]:
            found = live.hget(events.VEHICLES_KEY, code)
            return json.loads(found) if found else {}

        def kept() -> str | None:
            found = query(broker_db, "SELECT offline_at FROM device_statuses JOIN devices ON devices.id = device_id"
                          " WHERE username = ?", f"{VAN}-1")  # fmt: skip
            return found[0]["offline_at"] if found else None

        def restart() -> Role:
            """Returns when what the broker had for the bridge has been handled, and told."""
            live.flushdb()
            started, now = Role(broker.settings, "bridge"), clock.now()
            loopback.publish(topics.gps(OTHER_VAN), native(0, now))
            wait_for(lambda: told(OTHER_VAN).get("at") == times.text(now), "another van is there")
            loopback.publish(topics.status(OTHER_VAN), b"offline")
            wait_for(lambda: told(OTHER_VAN)["state"] == "offline", "whose state has turned since")
            return started

        bridge = restart()
        try:
            tracker = client(f"{VAN}-1", device=True, will=topics.status(VAN))
            tracker.publish(topics.gps(VAN), native(0, clock.now()))
            tracker.drop()
            since = times.parse(wait_for(kept, "it is offline"))
            bridge.kill()
            bridge = restart()
            assert told()["state"] == "offline"
            assert abs(times.parse(told()["offline_at"]) - since) < timedelta(seconds=0.1)
            client(f"{VAN}-1", device=True).publish(topics.gps(VAN), native(0, clock.now()))
            wait_for(lambda: told()["state"] == "live", "it is back")
            bridge.process.terminate()
            bridge.process.wait()
            bridge = restart()
            assert told()["state"] == "live"
        finally:
            bridge.kill()
            loopback.publish(topics.status(VAN), b"", retain=True)


def test_a_bridge_that_is_killed_tells_of_an_outage_once(
    broker: Broker, broker_db: Database, client: Callable[..., Mqtt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole role: the last will of a van under way, a `kill -9`, and the retained word once more."""
    monkeypatch.setenv("DEPOTBOX_LIMITS__ALERT_S", "0.5")
    with write_tx(broker_db) as tx:
        users.add(tx, "anna@depot.example", "Anna", "dispatcher", NOON)
        say(tx, new_trip(tx, clock.now(), vehicle=OTHER_VAN), Event.on_board, clock.now())

    def alerts() -> list[tuple[str, bool]]:
        found = query(broker_db, "SELECT state, closed_at FROM alerts ORDER BY id")
        return [(row["state"], row["closed_at"] is None) for row in found]

    tracker = client(f"{OTHER_VAN}-1", device=True, will=topics.status(OTHER_VAN))
    bridge = Role(broker.settings, "bridge")
    try:
        tracker.publish(topics.gps(OTHER_VAN), native(0, clock.now()))
        tracker.drop()
        wait_for(lambda: alerts() == [("offline", True)], "it is told")
        bridge.kill()
        bridge = Role(broker.settings, "bridge")
        again = client(f"{OTHER_VAN}-1", device=True)
        again.publish(topics.gps(OTHER_VAN), native(1, clock.now()))
        wait_for(lambda: alerts() == [("offline", False)], "it is well again")
        told = query(broker_db, "SELECT id FROM jobs WHERE name = 'users.tasks.send_notification'")
        assert len(told) == 1
    finally:
        bridge.kill()


def test_another_device_takes_the_marker_over_although_the_clock_of_the_one_before_ran_ahead(
    make: Callable[..., Presence],
) -> None:
    presence = make()
    presence.see({VAN: (1, fix(240))})
    assert presence.see({VAN: (2, fix(3))}) == {VAN}
    assert presence.look()[VAN].signs.fix_at == fix(3).at
    assert presence.see({VAN: (2, fix(1))}) == set()


def test_a_vehicle_that_was_offline_is_back_with_any_fix_of_its_device(make: Callable[..., Presence]) -> None:
    """Also one dated before the newest: the clock ran ahead then."""
    presence = make()
    see(presence, fix(240))
    presence.status(VAN, "V-1", b"offline", retained=False)
    assert state(presence) == "offline"
    assert presence.see({VAN: (1, fix(3))}) == {VAN}
    assert state(presence) != "offline"
    assert presence.look()[VAN].signs.fix_at == fix(240).at
