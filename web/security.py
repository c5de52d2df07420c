"""What every request must bring and every answer carries, whoever asks; who may do what is the gate's (`web/gate.py`).

A foreign site can make a browser speak to the box: by a name that it lets resolve to the box's address (so the Host
header must be a name of the box), or by a form (so Origin must match). There is no Strict-Transport-Security: with it a
browser that does not know the box's own authority, or met another certificate before, would let nobody in.
"""

from __future__ import annotations

from http import HTTPStatus

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from web.doors import Doors

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
IN_THE_CLEAR = frozenset({"healthz", "ca_certificate", "ca_page", "asset", "favicon"})
"""Handlers that answer over HTTP from elsewhere, too: what is public, and needed before HTTPS can be trusted."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; worker-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard(ASGIMiddleware):
    """Refuses a Host that is not this machine (421), leads to HTTPS what would cross the network in the clear, and
    refuses a foreign Origin on a method that changes something (403)."""

    scopes = (ScopeType.HTTP, ScopeType.ASGI)

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        headers = Headers.from_scope(scope)
        host, safe = headers.get("host", ""), scope.get("method") in SAFE_METHODS
        if not self._doors.fits(scope, host):
            answers_to = "its own names" if self._doors.tls_port else "localhost"
            raise HTTPException(f"this server answers to {answers_to} only", status_code=421)
        if self._doors.leads_on(scope, host) and scope["route_handler"].handler_name not in IN_THE_CLEAR:
            if not safe or "authorization" in headers:
                raise HTTPException("this goes over HTTPS only", status_code=403)
            place = {"Location": self._doors.https(scope, host)}
            await ASGIResponse(status_code=HTTPStatus.TEMPORARY_REDIRECT, headers=place)(scope, receive, send)
            return
        if not safe and not _same_site(headers, str(scope.get("scheme", "http")), host):
            raise HTTPException("the request comes from another site", status_code=403)
        await next_app(scope, receive, send)


async def add_headers(message: Message, scope: Scope) -> None:
    """Puts the security headers on every answer, and `no-store` on all that does not say how it may be cached."""
    if message["type"] != "http.response.start":
        return
    headers = MutableScopeHeaders.from_message(message)
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-store")


def _same_site(headers: Headers, scheme: str, host: str) -> bool:
    """A browser always sends Origin with an unsafe method; a program on this machine sends none."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
    return origin == f"{scheme}://{host}"
