"""`/system/log`: the last lines of the box's log, by role and level."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from litestar import get
from litestar.response import Template

from appliance import roles
from appliance.supervisor.report import measure
from web.api.diagnosis import LEVELS, LeastLevel, OfRole, lines
from web.pages import sections
from web.parts import Given, Parts

SHOWN = 200
_HEAD = ("timestamp", "role", "level", "event", "logger")


@get("/system/log", sync_to_thread=True, include_in_schema=False)
def log_page(parts: Given, of_role: OfRole = "", least: LeastLevel = "info") -> Template:
    found = [_line(parts, event) for event in lines(parts, of_role, least, SHOWN)]
    demo = any(role.name == "demo" for role in measure(parts.settings.paths).roles)
    return sections.page(
        parts,
        "system_log.html",
        here="/system/log",
        lines=found,
        shown=SHOWN,
        role=of_role,
        level=least,
        roles=["supervisor", *(role.name for role in roles.table(demo=demo))],
        levels=LEVELS[1:],
    )


def _line(parts: Parts, event: dict[str, Any]) -> dict[str, Any]:
    """As the page shows it: the time in the depot's zone, and all further keys as words."""
    said = str(event.get("timestamp", ""))
    try:
        at = datetime.fromisoformat(said).astimezone(parts.settings.zone)
    except ValueError:
        at = None
    more = {key: value for key, value in event.items() if key not in _HEAD and key != "exception"}
    return {
        "at": f"{at:%H:%M:%S}" if at else "",
        "day": f"{at:%d %b}" if at else "",
        "exact": said,
        "role": event.get("role", ""),
        "level": event.get("level", ""),
        "event": event.get("event", ""),
        "more": [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in more.items()],
        "exception": event.get("exception", ""),
    }


HANDLERS: list[Any] = [log_page]
