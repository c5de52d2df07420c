"""The bridge's parts put together by hand, so that a test can stop between any two of them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from sqlite_utils import Database

from appliance import completion
from appliance.config import Settings
from appliance.events import Publisher
from appliance.sender import Sender
from appliance.servers.mosquitto import own_password
from appliance.storage.gps import Store
from appliance.storage.gps_writer import Writer
from mqtt_bridge import topics
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.client import Client, Message
from mqtt_bridge.directory import Directory
from mqtt_bridge.inbox import Inbox
from mqtt_bridge.ingest import Ingest
from mqtt_bridge.live import Live
from mqtt_bridge.patience import Patience
from mqtt_bridge.presence import Presence
from mqtt_bridge.sequences import Sequences
from tests.cast import NOON, VAN
from tests.servers import wait_for


def fix(seconds: float = 0, now: datetime = NOON, **more: Any) -> dict[str, Any]:
    """A native fix."""
    return {"lat": 53.4, "lon": -2.9, "t": (now + timedelta(seconds=seconds)).isoformat()} | more


def message(payload: Any, topic: str = topics.gps(VAN), **more: Any) -> Message:
    """A message as the broker would bring it."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    given = {"retained": False, "received": NOON, "mid": 1, "qos": 1, "connection": 1} | more
    return Message(topic, raw, **given)


def ingest_of(settings: Settings, db: Database) -> tuple[Ingest, Writer]:
    writer = Writer(settings.paths.gps_dir, late_s=10.0)
    sequences = Sequences(Store(settings.paths.gps_dir).sequences())
    return Ingest(settings, completion.limits(settings), writer, Directory(db), sequences), writer


class Workbench:
    """A bridge without its loop: `round` handles what has arrived."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self.inbox = Inbox()
        self.client = Client(
            settings.paths.mqtt_socket, "bridge", "bridge", own_password(settings.paths, "bridge"),
            subscriptions=topics.SUBSCRIPTIONS, on_messages=self.inbox.put, persistent=True,
        )  # fmt: skip
        self.ingest, self.writer = ingest_of(settings, db)
        self.presence = Presence(settings, {})
        self.live = Live(Publisher(settings.paths.redis_socket), Sender(settings), self.presence)
        self.bridge = Bridge(
            settings, db, self.client, self.ingest, self.live, Directory(db), self.presence, Patience(lambda: True)
        )

    def start(self) -> None:
        self.client.start()
        assert self.client.wait_ready(20)

    def arrived(self, count: int) -> list[Message]:
        """Waits for so many messages and returns them."""
        found: list[Message] = []
        wait_for(lambda: found.extend(self.inbox.take(0.05)) or len(found) >= count, f"{count} messages arrive")
        return found

    def round(self, count: int = 1) -> None:
        self.bridge.handle(self.arrived(count))

    def stop(self) -> None:
        """Also in the middle: what was not acknowledged comes again."""
        self.inbox.close()
        self.client.stop()
        self.writer.close()
