"""The broker, and plain clients of it: the loopback account on the box's socket, or a device on the vehicles' port."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from appliance.config import Settings
from appliance.servers.mosquitto import own_password
from tests.cast import PASSWORD
from tests.servers import Role, wait_for

Heard = tuple[str, Any, bool]
"""(topic, decoded payload, retained)."""


class Broker:
    """mosquitto as the box starts it, over a depot with the cast in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._role = Role(settings, "mosquitto")

    def restart(self) -> None:
        """`kill -9`, and what was in it is gone."""
        self._role.kill()
        self._role = Role(self.settings, "mosquitto")

    def stop(self) -> None:
        self._role.kill()


class Mqtt:
    """Connected when it is made; keeps what comes in."""

    def __init__(
        self, settings: Settings, name: str, *, device: bool = False, will: str | None = None, says: bytes = b"offline"
    ) -> None:
        """`will`: the topic on which the broker says `offline`, or what is given, when the connection drops."""
        self.got: list[Heard] = []
        self.on_heard: Callable[[str, Any], None] = lambda _topic, _body: None
        self._subscribed: list[int] = []
        transport: Literal["tcp", "unix"] = "tcp" if device else "unix"
        self._paho = paho.Client(
            CallbackAPIVersion.VERSION2, name, transport=transport, protocol=MQTTProtocolVersion.MQTTv311
        )
        login = (name, PASSWORD) if device else ("loopback", own_password(settings.paths, "loopback"))
        self._paho.username_pw_set(*login)
        if will:
            self._paho.will_set(will, says, qos=1, retain=True)
        self._paho.on_message = self._heard
        self._paho.on_subscribe = lambda *_: self._subscribed.append(1)
        self._paho.connect("127.0.0.1" if device else str(settings.paths.mqtt_socket), settings.mqtt.port)
        self._paho.loop_start()
        wait_for(self._paho.is_connected, f"{name} is connected")

    def subscribe(self, *topics: str) -> None:
        for topic in topics:
            before = len(self._subscribed)
            self._paho.subscribe(topic, qos=1)
            wait_for(lambda before=before: len(self._subscribed) > before, "the subscription stands")

    def publish(self, topic: str, payload: Any, *, retain: bool = False) -> None:
        """Returns when the broker has acknowledged it, which it does also for what it then drops."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._paho.publish(topic, raw, qos=1, retain=retain).wait_for_publish(10)

    def heard(self, part: str) -> list[Any]:
        """The payloads of the topics with this part, in their order."""
        return [body for topic, body, _ in self.got if part in topic]

    def drop(self) -> None:
        """The connection ends without a goodbye."""
        self._paho.loop_stop()
        connection = self._paho.socket()
        assert connection is not None
        connection.close()

    def close(self) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()

    def _heard(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        self.on_heard(message.topic, body)
        self.got.append((message.topic, body, bool(message.retain)))
