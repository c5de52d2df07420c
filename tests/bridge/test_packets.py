"""The packets of the load: what is written is read again, in whatever pieces it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mqtt_bridge import packets
from mqtt_bridge.packets import Reader


def read(stream: bytes, cuts: list[int]) -> list[tuple[int, int, bytes]]:
    reader, found, at = Reader(), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        found += reader.feed(stream[at:cut])
        at = max(at, cut)
    return found


@given(
    sizes=st.lists(st.sampled_from([0, 1, 100, 127, 128, 16_000, 16_383, 16_384, 70_000]), max_size=5),
    data=st.data(),
)
def test_a_stream_in_any_pieces_is_the_same_messages(sizes: list[int], data: st.DataObject) -> None:
    topic = packets.text("depot/v1/vehicles/SIM-001/gps")
    stream = b"".join(packets.publish(topic, n + 1, b"x" * size) for n, size in enumerate(sizes))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    found = [packets.published(flags, body) for kind, flags, body in read(stream, cuts) if kind == packets.PUBLISH]
    assert [(name, int.from_bytes(id, "big"), len(payload)) for name, id, payload in found] == [
        ("depot/v1/vehicles/SIM-001/gps", n + 1, size) for n, size in enumerate(sizes)
    ]


def test_a_message_at_qos_0_has_no_packet_id() -> None:
    body = packets.text("a") + b"payload"
    assert packets.published(0, body) == ("a", b"", b"payload")


def test_lengths_are_those_of_the_standard() -> None:
    """MQTT 3.1.1, table 2.4."""
    for size, length in ((127, 1), (128, 2), (16_383, 2), (16_384, 3), (2_097_151, 3)):
        packet = packets.publish(b"", 1, b"x" * (size - 2))
        assert packets.span(packet, 0) == (1 + length, 1 + length + size)
        assert len(packet) == 1 + length + size
