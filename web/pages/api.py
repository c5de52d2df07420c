"""`/help/api`: the description of the API to browse and to try, without the internet."""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.response import Template

from web.pages import shell
from web.parts import Given


@get("/help/api", sync_to_thread=True, include_in_schema=False)
def api_page(parts: Given) -> Template:
    return shell.page(parts, "api_page.html", here="/help")


HANDLERS: list[Any] = [api_page]
