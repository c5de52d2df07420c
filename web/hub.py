"""The hub of live events: one Redis subscription in, any number of open SSE streams out.

Promises: a stream gets the newest value of each (kind, key), within `coalesce_s` of it; what it may have missed is
announced as a `resync` event, after which the page asks for the whole state; a stream holds at most `max_pending`
frames in memory; every stream ends when `close` is called, and those of one caller at `end`. Redis may come and go as
it likes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from appliance import events, log
from appliance.errors import Busy

COALESCE_S = 0.1
HEARTBEAT_S = 15.0
MAX_PENDING = 2000
MAX_STREAMS = 200
MAX_OF_SESSION, MAX_OF_USER = 20, 60
"""Of one login or token, and of one user in all of them: nobody takes the live view from all the others."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.05, 1.0
PING_S = 5.0

HELLO = b"retry: 1000\n: live events\n\n"
HEARTBEAT = b": heartbeat\n\n"
RESYNC = b"event: resync\ndata: {}\n\n"

Wants = Callable[[events.Event], bool]

_log = log.get(__name__)


def frame(event: events.Event) -> bytes:
    """One event as it stands in an SSE stream: its kind, and its data as one line of JSON."""
    return b"event: " + event.kind.encode() + b"\ndata: " + msgspec.json.encode(event.data) + b"\n\n"


class Stream:
    """What one client still has to get: the newest frame of each key, or the news that it missed something."""

    def __init__(self, wants: Wants, max_pending: int, key: str = "", user: int | None = None) -> None:
        self.wants = wants
        self.key = key
        self.user = user
        self.ended = False
        self.wake = asyncio.Event()
        self._max_pending = max_pending
        self._pending: dict[tuple[str, str], bytes] = {}
        self._gap = False

    def offer(self, event: events.Event, encoded: bytes) -> None:
        """Takes a frame; it replaces an older one of the same key that has not left yet."""
        if self._gap:
            return  # the resync that is about to leave makes the client ask for everything anyway
        self._pending[event.kind, event.key] = encoded
        if len(self._pending) > self._max_pending:
            self.gap()
        self.wake.set()

    def gap(self) -> None:
        """The client may have missed something: forget what waits, tell it so."""
        self._pending.clear()
        self._gap = True
        self.wake.set()

    def take(self) -> bytes:
        """What has collected since the last call, as bytes to write."""
        out = (RESYNC if self._gap else b"") + b"".join(self._pending.values())
        self._pending.clear()
        self._gap = False
        self.wake.clear()
        return out


class Hub:
    """One a process. `run` listens until it is cancelled; `stream` is the body of one SSE answer."""

    def __init__(
        self,
        redis_socket: Path,
        *,
        coalesce_s: float = COALESCE_S,
        heartbeat_s: float = HEARTBEAT_S,
        max_pending: int = MAX_PENDING,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._socket = redis_socket
        self._coalesce_s = coalesce_s
        self._heartbeat_s = heartbeat_s
        self._max_pending = max_pending
        self._max_streams = max_streams
        self._streams: set[Stream] = set()
        self._closed = asyncio.Event()
        self._lost = False
        self.connected = False

    @property
    def open_streams(self) -> int:
        return len(self._streams)

    def close(self) -> None:
        """Ends every stream, and refuses new ones. Called when the process is told to stop."""
        self._closed.set()
        for stream in self._streams:
            stream.wake.set()

    def open(self, wants: Wants, key: str = "", user: int | None = None) -> AsyncIterator[bytes]:
        """A new stream of the events that `wants` accepts, for the caller with this key, who is that user. Raises Busy
        when too many are open: in all, of the caller, or of the user."""
        stream = Stream(wants, self._max_pending, key, user)
        if len(self._streams) >= self._max_streams:
            raise Busy("too many live streams are open", hint="close a page that shows the map")
        of_session = sum(other.key == key for other in self._streams) if key else 0
        of_user = sum(other.user == user for other in self._streams) if user is not None else 0
        if of_session >= MAX_OF_SESSION or of_user >= MAX_OF_USER:
            raise Busy("too many live streams of yours are open", hint="close a page that shows the map")
        return self._frames(stream)

    def keys(self) -> set[str]:
        """Whose streams are open."""
        return {stream.key for stream in self._streams if stream.key}

    def end(self, keys: set[str]) -> None:
        """Ends the streams of these callers."""
        for stream in self._streams:
            if stream.key in keys:
                stream.ended = True
                stream.wake.set()

    async def _frames(self, stream: Stream) -> AsyncIterator[bytes]:
        self._streams.add(stream)
        try:
            yield HELLO
            while not (self._closed.is_set() or stream.ended):
                if not await _happens(stream.wake, self._heartbeat_s):
                    yield HEARTBEAT
                    continue
                if (out := stream.take()) and not stream.ended:
                    yield out
                await _happens(self._closed, self._coalesce_s)  # what comes meanwhile leaves together
        finally:
            self._streams.discard(stream)

    async def run(self) -> None:
        """Subscribes, and subscribes again whenever Redis has gone, at most a second after it is back."""
        delay_s = FIRST_DELAY_S
        while not self._closed.is_set():
            try:
                await self._listen()
            except (redis.RedisError, OSError) as error:
                if self.connected:
                    delay_s = FIRST_DELAY_S
                if not self._lost:
                    _log.warning("web.live_lost", error=str(error))
                self._lost = True
            self.connected = False
            await _happens(self._closed, delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)

    async def _listen(self) -> None:
        # No retries inside the client: it would subscribe again silently, and nobody would learn of the gap.
        client = redis.asyncio.Redis(
            unix_socket_path=str(self._socket), db=events.LIVE_DB, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
        )
        async with client, client.pubsub() as subscription:
            await subscription.subscribe(events.CHANNEL)
            heard = time.monotonic()
            while not self._closed.is_set():
                message = await subscription.get_message(timeout=PING_S)
                if message is not None:
                    heard = time.monotonic()
                    self._handle(message["type"], message["data"])
                elif time.monotonic() - heard > 2 * PING_S:
                    raise redis.ConnectionError("no answer to a ping")
                else:
                    await subscription.ping()

    def _handle(self, kind: str, data: object) -> None:
        if kind == "subscribe":
            _log.info("web.live_connected")
            self.connected, self._lost = True, False
            for stream in self._streams:
                stream.gap()
        elif kind == "message" and isinstance(data, bytes):
            try:
                event = events.decode(data)
            except msgspec.DecodeError as error:
                _log.warning("web.event_unreadable", error=str(error))
                return
            self._fan_out(event)

    def _fan_out(self, event: events.Event) -> None:
        encoded: bytes | None = None
        for stream in self._streams:
            if stream.wants(event):
                encoded = encoded or frame(event)
                stream.offer(event, encoded)


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within_s)
    except TimeoutError:
        return False
    return True
