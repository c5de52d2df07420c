"""The web application of the central office."""

from __future__ import annotations

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from appliance import __version__
from web.central import api, depots, health
from web.central.crowd import Crowd
from web.central.parts import Centre
from web.central.problems import HANDLERS as PROBLEMS

MAX_BODY_BYTES = 1024 * 1024
"""More than any batch: the longest text of one, should it not let itself be compressed at all."""

PARTS = (depots, health, api)


def create_app(centre: Centre) -> Litestar:
    """The application over one database, which is migrated already."""
    return Litestar(
        route_handlers=[handler for part in PARTS for handler in part.HANDLERS],
        state=State({"centre": centre}),
        dependencies={"centre": Provide(lambda: centre, sync_to_thread=False)},
        middleware=[Crowd()],
        exception_handlers=PROBLEMS,
        openapi_config=OpenAPIConfig(
            title="depotbox central", version=__version__, path="/api/schema", render_plugins=[JsonRenderPlugin()]
        ),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,  # whoever starts it sets up logging, once
    )
