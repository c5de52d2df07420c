"""Errors of the central office as RFC 9457 documents: to a depot with their `code`."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from appliance import log
from appliance.central.refusals import Refusal
from appliance.errors import Busy, DepotError, Unavailable
from web import problems
from web.problems import PROBLEM_JSON

DEPOTS = "/depot/"
RETRY_AFTER_S = range(5, 30)
"""Not all at the same moment."""

_log = log.get(__name__)


def refused(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
    """Says it to the depot, and into the log why."""
    depot = str(request.path_params.get("depot", ""))[:20]
    tell = _log.info if refusal.code in ("gap", "busy") else _log.warning
    tell(
        "centre.refused",
        depot=depot,
        code=refusal.code,
        detail=refusal.what,
        path=request.scope.get("path_template", ""),
    )
    busy = refusal.code == "busy"
    headers = {"Retry-After": str(random.choice(RETRY_AFTER_S))} if busy else {}  # noqa: S311  # no secret
    body = msgspec.json.encode(refusal.problem())
    return Response(body, status_code=refusal.status, media_type=PROBLEM_JSON, headers=headers)


def from_depot_error(request: Request[Any, Any, Any], error: DepotError) -> Response[Any]:
    if request.url.path.startswith(DEPOTS) and isinstance(error, (Busy, Unavailable)):
        return refused(request, Refusal("busy", str(error)))
    return problems.from_depot(request, error)


def from_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if request.url.path.startswith(DEPOTS) and error.status_code == 413:
        return refused(request, Refusal("too_large", "the body is larger than any batch"))
    return problems.from_http(request, error)


HANDLERS: dict[int | type[Exception], Any] = {
    **problems.HANDLERS,
    Refusal: refused,
    DepotError: from_depot_error,
    HTTPException: from_http,
}
