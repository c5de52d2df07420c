"""Errors as RFC 9457 problem documents: the one place where the core's errors become HTTP answers.

An error nobody foresaw is logged with its traceback and answered without any detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from traceback import walk_tb
from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from litestar.serialization import decode_json

from appliance import errors, log

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 2

STATUS: Mapping[type[errors.DepotError], HTTPStatus] = {
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.InputError: HTTPStatus.BAD_REQUEST,
    errors.Refused: HTTPStatus.CONFLICT,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Transient: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ConfigError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Permanent: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_log = log.get(__name__)


class Problem(msgspec.Struct, frozen=True):
    """The body of every error. `type` is `about:blank`: the status says all that a program needs."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"


def from_depot(request: Request[Any, Any, Any], error: errors.DepotError) -> Response[Any]:
    """An error that the core foresaw: its line, with the status that says who can act."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return unforeseen(request, error)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return answer(request, status, str(error), headers)


def from_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """An error of the HTTP layer: unknown path, wrong method, a body or parameter that does not fit."""
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return unforeseen(request, error)
    status = HTTPStatus(error.status_code)
    return answer(request, status, _fields(request, error) or error.detail or status.phrase, dict(error.headers or {}))


def too_large(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A number, a date or a nesting beyond what can be read. Beyond what our own code can work with it is a mistake of
    ours, however it came there: a bad row must not be told to whoever looks at it as their mistake."""
    if not any(frame.f_code is decode_json.__code__ for frame, _line in walk_tb(error.__traceback__)):
        return unforeseen(request, error)
    return answer(request, HTTPStatus.BAD_REQUEST, "a number, a date or a nesting is beyond what can be")


def unforeseen(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A mistake of ours: the traceback goes into the log, nothing of it to the client."""
    _log.error("web.unexpected", method=request.method, route=_route(request), exc_info=error)
    return answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "the box made a mistake; its log has the details")


def answer(
    request: Request[Any, Any, Any], status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
) -> Response[Any]:
    """A problem document, or a small page where a person asked for one."""
    if wants_page(request) and request.app.template_engine:
        page: str = request.app.template_engine.get_template("problem.html").render(
            status=status.value, title=status.phrase, detail=detail
        )
        return Response(page, status_code=status, media_type=MediaType.HTML, headers=headers)
    problem = Problem(title=status.phrase, status=status.value, detail=detail)
    return Response(msgspec.json.encode(problem), status_code=status, media_type=PROBLEM_JSON, headers=headers)


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether a person will look at the answer."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def _fields(request: Request[Any, Any, Any], error: HTTPException) -> str:
    """Litestar's list of what does not fit, as one line that names each field."""
    found: list[str] = []
    for item in error.extra if isinstance(error.extra, list) else []:
        if isinstance(item, dict) and "message" in item:
            key, message = str(item.get("key") or ""), str(item["message"])
            if (key, message) == ("data", "'data'"):  # a KeyError of Litestar's: there is none
                key, message = "", "expected a body, a JSON object"
            found.append(f"{_outside(request, key)}: {message}" if key else message)
    return "; ".join(found)


def _outside(request: Request[Any, Any, Any], key: str) -> str:
    """The name by which a client knows a parameter: `state`, where the function has it as `with_state`."""
    parameter = request.route_handler.parsed_fn_signature.parameters.get(key)
    definition = parameter.kwarg_definition if parameter else None
    return getattr(definition, "name", None) or key


def _route(request: Request[Any, Any, Any]) -> str:
    """The template of the path, not the path: ids are enough, and a path might carry what somebody typed."""
    return str(request.scope.get("path_template", ""))


HANDLERS: dict[int | type[Exception], Any] = {
    errors.DepotError: from_depot,
    HTTPException: from_http,
    OverflowError: too_large,
    RecursionError: too_large,
    Exception: unforeseen,
}
