"""What has arrived and is not stored yet: a bounded queue between the network thread and the commits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from mqtt_bridge.client import Message

MESSAGES = 20_000
BYTES = 32 * 1024 * 1024
GROUP = 5_000


class Inbox:
    """Holds at most MESSAGES messages and about BYTES bytes. `put` waits while it is full, which slows the broker
    down instead of filling the memory: mosquitto 2.0.11 does not hold the receive maximum."""

    def __init__(self, messages: int = MESSAGES, size: int = BYTES) -> None:
        self._messages = messages
        self._size = size
        self._held: deque[Message] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, messages: Sequence[Message]) -> None:
        """Those that came together are held together: the bounds may be exceeded by what one read has brought."""
        with self._changed:
            while not self._closed and (len(self._held) >= self._messages or self._bytes >= self._size):
                self._changed.wait(0.5)
            was_empty = not self._held
            self._held.extend(messages)
            self._bytes += sum(len(message.payload) for message in messages)
            if was_empty:
                self._changed.notify_all()

    def take(self, timeout_s: float) -> list[Message]:
        """All that has queued up, at most GROUP; waits up to `timeout_s` for the first. No linger: what comes while
        this group commits is the next group, so that a slow disk makes larger groups and not a longer queue."""
        with self._changed:
            if not self._held:
                self._changed.wait(timeout_s)
            taken = [self._held.popleft() for _ in range(min(GROUP, len(self._held)))]
            self._bytes -= sum(len(message.payload) for message in taken)
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Lets nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
