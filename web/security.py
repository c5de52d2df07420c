"""What every request must bring and every answer carries, whoever asks; who may do what is the gate's (`web/gate.py`).

The server listens on loopback only. A foreign site can still make a browser on this machine speak to it: by a name
that it lets resolve to 127.0.0.1 (so the Host header must be a loopback name), or by a form (so Origin must match).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"127.0.0.1", "::1", "localhost"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

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
    """Refuses a Host that is not this machine (421), and a foreign Origin on a method that changes something (403)."""

    scopes = (ScopeType.HTTP, ScopeType.ASGI)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        headers = Headers.from_scope(scope)
        host = headers.get("host", "")
        if _name(host) not in LOOPBACK_NAMES:
            raise HTTPException("this server answers to localhost only", status_code=421)
        if scope.get("method") not in SAFE_METHODS and not _same_site(headers, str(scope.get("scheme", "http")), host):
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


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same_site(headers: Headers, scheme: str, host: str) -> bool:
    """A browser always sends Origin with an unsafe method; a program on this machine sends none."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
    return origin == f"{scheme}://{host}"
