"""A tracker is replaced: what each device published stays its own, however long it waited at the broker."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlite_utils import Database

from appliance import clock, fleet
from appliance.servers import access, accounts
from appliance.storage import devices, vehicles
from appliance.storage.db import write_tx
from appliance.storage.gps import Store
from mqtt_bridge import topics
from tests.bridge.mqtt import Broker, Mqtt
from tests.bridge.workbench import Workbench, fix
from tests.cast import PASSWORD
from tests.servers import Role, wait_for

_codes = (f"SWAP{number}" for number in itertools.count(1))


@pytest.fixture
def code(broker: Broker, broker_db: Database) -> str:
    """A van of the test's own with two trackers; the first is its position source."""
    code, now = next(_codes), clock.now()
    with write_tx(broker_db) as tx:
        id = vehicles.add(tx, code, now)
        for _ in range(2):
            devices.add(tx, id, code, accounts.password_hash(PASSWORD), now)
    access.refresh(broker.settings)
    return code


@pytest.mark.parametrize("how", ["source", "back and forth", "revoke"])
def test_fixes_that_waited_through_a_change_of_source_are_stored_and_acknowledged_as_those_of_their_device(
    how: str,
    broker: Broker,
    broker_db: Database,
    code: str,
    loopback: Mqtt,
    client: Callable[..., Mqtt],
    stored: Store,
    begin: datetime,
    epoch: int,
) -> None:
    """The bridge is down meanwhile, and both devices count from 1 in the same epoch."""
    old, new = f"{code}-1", f"{code}-2"
    bridge = Role(broker.settings, "bridge")
    bridge.process.terminate()
    bridge.process.wait()
    try:
        tracker = client(old, device=True)
        for n in range(100):
            tracker.publish(topics.gps(code), fix(n, begin, seq=n + 1, epoch=epoch))
        if how == "revoke":
            fleet.revoke_device(broker_db, broker.settings, old, now=clock.now(), who="test")
        else:
            for name in (new, old, new) if how == "back and forth" else (new,):
                fleet.make_source(broker_db, name, now=clock.now(), who="test")
        follower = client(new, device=True)
        for n in range(60):
            follower.publish(topics.gps(code, new), fix(n, begin, seq=n + 1, epoch=epoch))
        bridge = Role(broker.settings, "bridge")
        last = {old: {"epoch": epoch, "seq": 100}, new: {"epoch": epoch, "seq": 60}}
        wait_for(lambda: {name: loopback.heard(f"/ack/{name}")[-1:] for name in last} == {n: [last[n]] for n in last},
                 "each has its own acknowledgement")  # fmt: skip
        van = (vehicles.by_code(broker_db, code) or {})["id"]
        rows = {name: (devices.by_username(broker_db, name) or {})["id"] for name in last}
        until = begin + timedelta(hours=1)
        assert {name: len(stored.trail(van, rows[name], begin, until)) for name in last} == {old: 100, new: 60}
        assert stored.rejected(vehicle=code)[1] == 0
    finally:
        bridge.kill()


def test_the_last_will_of_a_replaced_tracker_takes_its_vehicle_no_longer_offline(
    bench: Workbench, broker_db: Database, code: str, client: Callable[..., Mqtt], loopback: Mqtt
) -> None:
    fleet.make_source(broker_db, f"{code}-2", now=clock.now(), who="test")
    loopback.publish(topics.gps(code, f"{code}-2"), fix(0, clock.now()))
    client(f"{code}-1", device=True, will=topics.status(code)).drop()
    arrived: list[str] = []

    def handled() -> bool:
        messages = bench.inbox.take(0.05)
        bench.bridge.handle(messages)
        arrived.extend(one.topic for one in messages)
        return topics.status(code) in arrived

    wait_for(handled, "the last will")
    assert bench.presence.look()[code].state == "live"
