"""What paho alone can take: a subscriber that acknowledges each message by hand and does nothing else."""

from __future__ import annotations

from ctypes import c_long
from multiprocessing import get_context
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from appliance.config import Settings
from appliance.servers.mosquitto import own_password
from mqtt_bridge import topics
from tests.servers import wait_for

_SPAWN = get_context("spawn")  # a process of its own, with an interpreter of its own


class DoNothing:
    """A process with the bridge's account; `count` is how many messages it has had."""

    def __init__(self, settings: Settings) -> None:
        self._count = _SPAWN.RawValue(c_long, -1)
        arguments = (str(settings.paths.mqtt_socket), own_password(settings.paths, "bridge"), self._count)
        self._process = _SPAWN.Process(target=_subscribe, args=arguments, daemon=True)
        self._process.start()
        wait_for(lambda: self._count.value == 0, "the subscription stands")

    @property
    def count(self) -> int:
        return int(self._count.value)

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


def _subscribe(socket: str, password: str, count: Any) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "bridge", transport="unix", manual_ack=True)
    client.username_pw_set("bridge", password)

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        client.ack(message.mid, message.qos)
        count.value += 1

    def on_subscribe(*_: Any) -> None:
        count.value = 0

    client.on_connect = lambda *_: client.subscribe(topics.gps("+", "+"), qos=1)
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    client.connect(socket)
    client.loop_forever()
