"""The vehicle's side of the protocol: number fixes, keep them until they are acknowledged, send again.

What a good tracker does, for the replay, the demonstration and the tests: many vehicles over the one loopback account.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from appliance.paths import Paths
from appliance.servers.mosquitto import own_password
from mqtt_bridge import topics
from mqtt_bridge.client import Client, Message

AGAIN_S = 3.0
IN_FLIGHT = 500


@dataclass(slots=True)
class Tracker:
    """One vehicle's buffers."""

    code: str
    epoch: int
    topic: str
    last: int = 0
    unacknowledged: dict[int, bytes] = field(default_factory=dict)
    sent_to: int = 0
    progress_at: float = 0.0
    buttons: deque[tuple[str, int, bytes]] = field(default_factory=deque)
    """(event id, the fix after which it was pressed, payload): the first one is waiting for its reply."""
    pressed_at: float = float("-inf")


class Fleet:
    """Trackers over one connection. `fix` and `press` only put something into the buffers; `step` sends."""

    def __init__(self, paths: Paths, client_id: str) -> None:
        self._trackers: dict[str, Tracker] = {}
        self._lock = threading.Lock()
        self.sent = 0
        self.acknowledged = 0
        self.refused: list[tuple[str, str]] = []
        """(event id, reason) of each refused button."""
        self._client = Client(
            paths.mqtt_socket,
            client_id,
            "loopback",
            own_password(paths, "loopback"),
            subscriptions=(topics.ack("+", "+"), topics.trip_reply("+")),
            on_messages=self._receive_all,
        )

    def start(self, timeout_s: float = 30.0) -> bool:
        """Connects; False when the broker did not answer in time."""
        self._client.start(on_ready=self._again)
        return self._client.wait_ready(timeout_s)

    def stop(self) -> None:
        self._client.stop()

    def add(self, code: str, epoch: int, device: str | None = None) -> None:
        """A vehicle whose tracker (`device`; its first one when left out) starts to count at 1 in this epoch."""
        with self._lock:
            self._trackers.setdefault(code, Tracker(code, epoch, topics.gps(code, device)))

    def fix(self, code: str, body: dict[str, Any]) -> None:
        """Puts a fix (native format, without its number) into the vehicle's buffer."""
        with self._lock:
            tracker = self._trackers[code]
            tracker.last += 1
            numbered = body | {"seq": tracker.last, "epoch": tracker.epoch}
            tracker.unacknowledged[tracker.last] = msgspec.json.encode(numbered)

    def press(self, code: str, button: dict[str, Any]) -> None:
        """Puts a trip event into the vehicle's buffer. It is sent once the fixes before it are acknowledged and the
        events before it replied to, and again until it is replied to itself."""
        with self._lock:
            tracker = self._trackers[code]
            tracker.buttons.append((button["event_id"], tracker.last, msgspec.json.encode(button)))

    def step(self) -> None:
        """Sends what is new, and again what has not been answered for AGAIN_S."""
        now = time.monotonic()
        with self._lock:
            outgoing: list[tuple[str, bytes]] = []
            for tracker in self._trackers.values():
                outgoing += self._due(tracker, now)
        for topic, payload in outgoing:
            self._client.publish(topic, payload)

    def waiting(self) -> int:
        """How many fixes and events are not answered yet."""
        with self._lock:
            return sum(len(t.unacknowledged) + len(t.buttons) for t in self._trackers.values())

    def unacknowledged(self) -> dict[str, set[int]]:
        """The numbers of the fixes that are not acknowledged yet, by vehicle."""
        with self._lock:
            return {code: set(tracker.unacknowledged) for code, tracker in self._trackers.items()}

    def _due(self, tracker: Tracker, now: float) -> list[tuple[str, bytes]]:
        if not self._client.connected:
            return []
        oldest = next(iter(tracker.unacknowledged), None)
        if oldest is not None and tracker.sent_to >= oldest and now - tracker.progress_at > AGAIN_S:
            tracker.sent_to = oldest - 1
        outgoing = []
        for seq in range(tracker.sent_to + 1, min(tracker.last, (oldest or 1) + IN_FLIGHT) + 1):
            if seq in tracker.unacknowledged:
                outgoing.append((tracker.topic, tracker.unacknowledged[seq]))
                tracker.sent_to = seq
                tracker.progress_at = now
                self.sent += 1
        if tracker.buttons and now - tracker.pressed_at > AGAIN_S:
            _id, after, payload = tracker.buttons[0]
            if oldest is None or oldest > after:
                tracker.pressed_at = now
                outgoing.append((topics.trip(tracker.code), payload))
        return outgoing

    def _receive_all(self, messages: list[Message]) -> None:
        for message in messages:
            self._receive(message)

    def _receive(self, message: Message) -> None:
        parts = message.topic.split("/")
        try:
            body = msgspec.json.decode(message.payload)
        except msgspec.DecodeError:
            body = None
        with self._lock:
            tracker = self._trackers.get(parts[3])
            if tracker and isinstance(body, dict):
                if parts[4] == "ack":
                    self._acknowledged(tracker, body)
                else:
                    self._replied(tracker, body)
        self._client.acknowledge([message])

    def _acknowledged(self, tracker: Tracker, body: dict[str, Any]) -> None:
        through = body.get("seq")
        if body.get("epoch") != tracker.epoch or not isinstance(through, int):
            return
        done = [seq for seq in tracker.unacknowledged if seq <= min(through, tracker.sent_to)]
        for seq in done:
            del tracker.unacknowledged[seq]
        if done:
            self.acknowledged += len(done)
            tracker.progress_at = time.monotonic()

    def _replied(self, tracker: Tracker, body: dict[str, Any]) -> None:
        if not tracker.buttons or body.get("event_id") != tracker.buttons[0][0]:
            return
        tracker.buttons.popleft()
        tracker.pressed_at = float("-inf")
        if not body.get("accepted"):
            self.refused.append((str(body["event_id"]), str(body.get("reason", ""))))

    def _again(self) -> None:
        """After a new connection: what was on its way may be lost."""
        with self._lock:
            for tracker in self._trackers.values():
                tracker.sent_to = next(iter(tracker.unacknowledged), tracker.last + 1) - 1
                tracker.pressed_at = float("-inf")
