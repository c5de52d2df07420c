"""MQTT 3.1.1 packets as bytes, for the load that `depotbox simulate` makes: as much as a publisher at QoS 1 needs.

A message costs 5 µs of processor time here (9 to 16 beside a busy box); paho took 40 µs only to receive one. The load
shares the processors with the box that it measures.
Source: MQTT Version 3.1.1, OASIS Standard, sections 2.2, 3.1, 3.3, 3.4, 3.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9
"""Types of packets, as `Reader` gives them."""

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
PACKET_IDS = 65_535

_PUBLISH_QOS1 = b"\x32"
_CLEAN_SESSION_AND_LOGIN = 0b1100_0010


def connect(client_id: str, username: str, password: str, keepalive_s: int) -> bytes:
    """CONNECT with a clean session."""
    head = text("MQTT") + bytes((4, _CLEAN_SESSION_AND_LOGIN)) + keepalive_s.to_bytes(2, "big")
    return _packet(b"\x10", head + text(client_id) + text(username) + text(password))


def subscribe(packet_id: int, topics: Iterable[str]) -> bytes:
    """SUBSCRIBE to all topics at QoS 1."""
    return _packet(b"\x82", packet_id.to_bytes(2, "big") + b"".join(text(topic) + b"\x01" for topic in topics))


def publish(topic: bytes, packet_id: int, payload: bytes) -> bytes:
    """PUBLISH at QoS 1; `topic` as `text` makes it, which a vehicle does once."""
    return b"%b%b%b%b%b" % (
        _PUBLISH_QOS1,
        _length(len(topic) + 2 + len(payload)),
        topic,
        packet_id.to_bytes(2, "big"),
        payload,
    )


def puback(packet_id: bytes) -> bytes:
    return b"\x40\x02" + packet_id


def text(value: str) -> bytes:
    """A string as it stands in packets: UTF-8 after its length."""
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def published(flags: int, body: bytes) -> tuple[str, bytes, bytes]:
    """(topic, packet id, payload) of a PUBLISH that came; no packet id at QoS 0."""
    end = 2 + int.from_bytes(body[:2], "big")
    payload = end + 2 if flags & 0b110 else end
    return body[2:end].decode(), body[end:payload], body[payload:]


def span(held: bytes, at: int) -> tuple[int, int]:
    """Where the body of the packet at `at` starts and ends; (0, 0) while its length is not all there."""
    size = shift = 0
    for index in range(at + 1, min(at + 5, len(held))):
        byte = held[index]
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            return index + 1, index + 1 + size
        shift += 7
    return 0, 0


class Reader:
    """Takes the stream apart; a packet may come in any number of pieces."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """(type, flags, body) of each packet that is complete now. To be read to its end."""
        held = self._held + data if self._held else data
        at, end = 0, len(held)
        while end - at >= 2:
            start, stop = span(held, at)
            if start == 0 or stop > end:
                break
            yield held[at] >> 4, held[at] & 0x0F, held[start:stop]
            at = stop
        self._held = held[at:]


def _packet(first: bytes, body: bytes) -> bytes:
    return first + _length(len(body)) + body


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    if size < 0x4000:
        return bytes((size & 0x7F | 0x80, size >> 7))
    return bytes((size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14))
