"""What `/api/schema/openapi.json` says of errors: any request may be answered by a problem document (RFC 9457).

Litestar describes the answers of a handler; that the errors are all of one kind only `web/problems.py` knows.
"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin
from msgspec.json import schema_components

from web.problems import PROBLEM_JSON, Problem

_, _COMPONENTS = schema_components([Problem], ref_template="#/components/schemas/{name}")
_CONTENT = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ANY = {"description": "What went wrong: a problem document", "content": _CONTENT}


class Description(JsonRenderPlugin):
    """The description as JSON, with the errors of each operation."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, with_problems(openapi_schema))


def with_problems(described: dict[str, Any]) -> dict[str, Any]:
    """The same description, in which each error is a problem document and any operation may answer with one; the
    operations are grouped by the thing they are about, the first word of their path."""
    paths = {
        path: {verb: _operation(path, found) for verb, found in operations.items()}
        for path, operations in described["paths"].items()
    }
    components = described.get("components", {})
    schemas = components.get("schemas", {}) | _COMPONENTS
    return described | {"paths": paths, "components": components | {"schemas": schemas}}


def _operation(path: str, found: dict[str, Any]) -> dict[str, Any]:
    answers = {
        status: answer | {"content": _CONTENT} if status.startswith(("4", "5")) else answer
        for status, answer in found["responses"].items()
        if status != "400"  # Litestar's own guess at its errors
    }
    thing = path.removeprefix("/api/v1").split("/")[1]
    return found | {"tags": [thing], "responses": answers | {"default": _ANY}}
