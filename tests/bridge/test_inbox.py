"""What has arrived and is not stored yet: bounded, in order, and never in anybody's way."""

from __future__ import annotations

import threading
import time

import pytest

from mqtt_bridge import inbox as module
from mqtt_bridge.client import Message
from mqtt_bridge.inbox import Inbox
from tests.cast import NOON
from tests.servers import wait_for


def message(n: int, size: int = 1) -> Message:
    return Message(f"t/{n}", b"x" * size, False, NOON, n, 1, 1)


def mids(messages: list[Message]) -> list[int]:
    return [one.mid for one in messages]


def filling(inbox: Inbox, count: int, size: int = 1) -> tuple[threading.Thread, list[int]]:
    """A network thread that puts `count` messages."""
    done: list[int] = []

    def put() -> None:
        for n in range(count):
            inbox.put([message(n, size)])
            done.append(n)

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    return thread, done


def test_messages_come_out_in_their_order() -> None:
    inbox = Inbox()
    for n in range(5):
        inbox.put([message(n)])
    assert mids(inbox.take(0)) == [0, 1, 2, 3, 4]
    assert inbox.take(0) == []


def test_it_waits_for_the_first_message_and_not_for_a_second() -> None:
    inbox = Inbox()
    threading.Timer(0.05, inbox.put, [[message(1)]]).start()
    began = time.monotonic()
    assert mids(inbox.take(10)) == [1]
    assert time.monotonic() - began < 5


def test_one_group_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP", 3)
    inbox = Inbox()
    for n in range(7):
        inbox.put([message(n)])
    assert [mids(inbox.take(0)) for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize(("limits", "size"), [((3, 10**6), 1), ((10**6, 30), 10)])
def test_a_full_inbox_makes_the_network_wait_and_loses_nothing(limits: tuple[int, int], size: int) -> None:
    inbox = Inbox(*limits)
    thread, done = filling(inbox, 10, size)
    wait_for(lambda: len(done) == 3, "three fit in")
    thread.join(0.1)
    assert len(done) == 3
    taken: list[int] = []
    wait_for(lambda: taken.extend(mids(inbox.take(0.05))) or len(taken) == 10, "all have come through")
    assert taken == list(range(10))
    thread.join(5)
    assert inbox._bytes == 0


def test_a_message_larger_than_the_whole_inbox_passes() -> None:
    inbox = Inbox(10, 5)
    inbox.put([message(1, size=100)])
    assert mids(inbox.take(0)) == [1]


def test_at_the_end_nobody_waits_any_more() -> None:
    inbox = Inbox(1)
    thread, done = filling(inbox, 3)
    wait_for(lambda: len(done) == 1, "it is full")
    inbox.close()
    thread.join(5)
    assert not thread.is_alive()
