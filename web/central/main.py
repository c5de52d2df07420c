"""The server of the central office: one process that answers depots, programs and people."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import uvicorn

from appliance import clock, log
from appliance.central import identity, migrate, work
from appliance.central.apply import Applier
from appliance.central.config import Settings
from appliance.central.db import Engine, connect
from appliance.errors import ConfigError
from appliance.notify import notify
from appliance.queues import Queues
from appliance.wire import signing
from web.central.app import create_app
from web.central.parts import Centre, Received
from web.main import listen

STOP_S = 5

_log = log.get(__name__)


def main(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT; then what has begun is answered, and what was received stays on the disk for the
    next start. Brings the database to this version first. Raises Unavailable when the port is taken."""
    central = settings.central
    with listen(central.host, central.port, section="central") as socket:
        engine = connect(settings.database)
        try:
            migrate.migrate(engine, clock.now())
            identity.make_signing_key(settings)
            with _applied(settings, engine) as received:
                centre = build(settings, engine, received)
                asyncio.run(_serve(_Server(_configuration(settings, centre)), [socket]))
        finally:
            engine.dispose()
    _log.info("centre.stopped")
    return 0


@contextlib.contextmanager
def _applied(settings: Settings, engine: Engine) -> Iterator[Received]:
    """Where batches are applied: by the workers where there is a Redis, else by a thread of this process."""
    if settings.central.redis:
        yield work.Sender(settings).received
        return
    applier = Applier(engine)
    applier.start()
    try:
        yield lambda _id, _stream: applier.wake()
    finally:
        applier.stop()


def build(settings: Settings, engine: Engine, received: Received) -> Centre:
    """What the handlers need. Raises ConfigError where the key cannot be had."""
    key = identity.signing_key(settings.signing_key)
    queues = Queues(url=settings.central.redis) if settings.central.redis else None
    return Centre(settings, engine, key, signing.public_text(key), received, clock.now, queues)


def _configuration(settings: Settings, centre: Centre) -> uvicorn.Config:
    central = settings.central
    made = uvicorn.Config(
        create_app(centre),
        access_log=False,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=STOP_S,
        server_header=False,
        proxy_headers=False,  # no header says who asks: depots sign, people and programs have a secret
        ws="none",
        ssl_certfile=central.certificate or None,
        ssl_keyfile=central.certificate_key or None,
    )
    try:
        made.load()
    except OSError as error:  # an SSLError is one
        subject = f"central.certificate = {central.certificate}"
        raise ConfigError(
            f"cannot be used: {error}", subject=subject, hint="two PEM files that belong together"
        ) from error
    return made


class _Server(uvicorn.Server):
    """Says when it serves, and leaves signals to us: uvicorn raises them again after a clean stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            _log.info("centre.ready", host=host, port=port, tls=self.config.is_ssl)
            notify("READY=1")


async def _serve(server: _Server, sockets: list[Any]) -> None:
    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=sockets)
