"""Small real `.mbtiles` files: invented pictures, and invented vector tiles in the OpenMapTiles schema."""

from __future__ import annotations

import gzip
import json
import math
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

LIVERPOOL = (-3.05, 53.35, -2.80, 53.50)
Geometry = list[list[tuple[int, int]]]
Feature = tuple[int, Geometry, dict[str, str]]
"""1 points, 2 lines, 3 areas; coordinates 0..4096; and what is said of it."""


def png(red: int, green: int, blue: int, size: int = 64) -> bytes:
    """A picture of one colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + bytes((red, green, blue)) * size) * size
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write(
    path: Path,
    tile: Callable[[int, int, int], bytes | None],
    *,
    zooms: Iterable[int] = range(15),
    bounds: tuple[float, float, float, float] = LIVERPOOL,
    **metadata: str,
) -> Path:
    """A file with the tiles that cover the bounds. `tile(z, x, y)` has its row 0 in the north; None for no tile."""
    west, south, east, north = bounds
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        conn.execute("CREATE TABLE tiles (zoom_level INT, tile_column INT, tile_row INT, tile_data BLOB)")
        conn.execute("CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row)")
        for z in zooms:
            (left, top), (right, bottom) = number(north, west, z), number(south, east, z)
            for x in range(left, right + 1):
                for y in range(top, bottom + 1):
                    if data := tile(z, x, y):
                        conn.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (z, x, (1 << z) - 1 - y, data))
        said = {"name": "Invented", "bounds": ",".join(map(str, bounds)), **metadata}
        conn.executemany("INSERT INTO metadata VALUES (?, ?)", said.items())
    return path


def pictures(path: Path, **more: str) -> Path:
    """A colour for each tile, so that one can be told from the next."""
    said = {"format": "png", "attribution": '<a href="https://maps.example">&copy; Invented</a>', **more}
    return write(path, lambda z, x, y: png(200 + z, 235 - x % 40, 200 + y % 50), **said)


def streets(path: Path, *, zipped: bool = True) -> Path:
    """A grid of streets with a river, a park and names."""
    layers = ("water", "landcover", "transportation", "transportation_name", "place", "building")
    said = {"vector_layers": [{"id": name, "fields": {}} for name in layers]}

    def tile(z: int, x: int, y: int) -> bytes:
        data = mvt(
            {
                "landcover": [(3, [[(200, 200), (1500, 200), (1500, 1300), (200, 1300)]], {"class": "wood"})],
                "water": [(3, [[(0, 3300), (4096, 2900), (4096, 3300), (0, 3700)]], {"class": "river"})],
                "transportation": [
                    (2, [[(0, 2048), (4096, 2048)]], {"class": "primary"}),
                    (2, [[(2700, 0), (2700, 4096)]], {"class": "motorway"}),
                    *((2, [[(at, 0), (at, 2700)]], {"class": "minor"}) for at in range(300, 2700, 400)),
                ],
                "transportation_name": [
                    (2, [[(0, 2048), (4096, 2048)]], {"name": "Invented Road", "class": "primary"})
                ],
                "building": [(3, [[(1700, 400), (1950, 400), (1950, 650), (1700, 650)]], {"class": "x"})],
                "place": [(1, [[(1000, 2600)]], {"name": f"Place {x % 10}{y % 10}", "class": "suburb"})],
            }
        )
        return gzip.compress(data, mtime=0) if zipped else data

    return write(path, tile, format="pbf", attribution="© Invented", json=json.dumps(said))


def number(lat: float, lon: float, z: int) -> tuple[int, int]:
    """Column and row of the tile with that place; row 0 is in the north."""
    size = 1 << z
    north = math.asinh(math.tan(math.radians(lat)))
    return int((lon + 180) / 360 * size), int((1 - north / math.pi) / 2 * size)


def mvt(layers: dict[str, list[Feature]]) -> bytes:
    """A Mapbox Vector Tile, version 2 (github.com/mapbox/vector-tile-spec)."""
    return b"".join(_field(3, _layer(name, features)) for name, features in layers.items())


def _layer(name: str, features: list[Feature]) -> bytes:
    keys = sorted({key for _, _, said in features for key in said})
    values = sorted({value for _, _, said in features for value in said.values()})
    made = [_field(1, name.encode())]
    for kind, parts, said in features:
        tags = b"".join(_varint(keys.index(key)) + _varint(values.index(value)) for key, value in said.items())
        made.append(_field(2, _field(2, tags) + b"\x18" + _varint(kind) + _field(4, _geometry(kind, parts))))
    made += [_field(3, key.encode()) for key in keys]
    made += [_field(4, _field(1, value.encode())) for value in values]
    return b"".join(made) + b"\x28" + _varint(4096) + b"\x78" + _varint(2)


def _geometry(kind: int, parts: Geometry) -> bytes:
    found, here = b"", (0, 0)
    for part in parts:
        for index, place in enumerate(part):
            if index < 2:
                found += _varint((1 if index == 0 else 2) | (1 if index == 0 else len(part) - 1) << 3)
            for axis in (0, 1):
                step = place[axis] - here[axis]
                found += _varint(step << 1 if step >= 0 else -step * 2 - 1)
            here = place
        if kind == 3:
            found += _varint(7 | 1 << 3)
    return found


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))
