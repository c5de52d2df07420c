"""The parts of the page System: each has an address of its own below `/system`, and a line here."""

from __future__ import annotations

from typing import Any

from litestar.response import Template

from appliance.domain.access import Permission
from web.forms import Form
from web.pages import shell
from web.parts import Parts

SECTIONS: tuple[tuple[str, str, str, Permission], ...] = (
    ("/system", "system", "Overview", Permission.view),
    ("/sync", "uplink", "Central office", Permission.view),
    ("/system/depot", "home", "Depot", Permission.administer),
    ("/system/log", "history", "Log", Permission.administer),
    ("/system/diagnostics", "eye", "Diagnostics", Permission.administer),
    ("/system/backup", "download", "Backup", Permission.administer),
    ("/system/map", "map", "Base map", Permission.administer),
    ("/system/certificate", "lock", "Certificate", Permission.administer),
)  # fmt: skip
"""Address, sign, title, and who sees it, in the order of the page."""


def page(
    parts: Parts, template: str, *, here: str, done: str = "", form: Form | None = None, **context: Any
) -> Template:
    """A whole page of a part; `here` is its address."""
    seen = [(path, sign, title) for path, sign, title, needed in SECTIONS if parts.may(needed)]
    return shell.page(parts, template, here="/system", done=done, form=form, part=here, sections=seen, **context)
