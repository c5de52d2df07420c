"""The role `bridge`: all MQTT. It commits before it acknowledges."""

from __future__ import annotations

import signal
import time

from sqlite_utils import Database

from appliance import clock, completion
from appliance.config import Settings
from appliance.domain.fix import Fix
from appliance.events import Publisher
from appliance.notify import notify
from appliance.sender import Sender
from appliance.servers.mosquitto import own_password
from appliance.storage import trips, vehicles
from appliance.storage.db import open_depot
from appliance.storage.gps import Store, Writer
from mqtt_bridge import topics
from mqtt_bridge.assignments import Assignments
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.client import Client
from mqtt_bridge.directory import Directory
from mqtt_bridge.inbox import Inbox
from mqtt_bridge.ingest import Ingest
from mqtt_bridge.live import Live
from mqtt_bridge.relay import Relay
from mqtt_bridge.sequences import Sequences

IDLE_S = 0.2
HOUSEKEEPING_S = 1.0
ASSIGNMENTS_S = 10.0


def main(settings: Settings) -> int:
    """Runs until SIGTERM, or until the storage fails: then it ends, so that nothing is acknowledged on a guess."""
    paths = settings.paths
    db = open_depot(paths.depot_db)
    fixes = Store(paths.gps_dir)
    inbox = Inbox()
    client = Client(
        paths.mqtt_socket,
        "bridge",
        "bridge",
        own_password(paths, "bridge"),
        subscriptions=topics.SUBSCRIPTIONS,
        on_message=inbox.put,
        persistent=True,
    )
    limits = completion.limits(settings)
    writer = Writer(paths.gps_dir, late_s=min(10.0, settings.billing.settle_s / 2))
    ingest = Ingest(settings, limits, writer, Directory(db), Sequences(fixes.sequences()))
    live = Live(Publisher(paths.redis_socket), Sender(settings), _newest(db, fixes))
    bridge = Bridge(settings, db, client, ingest, live)
    assignments = Assignments(db, lambda topic, payload: client.publish(topic, payload, retain=True))
    due = _Due()
    relay = Relay(paths.redis_socket, lambda topic, payload: client.publish(topic, payload, qos=0), due.assignments)

    stop = _StopFlag()
    live.start()
    relay.start()
    client.start(on_ready=due.everything)
    ready = False
    try:
        while not stop.set:
            messages = inbox.take(IDLE_S)
            if messages:
                bridge.handle(messages)
            if due.housekeeping():
                live.running(_running(db))
            if client.connected and due.retained():
                if due.reconnected():
                    assignments.forget()
                assignments.step()
            if client.connected and not ready:
                ready = True
                notify("READY=1")
    finally:
        inbox.close()
        client.stop()
        relay.stop()
        live.stop()
        writer.close()
    return 0


class _StopFlag:
    """SIGTERM and SIGINT set a flag; the group under way is finished first."""

    def __init__(self) -> None:
        self.set = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self.set = True


class _Due:
    """What the loop has to do besides messages. The marks are set from other threads; a plain store is enough."""

    def __init__(self) -> None:
        self._housekeeping_at = 0.0
        self._assignments_at = 0.0
        self._reconnected = True

    def everything(self) -> None:
        self._reconnected = True
        self._assignments_at = 0.0

    def assignments(self) -> None:
        self._assignments_at = 0.0

    def housekeeping(self) -> bool:
        now = time.monotonic()
        if now < self._housekeeping_at:
            return False
        self._housekeeping_at = now + HOUSEKEEPING_S
        return True

    def retained(self) -> bool:
        now = time.monotonic()
        if now < self._assignments_at:
            return False
        self._assignments_at = now + ASSIGNMENTS_S
        return True

    def reconnected(self) -> bool:
        was, self._reconnected = self._reconnected, False
        return was


def _running(db: Database) -> dict[str, list[int]]:
    """Ids of the trips under way, by vehicle code."""
    found: dict[str, list[int]] = {}
    for row in trips.running_of_vehicles(db):
        found.setdefault(row["code"], []).append(row["id"])
    return found


def _newest(db: Database, fixes: Store) -> dict[str, Fix]:
    """Where the vehicles were last, so that the map is right from the start."""
    codes = {vehicle["id"]: vehicle["code"] for vehicle in vehicles.every(db)}
    return {codes[id]: fix for id, fix in fixes.newest(clock.now()).items() if id in codes}
