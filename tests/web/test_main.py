"""The web role as a process: it says when it serves, and ends in time with open streams."""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from appliance import access
from appliance.errors import Unavailable
from appliance.events import Event, Publisher
from appliance.storage.db import open_depot, write_tx
from tests.ports import free_port
from tests.web import world
from tests.web.serving import Redis, Web, running_web, wait_for
from web.main import listen

Open = Callable[..., http.client.HTTPResponse]


@pytest.fixture
def stream(depot: world.World) -> Iterator[Open]:
    """Opens live streams, and closes them at the end of the test."""
    with ExitStack() as opened:

        def open_one(web: Web, path: str = "/api/v1/live") -> http.client.HTTPResponse:
            """As a program with a token."""
            connection = opened.enter_context(closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)))
            connection.request("GET", path, headers=world.api_token(depot.settings, "viewer", "read"))
            answer = opened.enter_context(closing(connection.getresponse()))
            assert answer.status == 200
            assert (answer.getheader("content-type") or "").startswith("text/event-stream")
            return answer

        yield open_one


def next_event(answer: http.client.HTTPResponse) -> tuple[str, str]:
    while not (line := answer.readline().decode()).startswith("event: "):
        assert line, "the stream ended"
    return line.removeprefix("event: ").strip(), answer.readline().decode().removeprefix("data: ").strip()


def test_it_ends_with_0_within_three_seconds_though_streams_are_open(
    depot: world.World, redis_server: Redis, tmp_path: Path, stream: Open
) -> None:
    with running_web(depot.settings.paths.data_dir, tmp_path / "web.log") as web:
        streams = [stream(web) for _ in range(10)]
        began = time.monotonic()
        assert web.stop() == 0
        assert time.monotonic() - began < 3
        for each in streams:
            each.read()  # to its end: the server closed it
    assert "Traceback" not in (tmp_path / "web.log").read_text()


def test_live_events_go_on_after_redis_was_killed(
    depot: world.World, redis_server: Redis, tmp_path: Path, stream: Open
) -> None:
    publisher = Publisher(depot.settings.paths.redis_socket)
    with running_web(depot.settings.paths.data_dir, tmp_path / "web.log") as web:
        fleet, trip = stream(web), stream(web, "/api/v1/trips/1/live")
        changed = Event("trip", "1", {"id": 1})
        wait_for(lambda: b"web.live_connected" in web.log.read_bytes(), "the hub is connected")
        publisher.publish(changed)
        assert next_event(fleet)[0] in {"trip", "resync"}
        redis_server.kill()
        wait_for(lambda: b"web.live_lost" in web.log.read_bytes(), "the hub sees the loss")
        redis_server.start()
        for each in (fleet, trip):
            while next_event(each)[0] != "resync":
                pass
        publisher.publish(changed)
        for each in (fleet, trip):
            while (event := next_event(each))[
                0
            ] == "resync":  # one for the loss, one for the gap after it, or both in one
                pass
            assert event == ("trip", '{"id":1}')


def test_a_live_stream_ends_with_its_session_or_token_and_no_other_does(
    depot: world.World, redis_server: Redis, tmp_path: Path
) -> None:
    """Also where another process ends them: a command, in this case."""
    session, token = world.as_user(depot.settings, "dispatcher"), world.api_token(depot.settings, "viewer", "read")
    other = world.as_user(depot.settings, "biller")
    db = open_depot(depot.settings.paths.depot_db)
    with running_web(depot.settings.paths.data_dir, tmp_path / "web.log") as web, ExitStack() as opened:

        def stream(headers: dict[str, str]) -> http.client.HTTPResponse:
            connection = opened.enter_context(closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)))
            connection.request("GET", "/api/v1/live", headers=headers)
            answer = opened.enter_context(closing(connection.getresponse()))
            assert answer.readline().startswith(b"retry")
            return answer

        by_session = stream({"Cookie": f"depot={session.session}"})
        by_token = stream(token)
        by_other = stream({"Cookie": f"depot={other.session}"})
        with write_tx(db) as tx:
            access.end_session(tx, session.session)
            access.revoke_token(tx, 1, who="test", now=depot.now)
        began = time.monotonic()
        by_session.read()  # to its end: the server closed it
        by_token.read()
        assert time.monotonic() - began < 6
        wait_for(lambda: b"web.live_connected" in web.log.read_bytes(), "the hub is connected")
        Publisher(depot.settings.paths.redis_socket).publish(Event("trip", "1", {"id": 1}))
        assert next_event(by_other)[0] in {"trip", "resync"}
    db.conn.close()


def test_metrics_can_be_had_on_this_machine_without_a_token_and_nothing_else_can(
    depot: world.World, redis_server: Redis, tmp_path: Path
) -> None:
    with running_web(depot.settings.paths.data_dir, tmp_path / "web.log") as web:
        for path, status in (("/metrics", 200), ("/healthz", 200), ("/api/v1/trips", 401), ("/api/v1/live", 401)):
            with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)) as connection:
                connection.request("GET", path)
                assert connection.getresponse().status == status, path


def test_ready_is_said_once_it_serves(
    depot: world.World, redis_server: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = depot.settings.paths.run_dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(os.fspath(address))
        channel.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        with running_web(depot.settings.paths.data_dir, tmp_path / "web.log"):
            assert channel.recv(100) == b"READY=1"


def test_a_taken_port_is_one_line_that_says_what_to_do() -> None:
    port = free_port()
    with (
        closing(socket.create_server(("127.0.0.1", port))),
        pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port}: cannot listen.*set web\.port"),
    ):
        listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_it_listens_on_loopback_only(host: str) -> None:
    with listen(host, free_port()) as listener:
        assert listener.getsockname()[0] in {"127.0.0.1", "::1"}
