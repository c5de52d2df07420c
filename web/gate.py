"""Who may pass: finds out who asks, and holds that against the table of permissions.

A person is known by the cookie of a session, a program by `Authorization: Bearer`. Whoever is not known is sent to the
login page, or gets 401 where no person looks at the answer; who may not gets 403. A change that a session asks for must
carry the session's own token, in the header `X-CSRF-Token` or the form field `csrf`, which no other site can know.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from litestar import Request
from litestar.concurrency import sync_to_thread
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from appliance import access, setup
from appliance.access import Caller
from appliance.domain.access import Permission
from appliance.errors import Unavailable
from web.parts import Parts
from web.permissions import HANDLERS, READS, Need
from web.problems import wants_page
from web.security import SAFE_METHODS

COOKIE, SECURE_COOKIE = "depot", "__Host-depot"
"""The session's cookie over HTTP, which is on this machine only, and over HTTPS."""
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf"
LAST_ROW = 2**63 - 1
"""SQLite counts no further."""
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Gate(ASGIMiddleware):
    """Lets through whom the table lets through. What follows finds the caller as `scope["auth"]`."""

    scopes = (ScopeType.HTTP, ScopeType.ASGI)

    def __init__(self, parts: Parts, on_set_up: Callable[[], object], table: Mapping[str, Need] = HANDLERS) -> None:
        """`on_set_up` is called once, when the box is found to be set up."""
        self._parts = parts
        self._on_set_up = on_set_up
        self._table = table
        self._is_set_up = False

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        need = self._table.get(scope["route_handler"].handler_name)
        scope["auth"] = None
        free = need == "always" or (need == "metrics" and on_this_machine(scope))
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        if not free and not await self._set_up():
            if not wants_page(request):
                raise Unavailable("the box is not set up yet", hint="a browser shows how")
            await ASGIResponse(status_code=303, headers={"Location": "/setup"})(scope, receive, send)
            return
        if not free and need != "anyone":
            caller = await sync_to_thread(self._caller, request.headers, session_token(request))
            if caller is None:
                await _ask_to_log_in(request)(scope, receive, send)
                return
            scope["auth"] = caller
            await _check(caller, need, request)
        path: dict[str, Any] = scope["path_params"]  # what Litestar calls texts is what it made of them
        if any(isinstance(given, int) and given > LAST_ROW for given in path.values()):
            raise HTTPException("nothing has such a number", status_code=HTTPStatus.NOT_FOUND)
        await next_app(scope, receive, send)

    async def _set_up(self) -> bool:
        """Whether there is an administrator. Once there is one, there always is."""
        if not self._is_set_up:
            self._is_set_up = await sync_to_thread(self._has_administrator)
            if self._is_set_up:
                self._on_set_up()
        return self._is_set_up

    def _has_administrator(self) -> bool:
        with self._parts.db() as db:
            return setup.is_set_up(db)

    def _caller(self, headers: Headers, session: str | None) -> Caller | None:
        """A token that is sent must count: who sends a wrong one is nobody, whatever cookie comes with it."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" and not session:
            return None
        with self._parts.db() as db:
            if scheme.lower() == "bearer":
                return access.of_token(db, token.strip(), self._parts.now())
            return access.of_session(db, session or "", self._parts.instant())


def session_token(request: Request[Any, Any, Any]) -> str | None:
    """What the browser sent as its session. Over HTTPS only the cookie that no other site and no HTTP can have set."""
    return request.cookies.get(SECURE_COOKIE if request.scope.get("scheme") == "https" else COOKIE)


def on_this_machine(scope: Scope) -> bool:
    """Whether the request comes over loopback."""
    try:
        return ipaddress.ip_address((scope.get("client") or ("", 0))[0]).is_loopback
    except ValueError:
        return False


def local_path(path: str | None) -> str:
    """A place on this site to go on to, `/` for anything that might be another site."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\", "/login")) or not path.isprintable():
        return "/"
    found = urlsplit(path)
    return path if not found.scheme and not found.netloc and "\\" not in path else "/"


async def _check(caller: Caller, need: Need | None, request: Request[Any, Any, Any]) -> None:
    """Raises HTTPException (403) where the caller may not have that."""
    user = caller.user
    safe = request.method in SAFE_METHODS
    reads = safe or request.route_handler.handler_name in READS
    if need is None:
        raise HTTPException("nobody may have this", status_code=403)
    if need == "own":
        allowed = not user.token
    else:
        permission = need if isinstance(need, Permission) else Permission.view
        allowed = user.may(permission) and (reads or user.may_change())
    if not allowed:
        raise HTTPException(f"{_named(caller)} may not do this", status_code=403)
    if not safe and caller.csrf and not await _carries(request, caller.csrf):
        raise HTTPException("the page is out of date; load it again", status_code=403)


def _named(caller: Caller) -> str:
    user = caller.user
    return f"a token of scope {user.scope} of a {user.role}" if user.scope else f"a {user.role}"


async def _carries(request: Request[Any, Any, Any], csrf: str) -> bool:
    sent = request.headers.get(CSRF_HEADER)
    if sent is None and request.content_type[0] in _FORMS:
        sent = str((await request.form()).get(CSRF_FIELD, ""))
    return hmac.compare_digest((sent or "").encode(), csrf.encode())


def _ask_to_log_in(request: Request[Any, Any, Any]) -> ASGIResponse:
    """The way to the login page for a person, 401 for a program."""
    if request.headers.get("hx-request") == "true":
        shown = urlsplit(request.headers.get("hx-current-url", ""))
        place = login_url(f"{shown.path}?{shown.query}" if shown.query else shown.path)
        return ASGIResponse(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": place})
    if request.method in SAFE_METHODS and wants_page(request):
        query = request.scope["query_string"].decode("latin-1")
        place = login_url(f"{request.url.path}?{query}" if query else request.url.path)
        return ASGIResponse(status_code=HTTPStatus.SEE_OTHER, headers={"Location": place})
    raise HTTPException(
        "log in, or send `Authorization: Bearer` with a token that counts",
        status_code=HTTPStatus.UNAUTHORIZED,
        headers={"WWW-Authenticate": 'Bearer realm="depotbox"'},
    )


def login_url(path: str) -> str:
    """The login page, which goes on to `path`."""
    place = local_path(path)
    return "/login" if place == "/" else f"/login?next={quote(place, safe='/')}"
