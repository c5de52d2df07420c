"""`/system/diagnostics`: the bundle for whoever helps from afar, looked at before it is downloaded."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.response import Template

from web.api.diagnosis import collected, packed
from web.pages import sections
from web.parts import Given


@get("/system/diagnostics", sync_to_thread=True, include_in_schema=False)
def diagnostics_page(parts: Given) -> Template:
    files = [(name, text, len(text.encode())) for name, text in collected(parts).items()]
    return sections.page(parts, "system_diagnostics.html", here="/system/diagnostics", files=files)


@get("/system/diagnostics/file", sync_to_thread=True, include_in_schema=False)
def diagnostics_file(parts: Given) -> Response[bytes]:
    return packed(parts)


HANDLERS: list[Any] = [diagnostics_page, diagnostics_file]
