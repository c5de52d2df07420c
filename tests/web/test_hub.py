"""Live events: the newest value for everybody, a resync after a gap, and an end when it is time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from appliance.errors import Busy
from appliance.events import CHANNEL, LIVE_DB, Event, Publisher
from appliance.paths import Paths
from tests.web.serving import Redis, running_redis
from web.api.live import fleet, of_trip
from web.hub import HEARTBEAT, HELLO, MAX_OF_SESSION, MAX_OF_USER, RESYNC, Hub, frame

WITHIN_S = 10.0


@pytest.fixture
def paths(data_dir: Path) -> Paths:
    found = Paths(data_dir)
    found.prepare()
    return found


@pytest.fixture
def server(paths: Paths) -> Iterator[Redis]:
    with running_redis(paths) as found:
        yield found


def vehicle(code: str, n: int) -> Event:
    return Event("vehicle", code, {"code": code, "n": n})


class Page:
    """One open stream, read as a browser reads it: (event name, data)."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._waiting: list[tuple[str, Any]] = []

    async def raw(self) -> bytes:
        return await asyncio.wait_for(anext(self._stream), WITHIN_S)

    async def next(self) -> tuple[str, Any]:
        while not self._waiting:
            for part in (await self.raw()).decode().split("\n\n"):
                lines = dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(":"))
                if "event" in lines:
                    self._waiting.append((lines["event"], msgspec.json.decode(lines["data"])))
        return self._waiting.pop(0)

    async def until(self, name: str) -> Any:
        while (found := await self.next())[0] != name:
            pass
        return found[1]


def with_hub(paths: Paths, story: Callable[[Hub, Publisher], Awaitable[None]], **options: Any) -> None:
    """Runs a story beside a hub that is connected."""

    async def run() -> None:
        hub = Hub(paths.redis_socket, **options)
        task = asyncio.create_task(hub.run())
        try:
            await happens(lambda: hub.connected)
            await asyncio.wait_for(story(hub, Publisher(paths.redis_socket)), 30)
        finally:
            hub.close()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(run())


async def happens(done: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not done():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def test_an_event_reaches_a_page_as_it_was_said(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        page = Page(hub.open(fleet))
        assert await page.raw() == HELLO
        publisher.publish(vehicle("V1", 1))
        assert await page.next() == ("vehicle", {"code": "V1", "n": 1})

    with_hub(paths, story)


def test_a_burst_arrives_as_its_newest_values(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        page = Page(hub.open(fleet))
        await page.raw()
        publisher.publish(vehicle("V1", 0))
        await page.next()
        publisher.publish(*(vehicle(code, n) for n in range(1, 101) for code in ("V1", "V2")))
        found = [await page.next(), await page.next()]
        assert found == [("vehicle", {"code": "V1", "n": 100}), ("vehicle", {"code": "V2", "n": 100})]

    with_hub(paths, story)


def test_a_trips_page_gets_only_its_trip(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        page = Page(hub.open(of_trip(7)))
        await page.raw()
        publisher.publish(
            vehicle("V1", 1),
            Event("trip_position", "8", {"trip_id": 8}),
            Event("trip_position", "7", {"trip_id": 7}),
            Event("trip_status", "7", {"trip_id": 7}),
        )
        assert [(await page.next())[0], (await page.next())[0]] == ["trip_position", "trip_status"]

    with_hub(paths, story)


def test_what_is_for_other_roles_reaches_no_page(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        page = Page(hub.open(fleet))
        await page.raw()
        publisher.publish(Event("assignment", "V1", {}), Event("trip_position", "1", {}), Event("trip", "1", {"id": 1}))
        assert await page.next() == ("trip", {"id": 1})

    with_hub(paths, story)


def test_pages_live_through_a_killed_redis_and_are_told_to_resync(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        page = Page(hub.open(fleet))
        await page.raw()
        for n in range(3):
            server.kill()
            await happens(lambda: not hub.connected)
            await asyncio.to_thread(server.start)
            await page.until("resync")
            assert publisher.publish(vehicle("V1", n))
            assert await page.until("vehicle") == {"code": "V1", "n": n}

    with_hub(paths, story)


def test_a_hub_that_starts_before_redis_connects_when_redis_is_there(paths: Paths) -> None:
    async def run() -> None:
        hub = Hub(paths.redis_socket)
        task = asyncio.create_task(hub.run())
        with running_redis(paths):
            await happens(lambda: hub.connected)
        hub.close()
        await asyncio.wait_for(task, WITHIN_S)

    asyncio.run(run())


def test_a_page_that_falls_behind_is_told_to_resync_and_holds_little(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        page = Page(hub.open(fleet))
        await page.raw()
        publisher.publish(*(vehicle(f"V{n}", n) for n in range(50)))
        await page.until("resync")
        publisher.publish(vehicle("V1", 99))
        assert await page.until("vehicle") == {"code": "V1", "n": 99}

    with_hub(paths, story, max_pending=10)


def test_an_open_page_hears_a_heartbeat_in_silence(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        page = Page(hub.open(fleet))
        await page.raw()
        assert await page.raw() == HEARTBEAT

    with_hub(paths, story, heartbeat_s=0.05)


def test_what_is_no_event_of_ours_is_left_out(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        page = Page(hub.open(fleet))
        await page.raw()
        with redis.Redis(unix_socket_path=str(paths.redis_socket), db=LIVE_DB) as client:
            client.publish(CHANNEL, b"nonsense")
            client.publish(CHANNEL, b'{"kind": "unheard of", "key": "1", "data": {}}')
        publisher.publish(vehicle("V1", 1))
        assert (await page.next())[0] == "vehicle"

    with_hub(paths, story)


def test_closing_ends_every_stream_at_once(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        pages = [hub.open(fleet) for _ in range(5)]
        for page in pages:
            await anext(page)
        reading = [asyncio.create_task(anext(page, b"the end")) for page in pages]
        await asyncio.sleep(0)
        hub.close()
        assert await asyncio.wait_for(asyncio.gather(*reading), 1) == [b"the end"] * 5
        assert hub.open_streams == 0

    with_hub(paths, story)


def test_more_streams_than_the_box_can_serve_are_refused(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        first = hub.open(fleet)
        await anext(first)
        with pytest.raises(Busy):
            hub.open(fleet)

    with_hub(paths, story, max_streams=1)


def test_one_caller_leaves_streams_for_the_others(paths: Paths, server: Redis) -> None:
    async def story(hub: Hub, publisher: Publisher) -> None:
        pages = []
        for login in ("one", "two", "three"):
            pages += [hub.open(fleet, login, user=1) for _ in range(MAX_OF_SESSION)]
            for page in pages[-MAX_OF_SESSION:]:
                await anext(page)
            with pytest.raises(Busy, match="of yours"):
                hub.open(fleet, login, user=1)
        assert len(pages) == MAX_OF_USER
        with pytest.raises(Busy, match="of yours"):
            hub.open(fleet, "four", user=1)
        await anext(hub.open(fleet, "other", user=2))

    with_hub(paths, story)


def test_a_frame_is_one_line_of_json() -> None:
    assert frame(Event("trip", "1", {"text": "two\nlines"})) == b'event: trip\ndata: {"text":"two\\nlines"}\n\n'
    assert RESYNC == b"event: resync\ndata: {}\n\n"
