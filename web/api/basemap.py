"""`/api/v1/map`: the base map that the pages show, and sending or removing one."""

from __future__ import annotations

from typing import Any

from litestar import Request, delete, get, put
from litestar.concurrency import sync_to_thread
from litestar.exceptions import InternalServerException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from msgspec import Struct

from appliance import basemap
from appliance.errors import InputError
from appliance.storage.mbtiles import Kind, Tiles
from web.parts import Given, Parts
from web.problems import Problem

BLOCK_BYTES = 2**20


class TileSource(Struct, frozen=True, kw_only=True):
    """Where the tiles are, in the words of TileJSON (github.com/mapbox/tilejson-spec). `layers`: of a vector map."""

    url: str
    kind: Kind
    name: str
    minzoom: int
    maxzoom: int
    bounds: tuple[float, float, float, float]
    attribution: str
    layers: tuple[str, ...]


class BaseMap(Struct, frozen=True, kw_only=True):
    """`source` is null where the pages show coasts and borders only."""

    source: TileSource | None


@get("/map", sync_to_thread=True, summary="The base map of the pages")
def read_map(parts: Given) -> BaseMap:
    return _shown(parts)


@put(
    "/map",
    status_code=200,
    request_max_body_size=None,
    summary="Send a base map: a body with the bytes of an .mbtiles file, of any size that the disk has room for",
    responses={503: ResponseSpec(Problem, description="No room for it, or another one is on its way in")},
)
async def put_map(parts: Given, request: Request[Any, Any, Any]) -> BaseMap:
    """It is checked before it takes the place of the one that was sent before."""
    with basemap.uploading(parts.settings) as upload:
        upload.announce(request.content_length or 0)
        block = bytearray()
        try:
            async for part in request.stream():
                block += part
                if len(block) >= BLOCK_BYTES:
                    await sync_to_thread(upload.write, bytes(block))
                    block.clear()
        except InternalServerException as error:
            raise InputError("the connection ended before all of it was there", subject="the base map") from error
        await sync_to_thread(upload.write, bytes(block))
        await sync_to_thread(_finish, parts, upload)
    return await sync_to_thread(_shown, parts)


@delete("/map/{name:str}", sync_to_thread=True, summary="Remove a base map")
def delete_map(parts: Given, name: FromPath[str]) -> None:
    """The next one by name counts then, or the outlines of every box."""
    with parts.db() as db:
        basemap.remove(db, parts.settings, name, parts.who, parts.now())


def _shown(parts: Parts) -> BaseMap:
    found = basemap.current(parts.settings.paths.data_dir)
    if found is None or found.tiles is None:
        return BaseMap(source=None)
    said = found.tiles
    return BaseMap(
        source=TileSource(
            url=f"/tiles/{found.version}/{{z}}/{{x}}/{{y}}",
            kind=said.kind,
            name=said.name,
            minzoom=said.minzoom,
            maxzoom=said.maxzoom,
            bounds=said.bounds,
            attribution=said.attribution,
            layers=said.layers,
        )
    )


def _finish(parts: Parts, upload: basemap.Upload) -> Tiles:
    with parts.db() as db:
        return upload.finish(db, parts.who, parts.now())


HANDLERS: list[Any] = [read_map, put_map, delete_map]
