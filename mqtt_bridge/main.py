"""The role `bridge`: all MQTT. It commits before it acknowledges."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import suppress
from datetime import timedelta

from sqlite_utils import Database

from appliance import clock, completion
from appliance.config import Settings
from appliance.domain.fix import Fix
from appliance.domain.presence import MOVING_KMH
from appliance.errors import DiskFull
from appliance.events import Publisher
from appliance.notify import notify
from appliance.sender import Sender
from appliance.servers.mosquitto import own_password
from appliance.storage import devices, gps_checks, gps_rows, statuses, trips, vehicles
from appliance.storage.db import open_depot
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Writer
from mqtt_bridge import topics
from mqtt_bridge.alerts import Alerts
from mqtt_bridge.assignments import Assignments
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.client import Client
from mqtt_bridge.directory import Directory
from mqtt_bridge.inbox import Inbox
from mqtt_bridge.ingest import Ingest
from mqtt_bridge.live import Live
from mqtt_bridge.patience import Patience
from mqtt_bridge.presence import Presence
from mqtt_bridge.relay import Relay
from mqtt_bridge.sequences import Sequences

IDLE_S = 0.2
HOUSEKEEPING_S = 1.0
ASSIGNMENTS_S = 10.0


def main(settings: Settings) -> int:
    """Runs until SIGTERM, or until the storage fails: then it ends, so that nothing is acknowledged on a guess."""
    paths = settings.paths
    db = open_depot(paths.depot_db)
    gps_checks.at_start(paths.gps_dir, gps_rows.day_of(clock.now()))
    fixes = Store(paths.gps_dir)
    inbox = Inbox()
    client = Client(
        paths.mqtt_socket,
        "bridge",
        "bridge",
        own_password(paths, "bridge"),
        subscriptions=topics.SUBSCRIPTIONS,
        on_messages=inbox.put,
        persistent=True,
    )
    limits = completion.limits(settings)
    writer = Writer(paths.gps_dir, late_s=min(10.0, settings.billing.settle_s / 2))
    directory = Directory(db)
    ingest = Ingest(settings, limits, writer, directory, Sequences(fixes.sequences()))
    presence = Presence(settings, stored(db, fixes, settings), statuses.every(db))
    live = Live(Publisher(paths.redis_socket), Sender(settings), presence)
    stop = _StopFlag()
    bridge = Bridge(settings, db, client, ingest, live, directory, presence, Patience(lambda: stop.set))
    alerts = Alerts(db, settings, live.say)
    assignments = Assignments(db, lambda topic, payload: client.publish(topic, payload, retain=True))
    due = _Due()
    relay = Relay(paths.redis_socket, lambda topic, payload: client.publish(topic, payload, qos=0), due.assignments)

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
                bridge.housekeeping()
                live.running(_running(db))
                with suppress(DiskFull):  # the next step does it
                    _watch(alerts, presence, client.connected)
            if client.connected and due.retained():
                if due.reconnected():
                    assignments.forget()
                assignments.step()
            if client.connected and not ready:
                ready = True
                notify("READY=1")
        bridge.keep_statuses()
    finally:
        inbox.close()
        client.stop()
        relay.stop()
        live.stop()
        writer.close()
    return 0


def _watch(alerts: Alerts, presence: Presence, connected: bool) -> None:
    if connected:
        alerts.step(presence.look())
    else:
        alerts.pause()


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


def stored(db: Database, fixes: Store, settings: Settings) -> dict[str, list[Fix]]:
    """Where the vehicles were last, and whether they stood there, so that the map is right from the start. By code, the
    fixes of the position source in their order."""
    now, sources = clock.now(), devices.sources(db)
    until = now + timedelta(seconds=settings.limits.future_s) if clock.trusted(settings) else None
    newest = fixes.newest(sources, until)
    # It matters only of a vehicle that reports and does not move, and for about as long as it takes to be parked.
    reports_since = now - timedelta(seconds=settings.limits.silent_s)
    stood = timedelta(seconds=settings.limits.parked_s + settings.limits.stale_s)
    found = {}
    for vehicle in vehicles.every(db):
        if (fix := newest.get(vehicle["id"])) is None:
            continue
        found[vehicle["code"]] = [fix]
        if fix.at >= reports_since and (fix.speed_kmh or 0.0) <= MOVING_KMH:
            # A damaged day is left out here as well.
            with suppress(sqlite3.DatabaseError):
                trail = fixes.trail(vehicle["id"], sources[vehicle["id"]], fix.at - stood, fix.at)
                found[vehicle["code"]] = trail or [fix]
    return found
