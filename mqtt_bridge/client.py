"""The MQTT client of the box's own programs. The one file that knows paho.

It speaks MQTT 3.1.1 over the broker's unix socket (of MQTT 5 it would need nothing, and paho takes a fifth longer for
a message there), acknowledges by hand, and comes back by itself after a broker's end.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from appliance import clock, log
from mqtt_bridge import packets

KEEPALIVE_S = 30
_READ_BYTES = 65_536

_log = log.get(__name__)


class Message(msgspec.Struct, frozen=True):
    """A message as it came. `connection` numbers the connection it came on: ids are reused on the next one."""

    topic: str
    payload: bytes
    retained: bool
    received: datetime
    mid: int
    qos: int
    connection: int


Published = tuple[str, bytes, bool, int, int]
"""Topic, payload, retained, packet id and QoS of a message."""


class Client:
    """One connection, kept up from `start` to `stop`.

    `on_messages` gets those that came together, in their order. It runs in the network thread; it may block (that slows
    the broker down) but must not raise.
    """

    def __init__(
        self,
        socket: Path,
        client_id: str,
        username: str,
        password: str,
        *,
        subscriptions: Sequence[str] = (),
        on_messages: Callable[[list[Message]], None] | None = None,
        persistent: bool = False,
    ) -> None:
        self._socket = socket
        self._subscriptions = [(topic, 1) for topic in subscriptions]
        self._on_messages = on_messages
        self._connection = 0
        self._ready = threading.Event()
        self._resubscribed: Callable[[], None] | None = None
        self._paho = _Paho(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            # A persistent session: what came while this program was away is delivered.
            clean_session=not persistent,
            protocol=paho.MQTTv311,
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
        self._paho.on_publishes_read = self._arrived

    def start(self, on_ready: Callable[[], None] | None = None) -> None:
        """Connects in the background. `on_ready` is called at each (re)connection once the subscriptions stand."""
        self._resubscribed = on_ready
        self._paho.connect_async(str(self._socket), 1883, KEEPALIVE_S)
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

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Tells the broker that these are done with, in this order. One from an earlier connection will come again."""
        now = self._connection
        self._paho.acknowledge([one.mid for one in messages if one.qos and one.connection == now])

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Publishes; False when there is no connection (nothing is kept for later: each caller repeats what counts).
        What had waited for this program comes before its subscriptions stand, and is answered."""
        if not self._paho.is_connected():
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
        self._arrived([(message.topic, bytes(message.payload), message.retain, message.mid, message.qos)])

    def _arrived(self, published: list[Published]) -> None:
        if self._on_messages:
            now, connection = clock.now(), self._connection
            self._on_messages(
                [
                    Message(topic, payload, retained, now, mid, qos, connection)
                    for topic, payload, retained, mid, qos in published
                ]
            )


class _Paho(paho.Client):
    """paho, with less work for a message. It makes three system calls to read one and two to acknowledge it, and after
    each of them its thread and the one that commits wait for each other (the interpreter's lock). So what comes is read
    in large pieces; of these the whole PUBLISH packets are taken out here, and paho gets all the rest.
    """

    on_publishes_read: Callable[[list[Published]], None]
    """Called with those that were read together, in the network thread."""

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Also what has been read ahead, which `select` cannot see."""
        code = super().loop_read(max_packets)
        while code == paho.MQTT_ERR_SUCCESS and isinstance(self._sock, _ReadAhead) and self._sock.pending():
            found = [] if self._in_packet["command"] else self._sock.take_publishes()
            if found:
                self.on_publishes_read(found)
            else:
                code = super().loop_read(max_packets)
        return code

    def acknowledge(self, mids: Sequence[int]) -> None:
        """PUBACK for each, in one piece."""
        if mids:
            pubacks = b"".join(packets.puback(mid.to_bytes(2, "big")) for mid in mids)
            self._packet_queue(paho.PUBACK, pubacks, mids[-1], 0)

    def _create_unix_socket_connection(self) -> socket.socket:
        made = _ReadAhead(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.connect(self._host)
        except OSError:
            made.close()
            raise
        return made


class _ReadAhead(socket.socket):
    """A socket that is read in large pieces and given out in small ones."""

    _held = b""
    _at = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self._at >= len(self._held):
            self._held, self._at = super().recv(_READ_BYTES, flags), 0
        given = self._held[self._at : self._at + size]
        self._at += len(given)
        return given

    def pending(self) -> int:
        """Bytes that were read and not given out. paho asks before it waits."""
        return len(self._held) - self._at

    def take_publishes(self) -> list[Published]:
        """The next packets, as far as they are PUBLISH and here as a whole; asked between packets only."""
        found = []
        held, at, end = self._held, self._at, len(self._held)
        while at < end and held[at] >> 4 == packets.PUBLISH:
            start, stop = packets.span(held, at)
            if start == 0 or stop > end:
                break
            flags = held[at]
            topic, packet_id, payload = packets.published(flags, held[start:stop])
            found.append((topic, payload, bool(flags & 1), int.from_bytes(packet_id, "big"), flags >> 1 & 3))
            at = stop
        self._at = at
        return found
