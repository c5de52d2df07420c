"""A connection that publishes at QoS 1 without waiting for each acknowledgement: many of them fit into one thread."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

from appliance.errors import Unavailable
from mqtt_bridge import packets

KEEPALIVE_S = 60
IN_FLIGHT = 5_000
"""Messages that the broker has not acknowledged; packet ids are used again after 65,535."""

_LOGIN_S = 20.0


class Pipeline:
    """`publish` only queues; `flush` writes what the socket takes, `receive` reads what has come. Neither waits.

    Raises Unavailable when the login fails, and when the broker closes the connection.
    """

    def __init__(
        self, sock: socket.socket, client_id: str, username: str, password: str, hear: Callable[[str, bytes], None]
    ) -> None:
        self.socket = sock
        self.sent = 0
        self.acknowledged = 0
        self._name = client_id
        self._hear = hear
        self._reader = packets.Reader()
        self._out: list[bytes] = []
        self._writing = b""
        self._last_write = time.monotonic()
        sock.settimeout(_LOGIN_S)
        sock.sendall(packets.connect(client_id, username, password, KEEPALIVE_S))
        answer = self._await(packets.CONNACK)
        if answer[1]:
            raise Unavailable(f"the broker refuses the login (code {answer[1]})", subject=client_id)

    def subscribe(self, *topics: str) -> None:
        """Returns once the subscriptions stand. The connection does not block from then on."""
        self.socket.sendall(packets.subscribe(1, topics))
        self._await(packets.SUBACK)
        self.socket.setblocking(False)

    @property
    def has_room(self) -> bool:
        return self.sent - self.acknowledged < IN_FLIGHT

    @property
    def wants_to_write(self) -> bool:
        return bool(self._writing or self._out)

    def publish(self, topic: bytes, payload: bytes) -> None:
        """`topic` as `packets.text` makes it."""
        self.sent += 1
        self._out.append(packets.publish(topic, self.sent % packets.PACKET_IDS + 1, payload))

    def flush(self) -> None:
        if self._out:
            self._writing += b"".join(self._out)
            self._out.clear()
        if not self._writing:
            if time.monotonic() - self._last_write < KEEPALIVE_S / 2:
                return
            self._writing = packets.PINGREQ
        try:
            self._writing = self._writing[self.socket.send(self._writing) :]
        except BlockingIOError:
            return
        except OSError as error:
            raise self._lost() from error
        self._last_write = time.monotonic()

    def receive(self) -> None:
        """Counts what the broker has acknowledged, and gives what was published to `hear`: (topic, payload)."""
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError as error:
            raise self._lost() from error
        if not data:
            raise self._lost()
        for kind, flags, body in self._reader.feed(data):
            if kind == packets.PUBACK:
                self.acknowledged += 1
            elif kind == packets.PUBLISH:
                topic, packet_id, payload = packets.published(flags, body)
                self._hear(topic, payload)
                if packet_id:
                    self._out.append(packets.puback(packet_id))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(packets.DISCONNECT)
        self.socket.close()

    def _await(self, wanted: int) -> bytes:
        while True:
            try:
                data = self.socket.recv(4096)
            except OSError as error:
                raise self._lost() from error
            if not data:
                raise self._lost()
            found = [body for kind, _flags, body in self._reader.feed(data) if kind == wanted]
            if found:
                return found[0]

    def _lost(self) -> Unavailable:
        return Unavailable("the broker has closed the connection", subject=self._name, hint="depotbox status")
