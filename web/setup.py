"""`/setup`: the first start of a box, on one page; later, with a new code, one more administrator.

Nothing is kept, and nothing that was typed is judged, before the code is right. What was typed stands on the page
again, but for passwords.
"""

from __future__ import annotations

import time
from typing import Annotated, Any
from zoneinfo import available_timezones

from litestar import Request, Response, Router, get, post
from litestar.concurrency import sync_to_thread
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect, Template

from appliance import log, passwords
from appliance import setup as setups
from appliance.config import SECTIONS
from appliance.setup import Administrator, Values
from web.parts import Given, Parts
from web.throttle import Throttle

LONGEST_TEXT = 2000
WHO = "setup"
_log = log.get(__name__)
_FORM = Body(media_type=RequestEncodingType.URL_ENCODED)


def handlers(throttle: Throttle) -> list[Any]:
    """The routes. The throttle slows guesses of the code down, for each address by itself."""

    @get("/", sync_to_thread=True, include_in_schema=False)
    def setup_page(parts: Given) -> Response[Any]:
        first = _open(parts)
        return Redirect("/", status_code=303) if first is None else _page(parts, first, present(parts), {})

    @post("/", status_code=200, include_in_schema=False)
    async def set_up(
        parts: Given, request: Request[Any, Any, Any], data: Annotated[dict[str, str], _FORM]
    ) -> Response[Any]:
        first = await sync_to_thread(_open, parts)
        if first is None:
            return Redirect("/", status_code=303)
        wait_s = throttle.attempt(WHO, request.client.host if request.client else "", time.monotonic())
        if wait_s > 0:
            said = f"too many attempts; try again in {max(1, round(wait_s))} s"
            return _page(parts, first, data, {"code": said}, 429)
        answer, right = await sync_to_thread(_try, parts, first, data)
        if right:
            throttle.succeeded(WHO, request.client.host if request.client else "")
        return answer

    return [Router("/setup", route_handlers=[setup_page, set_up])]


def _open(parts: Parts) -> bool | None:
    """Whether this is the first set-up; None where the page has nothing to do."""
    with parts.db() as db:
        first = not setups.is_set_up(db)
        return first if first or setups.is_open(db) else None


def _try(parts: Parts, first: bool, data: dict[str, str]) -> tuple[Response[Any], bool]:
    """The page that answers, and whether the code was right."""
    typed = {name: text.replace("\r\n", "\n").strip()[:LONGEST_TEXT] for name, text in data.items()}
    code = typed.get("code", "")
    with parts.db() as db:
        if not setups.fits(db, code):
            _log.warning("web.setup_code_wrong")
            return _page(parts, first, typed, {"code": "that is not the code that the box shows"}), False
        new = Administrator(typed.get("email", ""), " ".join(typed.get("name", "").split()), data.get("password", ""))
        values = values_of(parts, typed) if first else {}
        said = setups.check_administrator(new, data.get("again", "")) | setups.complaints(parts.settings, values)
        if said:
            return _page(parts, first, typed, said), True
        if first:
            setups.complete(db, parts.settings, new, values, who=WHO, now=parts.now())
        else:
            setups.add_administrator(db, parts.settings, new, code, who=WHO, now=parts.now())
    _log.info("web.set_up", first=first)
    return Template("setup_done.html", context={"first": first, "email": new.email}), True


def values_of(parts: Parts, typed: dict[str, str]) -> Values:
    """What was typed, as the types that the keys have. A number that is none stays text, and is complained of."""
    fixed = setups.fixed(parts.settings)
    found: Values = {}
    for key in setups.KEYS:
        if key in typed and key not in fixed:
            number = typed[key].isascii() and typed[key].isdigit() and isinstance(_default(key), int)
            found[key] = int(typed[key]) if number else typed[key]
    return found


def present(parts: Parts) -> dict[str, str]:
    """What the fields hold at first: what the configuration says now, secrets left out."""
    found = {}
    for key in setups.KEYS:
        section, _, name = key.partition(".")
        if key != "mail.password":
            found[key] = str(getattr(getattr(parts.settings, section), name))
    return found


def zones() -> list[str]:
    """The time zones that are offered."""
    return sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))


def _default(key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(SECTIONS[section](), name)


def _page(parts: Parts, first: bool, typed: dict[str, str], said: dict[str, str], status: int = 400) -> Template:
    context = {
        "first": first,
        "typed": {name: text for name, text in typed.items() if "password" not in name and name != "again"},
        "said": said,
        "fixed": setups.fixed(parts.settings),
        "zones": zones(),
        "shortest": passwords.SHORTEST,
    }
    return Template("setup.html", context=context, status_code=status if said else 200)
