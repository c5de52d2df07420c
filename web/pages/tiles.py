"""`/tiles`: the base map's tiles, and `/system/map`: sending and removing one."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Template

from appliance import basemap, log
from appliance.errors import DepotError
from appliance.storage import mbtiles
from web.forms import Form, refused
from web.pages import sections
from web.parts import Given, Parts

FOR_EVER = "private, max-age=31536000, immutable"
NOTHING_THERE = 204

Fields = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]

_log = log.get(__name__)


@get("/tiles/{version:str}/{z:int}/{x:int}/{y:int}", sync_to_thread=True, include_in_schema=False)
def map_tile(
    parts: Given, version: FromPath[str], z: FromPath[int], x: FromPath[int], y: FromPath[int]
) -> Response[Any]:
    """One tile; nothing (204) where the map has none, and where another map has taken its place: a page that still
    shows the old one shows outlines there."""
    found = basemap.current(parts.settings.paths.data_dir)
    if found is None or found.version != version:
        return Response(None, status_code=NOTHING_THERE)
    try:
        data = mbtiles.tile(found.path, z, x, y)
    except sqlite3.Error as error:
        _log.warning("map.tile_unreadable", file=found.path.name, zoom=z, error=str(error))
        data = None
    headers = {"Cache-Control": FOR_EVER}
    if data is None:
        return Response(None, status_code=NOTHING_THERE, headers=headers)
    if mbtiles.is_zipped(data):
        headers["Content-Encoding"] = "gzip"
    return Response(data, media_type=mbtiles.media_type(data), headers=headers)


@get("/system/map", sync_to_thread=True, include_in_schema=False)
def map_page(parts: Given, sent: FromQuery[bool] = False) -> Template:
    """`sent`: a base map has just come in."""
    found = basemap.current(parts.settings.paths.data_dir) if sent else None
    return _page(parts, done=f"{found.tiles.name} is the base map now." if found and found.tiles else "")


@post("/system/map/remove", sync_to_thread=True, status_code=200, include_in_schema=False)
def map_remove(parts: Given, data: Fields) -> Template:
    name = data.get("name", "")
    try:
        with parts.db() as db:
            basemap.remove(db, parts.settings, name, parts.who, parts.now())
    except DepotError as error:
        return _page(parts, form=refused("remove", {}, error))
    return _page(parts, done=f"{name} is removed.")


def _page(parts: Parts, *, done: str = "", form: Form | None = None) -> Template:
    folder = parts.settings.paths.data_dir
    found = basemap.files(folder)
    return sections.page(
        parts,
        "map_files.html",
        here="/system/map",
        done=done,
        form=form,
        files=found,
        used=next((each.path.name for each in found if each.tiles), None),
        sent=basemap.SENT,
        room=basemap.room_for(parts.settings),
    )


HANDLERS: list[Any] = [map_tile, map_page, map_remove]
