"""The MQTT client of the box's own programs. The one file that knows paho.

It speaks MQTT 5 over the broker's unix socket, acknowledges by hand, and comes back by itself after a broker's end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from appliance import clock, log

SESSION_S = 7 * 86400
KEEPALIVE_S = 30

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came. `connection` numbers the connection it came on: ids are reused on the next one."""

    topic: str
    payload: bytes
    retained: bool
    received: datetime
    mid: int
    qos: int
    connection: int


class Client:
    """One connection, kept up from `start` to `stop`.

    `on_message` runs in the network thread; it may block (that slows the broker down) but must not raise.
    """

    def __init__(
        self,
        socket: Path,
        client_id: str,
        username: str,
        password: str,
        *,
        subscriptions: Sequence[str] = (),
        on_message: Callable[[Message], None] | None = None,
        persistent: bool = False,
    ) -> None:
        self._socket = socket
        self._subscriptions = [(topic, SubscribeOptions(qos=1)) for topic in subscriptions]
        self._on_message = on_message
        self._persistent = persistent
        self._connection = 0
        self._ready = threading.Event()
        self._resubscribed: Callable[[], None] | None = None
        self._paho = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            transport="unix",
            manual_ack=True,
        )
        self._paho.username_pw_set(username, password)
        self._paho.reconnect_delay_set(min_delay=1, max_delay=1)
        self._paho.max_inflight_messages_set(1000)
        self._paho.on_connect = self._connected
        self._paho.on_disconnect = self._disconnected
        self._paho.on_subscribe = self._subscribed
        self._paho.on_message = self._message

    def start(self, on_ready: Callable[[], None] | None = None) -> None:
        """Connects in the background. `on_ready` is called at each (re)connection once the subscriptions stand."""
        self._resubscribed = on_ready
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        # A persistent session: what came while this program was away is delivered; clean_start would wipe it.
        properties.SessionExpiryInterval = SESSION_S if self._persistent else 0
        self._paho.connect_async(
            str(self._socket), 1883, KEEPALIVE_S, clean_start=not self._persistent, properties=properties
        )
        self._paho.loop_start()

    def wait_ready(self, timeout_s: float) -> bool:
        """Waits until the subscriptions stand."""
        return self._ready.wait(timeout_s)

    @property
    def connected(self) -> bool:
        return self._ready.is_set()

    def stop(self) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()

    def acknowledge(self, message: Message) -> None:
        """Tells the broker that the message is done with. One from an earlier connection will come again."""
        if message.qos and message.connection == self._connection:
            self._paho.ack(message.mid, message.qos)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Publishes; False when there is no connection (nothing is kept for later: each caller repeats what counts)."""
        if not self._ready.is_set():
            return False
        return self._paho.publish(topic, payload, qos=qos, retain=retain).rc == paho.MQTT_ERR_SUCCESS

    def _connected(self, client: paho.Client, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            _log.error("mqtt.refused", reason=str(reason))
            return
        self._connection += 1
        _log.info("mqtt.connected", session_present=bool(flags.session_present))
        if self._subscriptions:
            client.subscribe(self._subscriptions)  # always: after a broker's end the session has gone
        else:
            self._is_ready()

    def _subscribed(self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            _log.error("mqtt.subscription_refused", reasons=[str(reason) for reason in reasons])
            return
        self._is_ready()

    def _is_ready(self) -> None:
        self._ready.set()
        if self._resubscribed:
            self._resubscribed()

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        was_ready = self._ready.is_set()
        self._ready.clear()
        self._connection += 1  # acknowledgements of the old connection must not reach the new one
        if was_ready and reason.is_failure:
            _log.warning("mqtt.connection_lost", reason=str(reason))

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if self._on_message:
            self._on_message(
                Message(
                    message.topic,
                    bytes(message.payload),
                    message.retain,
                    clock.now(),
                    message.mid,
                    message.qos,
                    self._connection,
                )
            )
