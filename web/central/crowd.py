"""How many depots are answered at a time: when they all send their night at once, some are asked to come later, so that
those that are in are answered soon and the memory stays."""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from appliance.central.refusals import Refusal
from web.central.problems import DEPOTS

MOST = 200


class Crowd(ASGIMiddleware):
    """Before anything of the body is read."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._inside = 0

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if not scope["path"].startswith(DEPOTS):
            await next_app(scope, receive, send)
            return
        if self._inside >= self._most:
            raise Refusal("busy", "too many depots at a time")
        self._inside += 1
        try:
            await next_app(scope, receive, send)
        finally:
            self._inside -= 1
