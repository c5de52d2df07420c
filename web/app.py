"""The web application: routes, guards and the lifetime of the hub."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime

from litestar import Litestar, Router
from litestar.concurrency import sync_to_thread
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.template import TemplateConfig
from litestar.types import Scope

from appliance import __version__, access
from appliance.config import Settings
from appliance.errors import DepotError
from appliance.events import Publisher
from appliance.paths import VENDOR_DIR, WEB_DIR
from appliance.sender import Sender
from appliance.storage.gps import Store
from web import authority, login, metrics, passwords, setup
from web.api import (
    adjustments,
    backups,
    basemap,
    certificates,
    devices,
    diagnosis,
    drivers,
    fixes,
    handovers,
    inbox,
    invoices,
    jobs,
    live,
    manifests,
    patients,
    payers,
    print_list,
    replay,
    run_sheets,
    schedules,
    sync,
    system,
    tokens,
    trips,
    users,
    vehicles,
)
from web.api import settings as depot_settings
from web.assets import Assets
from web.description import Description
from web.doors import Doors
from web.gate import Gate
from web.hub import Hub
from web.pages import api as api_page
from web.pages import (
    backup,
    board,
    certificate,
    crew_acts,
    diagnostics,
    imports,
    invoices_one,
    logs,
    new_trip,
    shell,
    tiles,
    trip,
    trip_acts,
    work,
)
from web.pages import drivers as driver_pages
from web.pages import help as help_page
from web.pages import inbox as inbox_page
from web.pages import invoices as invoices_page
from web.pages import patients as patient_pages
from web.pages import payers as payers_page
from web.pages import replay as replay_page
from web.pages import run_sheets as run_sheets_page
from web.pages import settings as settings_page
from web.pages import sync as sync_page
from web.pages import system as system_page
from web.pages import users as user_pages
from web.pages import vehicles as vehicle_pages
from web.parts import Parts, utc_now
from web.positions import Positions
from web.problems import HANDLERS as PROBLEMS
from web.security import Guard, add_headers
from web.throttle import Throttle
from web.uploads import Uploads

API = (
    vehicles,
    fixes,
    trips,
    invoices,
    jobs,
    schedules,
    system,
    live,
    adjustments,
    drivers,
    devices,
    payers,
    patients,
    inbox,
    handovers,
    users,
    tokens,
    manifests,
    basemap,
    replay,
    certificates,
    diagnosis,
    backups,
    print_list,
    run_sheets,
    sync,
    depot_settings,
)
PAGES = (
    shell,
    board,
    trip,
    work,
    system_page,
    inbox_page,
    help_page,
    api_page,
    trip_acts,
    new_trip,
    crew_acts,
    vehicle_pages,
    driver_pages,
    patient_pages,
    user_pages,
    tiles,
    replay_page,
    certificate,
    logs,
    diagnostics,
    backup,
    settings_page,
    run_sheets_page,
    invoices_page,
    invoices_one,
    payers_page,
    sync_page,
)

MAX_BODY_BYTES = 5 * 1024 * 1024
COMPRESSED = CompressionConfig(
    backend="gzip",
    minimum_size=2000,
    gzip_compress_level=4,
    exclude=["^/assets/", "^/tiles/", "/live$", "/file$", "/backup$", "[./]pdf$", "/map$"],
)
"""Pages and lists: a board of many trips is a tenth of its size. Not what is compressed already, and no endless stream.
The session's cookie does not come with what another site asks for, so that nobody can guess at a page by its size."""
WATCH_S = 2.0
"""How soon a live stream ends after its session or token."""


def create_app(
    settings: Settings,
    *,
    hub: Hub | None = None,
    sender: Sender | None = None,
    publisher: Publisher | None = None,
    now: Callable[[], datetime] = utc_now,
    reload: Callable[[], Settings] | None = None,
    doors: Doors | None = None,
) -> Litestar:
    """The application over one data folder, which need not be set up yet (`/healthz` says so then).

    The parts can be given by the caller. The hub listens while the application lives. `reload` reads the settings again
    once the box is set up, by page in this process or by command in another, and when a person has changed them.
    Without `doors` only this machine is answered.
    """
    paths = settings.paths
    store = Store(paths.gps_dir)
    parts = Parts(
        settings=settings,
        hub=hub or Hub(paths.redis_socket),
        sender=sender or Sender(settings),
        publisher=publisher or Publisher(paths.redis_socket),
        positions=Positions(paths.redis_socket, store),
        store=store,
        now=now,
    )
    assets = Assets(WEB_DIR / "static", VENDOR_DIR)
    api = Router("/api/v1", route_handlers=[handler for part in API for handler in part.HANDLERS])

    def of_request(scope: Scope) -> Parts:
        return replace(parts, settings=settings, reload=read_settings, caller=scope["auth"])

    def read_settings() -> Settings:
        nonlocal settings
        if reload is not None:
            settings = reload()
            shell.show(app, settings)
        return settings

    app = Litestar(
        route_handlers=[
            api,
            system.healthz,
            *authority.HANDLERS,
            *metrics.HANDLERS,
            assets.handler(),
            *login.handlers(login.Door()),
            *setup.handlers(Throttle()),
            *passwords.HANDLERS,
            *imports.handlers(Uploads()),
            *(handler for part in PAGES for handler in part.HANDLERS),
        ],
        dependencies={"parts": Provide(of_request, sync_to_thread=False)},
        middleware=[Guard(doors or Doors()), Gate(parts, read_settings)],
        before_send=[add_headers],
        exception_handlers=PROBLEMS,
        template_config=TemplateConfig(directory=WEB_DIR / "templates", engine=JinjaTemplateEngine),
        openapi_config=OpenAPIConfig(
            title="depotbox", version=__version__, path="/api/schema", render_plugins=[Description()]
        ),
        lifespan=[_listening(parts), shell.templates(parts, assets)],
        request_max_body_size=MAX_BODY_BYTES,
        compression_config=COMPRESSED,
        logging_config=None,  # each role sets up logging itself, once
    )
    return app


def _listening(parts: Parts) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(parts.hub.run(), name="hub"), asyncio.create_task(_end_streams(parts))]
        try:
            yield
        finally:
            parts.hub.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    return lifespan


async def _end_streams(parts: Parts) -> None:
    """Ends the live streams whose session or token is over: a page looks at who asks only when it is asked."""
    while True:
        await asyncio.sleep(WATCH_S)
        if keys := parts.hub.keys():
            with suppress(sqlite3.Error, DepotError):  # asked again at once
                parts.hub.end(await sync_to_thread(_ended, parts, keys))


def _ended(parts: Parts, keys: set[str]) -> set[str]:
    with parts.db() as db:
        return access.ended(db, keys, parts.instant())
