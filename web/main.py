"""The role `web`: one HTTP server on `web.host` and `web.port`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from appliance import config, log
from appliance.config import Settings
from appliance.errors import Unavailable
from appliance.notify import notify
from web.app import create_app
from web.hub import Hub

STOP_S = 2
BACKLOG = 128

_log = log.get(__name__)


def main(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, then ends open streams and returns 0 within three seconds.

    Raises Unavailable when the port is taken. `READY=1` is said once connections are accepted.
    """
    listener = listen(settings.web.host, settings.web.port)
    hub = Hub(settings.paths.redis_socket)
    uvicorn_config = uvicorn.Config(
        create_app(settings, hub=hub, reload=lambda: config.load(Path(settings.file) if settings.file else None)),
        access_log=False,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=STOP_S,
        server_header=False,
        ws="none",
    )
    with listener:
        asyncio.run(_serve(_Server(uvicorn_config), hub, listener))
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Unavailable, naming the address, when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(
            f"cannot listen: {error.strerror}",
            subject=f"web.host, web.port = {host}:{port}",
            hint="stop what uses the port, or set web.port",
        ) from error


async def _serve(server: _Server, hub: Hub, listener: socket.socket) -> None:
    def stop() -> None:
        server.should_exit = True
        hub.close()  # open streams would hold the server up until its timeout

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])
    _log.info("web.stopped")


class _Server(uvicorn.Server):
    """Says when it serves, and leaves signals to us: uvicorn raises them again after a clean stop (exit -15)."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            host, port = sockets[0].getsockname()[:2] if sockets else ("", 0)
            _log.info("web.ready", host=host, port=port)
            notify("READY=1")
