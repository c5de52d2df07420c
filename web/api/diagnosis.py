"""`/api/v1/system/log` and `/api/v1/system/diagnostics`: what an administrator looks at when something is not well."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Response, get
from litestar.params import QueryParameter

from appliance import log_file, redaction
from appliance.supervisor import diagnostics
from web.api.answers import Page
from web.parts import Given, Parts

LEVELS = ("debug", "info", "warning", "error", "critical")
MOST = 1000

Level = Literal["debug", "info", "warning", "error", "critical"]
LeastLevel = Annotated[Level, QueryParameter(name="level", description="this level and worse")]
OfRole = Annotated[str, QueryParameter(name="role", max_length=40, description="empty: all roles")]
Lines = Annotated[int, QueryParameter(name="limit", ge=1, le=MOST)]


@get("/system/log", sync_to_thread=True, summary="The last lines of the box's log, the newest first")
def read_log(parts: Given, of_role: OfRole = "", least: LeastLevel = "info", limit: Lines = 200) -> Page[Any]:
    found = lines(parts, of_role, least, limit)
    return Page(found, len(found))


@get("/system/diagnostics", sync_to_thread=True, summary="The files of the diagnostics bundle, to look at")
def get_diagnostics(parts: Given) -> dict[str, str]:
    return collected(parts)


@get(
    "/system/diagnostics/bundle",
    sync_to_thread=True,
    media_type="application/gzip",
    summary="The diagnostics bundle as .tar.gz",
)
def diagnostics_bundle(parts: Given) -> Response[bytes]:
    return packed(parts)


def lines(parts: Parts, role: str, least: str, limit: int) -> list[dict[str, Any]]:
    """Without people and secrets. A line that is no event of the box's own has no level, and counts as `info`."""
    levels = LEVELS[LEVELS.index(least) :]

    def wanted(event: dict[str, Any]) -> bool:
        return event.get("level", "info") in levels and (not role or event.get("role") == role)

    with parts.db() as db:
        clean = redaction.of_box(parts.settings, db)
    return [clean.line(event) for event in log_file.newest(parts.settings.paths.log_dir, wanted, limit)]


def collected(parts: Parts) -> dict[str, str]:
    with parts.db() as db:
        redis = parts.positions.redis_answers()
        return diagnostics.collect(parts.settings, db, redis=redis, now=parts.now())


def packed(parts: Parts) -> Response[bytes]:
    name = diagnostics.file_name(parts.now())
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(diagnostics.bundle(collected(parts), parts.now()), media_type="application/gzip", headers=headers)


HANDLERS: list[Any] = [read_log, get_diagnostics, diagnostics_bundle]
