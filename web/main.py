"""The role `web`: one server, over plain HTTP on `web.port` and over HTTPS on `web.tls_port`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn

from appliance import clock, config, log
from appliance.config import Settings, Web
from appliance.errors import Unavailable
from appliance.notify import notify
from web.app import create_app
from web.doors import Certificates, Doors, is_loopback
from web.hub import Hub

STOP_S = 2
BACKLOG = 128

_log = log.get(__name__)


def main(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT, then ends open streams and returns 0 within three seconds.

    Raises Unavailable when a port is taken. `READY=1` is said once connections are accepted.
    """
    web = settings.web
    hub = Hub(settings.paths.redis_socket)
    certificates = Certificates(settings, clock.now) if web.tls_port else None
    uvicorn_config = uvicorn.Config(
        create_app(
            settings,
            hub=hub,
            reload=lambda: config.load(Path(settings.file) if settings.file else None),
            doors=Doors(web.tls_port, certificates.knows) if certificates else None,
        ),
        access_log=False,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=STOP_S,
        server_header=False,
        proxy_headers=False,  # nothing stands before the box, and no header says where a request came from
        ws="none",
    )
    with ExitStack() as opened:
        plain = [opened.enter_context(one) for one in listen_plain(web)]
        wanted = listen_on(web.tls_host, web.tls_port, "tls_") if certificates else []
        secure = [opened.enter_context(one) for one in wanted]
        asyncio.run(_serve(_Server(uvicorn_config, secure, certificates), hub, plain))
    return 0


def listen_plain(web: Web) -> list[socket.socket]:
    """The sockets of plain HTTP: this machine's, and where there is HTTPS those that lead others to it."""
    if web.tls_port and not web.tls_host:
        return listen_on("", web.port)
    elsewhere = web.tls_port and web.tls_host != web.host and not is_loopback(web.tls_host)
    return [listen(web.host, web.port), *([listen(web.tls_host, web.port)] if elsewhere else [])]


def listen_on(host: str, port: int, key: str = "") -> list[socket.socket]:
    """As `listen`; without a host on all addresses, those of IPv6 too where this machine has any."""
    if host:
        return [listen(host, port, key)]
    everywhere = [listen("0.0.0.0", port, key)]  # noqa: S104  # only `tls_port` opens this: see web/doors.py
    try:
        everywhere.append(listen("::", port, key))
    except Unavailable as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            raise
    return everywhere


def listen(host: str, port: int, key: str = "", section: str = "web") -> socket.socket:
    """A listening socket. Raises Unavailable, naming the address, when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Head and body are two writes; without this the second waits 40 ms for the client's ACK of the first. asyncio
        # sees to it only where a socket names its protocol, which those that Python accepts from this one do not.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    except OSError as error:
        raise Unavailable(
            f"cannot listen: {error.strerror}",
            subject=f"{section}.{key}host, {section}.{key}port = {host}:{port}",
            hint=f"stop what uses the port, or set {section}.{key}port",
        ) from error


async def _serve(server: _Server, hub: Hub, listeners: list[socket.socket]) -> None:
    def stop() -> None:
        server.should_exit = True
        hub.close()  # open streams would hold the server up until its timeout

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=listeners)
    _log.info("web.stopped")


class _Server(uvicorn.Server):
    """Serves over TLS beside plain HTTP, says when it serves, and leaves signals to us: uvicorn raises them again after
    a clean stop (exit -15)."""

    def __init__(self, made: uvicorn.Config, secure: list[socket.socket], certificates: Certificates | None) -> None:
        super().__init__(made)
        self._secure = secure
        self._certificates = certificates

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.started:
            return
        if self._certificates is not None:
            await self._serve_tls(self._certificates)
        host, port = sockets[0].getsockname()[:2] if sockets else ("", 0)
        tls_port = self._secure[0].getsockname()[1] if self._secure else 0
        _log.info("web.ready", host=host, port=port, tls_port=tls_port)
        notify("READY=1")

    async def _serve_tls(self, certificates: Certificates) -> None:
        """The same application on further sockets, as uvicorn does for its own; its stop closes these with them."""

        def protocol() -> asyncio.Protocol:
            kind: Any = self.config.http_protocol_class
            made: asyncio.Protocol = kind(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        loop = asyncio.get_running_loop()
        for listener in self._secure:
            self.servers.append(
                await loop.create_server(protocol, sock=listener, ssl=certificates.context, backlog=BACKLOG)
            )
        self._watch = loop.create_task(certificates.watch(), name="certificates")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._certificates is not None:
            self._watch.cancel()
        await super().shutdown(sockets=[*(sockets or []), *self._secure])
