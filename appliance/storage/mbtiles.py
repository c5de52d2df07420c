"""One `.mbtiles` file: a base map as tiles in SQLite (github.com/mapbox/mbtiles-spec, 1.3).

The file comes from outside, so it is opened read-only and immutable, its views may do nothing but read, and no query
runs for long. A file is replaced by another one under its name, never written to while it is in use.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from appliance.errors import InputError

Kind = Literal["raster", "vector"]
Stamp = tuple[int, int, int]

DEEPEST = 22
LARGEST_TILE_BYTES = 8 * 2**20
QUERY_S = 2.0
CHECK_S = 120.0
"""So long the pages of a new file are gone through; what is left of a very large one is not."""
EDGE_LAT = 85.0511
"""Where a map in Mercator's projection ends."""
WORLD = (-180.0, -EDGE_LAT, 180.0, EDGE_LAT)

SMALL_BYTES = 20 * 2**20
"""Up to this size a file need not have an index."""

_TILE = "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?"
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}
_STEPS = 10_000  # of SQLite's machine between two looks at the clock
_COLUMNS = {"metadata": {"name", "value"}, "tiles": {"zoom_level", "tile_column", "tile_row", "tile_data"}}


class Tiles(Struct, frozen=True, kw_only=True):
    """What a file says of itself. `bounds`: west, south, east, north in degrees; `layers`: the names of a vector map's
    layers; `attribution` is text of which nothing is markup."""

    name: str
    kind: Kind
    format: str
    minzoom: int
    maxzoom: int
    bounds: tuple[float, float, float, float]
    attribution: str
    layers: tuple[str, ...] = ()


class _Layer(Struct):
    id: str


class _Vector(Struct):
    """The metadata's `json`, as far as it is read."""

    vector_layers: list[_Layer] = []


def stamp(path: Path) -> Stamp:
    """Differs from the last one when another file has taken the place. Raises OSError."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def read(path: Path) -> Tiles:
    """What the file says of itself. Raises InputError where it is no base map, in one line that says why."""
    try:
        found = _read(path, stamp(path))
    except OSError as error:
        raise _bad(path, f"it cannot be read: {error.strerror}") from error
    if isinstance(found, str):
        raise _bad(path, found)
    return found


def tile(path: Path, z: int, x: int, y: int) -> bytes | None:
    """The tile as it is stored, by the numbers that a browser uses (row 0 is in the north); None where there is none.
    Raises sqlite3.Error where the file is damaged there."""
    size = 1 << z
    if not (0 <= z <= DEEPEST and 0 <= x < size and 0 <= y < size):
        return None
    with _reading(path) as conn:
        found = conn.execute(_TILE, (z, x, size - 1 - y)).fetchone()
    return found[0] if found and isinstance(found[0], bytes) else None


def check(path: Path) -> Tiles:
    """`read`, and goes through all pages of the file first: for one that is to be used from now on. Raises
    InputError."""
    try:
        with closing(_open(path)) as conn:
            _limit(conn, CHECK_S)
            damage = str(conn.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        damage = "ok" if _interrupted(error) else str(error)
    except sqlite3.DatabaseError as error:
        damage = str(error)
    if damage != "ok":
        raise _bad(path, f"it is damaged, or no SQLite file: {' '.join(damage.split())}")
    return read(path)


def media_type(data: bytes) -> str:
    """What a tile is, by how it begins."""
    return _picture(data) or "application/vnd.mapbox-vector-tile"


def is_zipped(data: bytes) -> bool:
    """Whether a vector tile is stored compressed, as most are."""
    return data.startswith(b"\x1f\x8b")


def _picture(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


@lru_cache(maxsize=16)  # of a file that is what it was; one that cannot be used is not looked at again either
def _read(path: Path, _stamp: Stamp) -> Tiles | str:
    """What the file says of itself, or what is wrong with it. Raises OSError."""
    path.open("rb").close()
    try:
        with _reading(path) as conn:
            return _described(path, conn)
    except sqlite3.OperationalError as error:
        return "it takes too long to read" if _interrupted(error) else str(error)
    except sqlite3.DatabaseError as error:
        return f"it is damaged, or no SQLite file: {error}"


def _described(path: Path, conn: sqlite3.Connection) -> Tiles | str:
    for table, columns in _COLUMNS.items():
        cursor = conn.execute(f"SELECT * FROM {table} LIMIT 0")
        if missing := columns - {column[0] for column in cursor.description}:
            return f"its table {table} has no {', '.join(sorted(missing))}"
    plan = conn.execute(f"EXPLAIN QUERY PLAN {_TILE}", (0, 0, 0)).fetchall()
    if path.stat().st_size > SMALL_BYTES and any(str(step[3]).startswith("SCAN") for step in plan):
        return "its tiles have no index: each would be searched for in the whole file"
    said = {str(name): str(value) for name, value in conn.execute("SELECT name, value FROM metadata LIMIT 1000")}
    first = conn.execute("SELECT tile_data FROM tiles LIMIT 1").fetchone()
    if first is None or not isinstance(first[0], bytes) or not first[0]:
        return "it holds no tiles"
    picture = _picture(first[0])
    if picture is None and said.get("format") in ("png", "jpg", "jpeg", "webp"):
        return f"its tiles are not {said['format']}, as it says"
    # The tiles themselves count: many a file leaves its zoom levels out, or says png and holds jpg.
    low, high = (conn.execute(f"SELECT {which}(zoom_level) FROM tiles").fetchone()[0] for which in ("min", "max"))
    if not (isinstance(low, int) and isinstance(high, int) and 0 <= low <= high <= DEEPEST):
        return f"its zoom levels are {low} to {high}, expected 0 to {DEEPEST}"
    return Tiles(
        name=_plain(said.get("name", "")) or path.stem,
        kind="raster" if picture else "vector",
        format=picture.partition("/")[2] if picture else "pbf",
        minzoom=low,
        maxzoom=high,
        bounds=_bounds(said.get("bounds", "")),
        attribution=_plain(said.get("attribution", "")),
        layers=() if picture else _layers(said.get("json", "")),
    )


def _bounds(text: str) -> tuple[float, float, float, float]:
    """The whole world, where the bounds are none."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        return WORLD
    south, north = max(south, -EDGE_LAT), min(north, EDGE_LAT)
    fits = all(map(math.isfinite, (west, south, east, north))) and -180 <= west < east <= 180 and south < north
    return (west, south, east, north) if fits else WORLD


def _layers(text: str) -> tuple[str, ...]:
    try:
        found = msgspec.json.decode(text, type=_Vector)
    except (msgspec.DecodeError, RecursionError):
        return ()
    return tuple(layer.id for layer in found.vector_layers)


def _plain(text: str) -> str:
    """Text without its markup: an attribution is often a link, which leads nowhere without the internet."""
    parts, depth = [], 0
    for character in text:
        if character == "<":
            depth += 1
        elif character == ">" and depth:
            depth -= 1
        elif not depth:
            parts.append(character)
    plain = "".join(parts)
    for name, sign in (("&copy;", "©"), ("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        plain = plain.replace(name, sign)
    return " ".join(plain.split())[:200]


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(_open(path)) as conn:
        conn.set_authorizer(_allowed)
        _limit(conn, QUERY_S)
        yield conn


def _open(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    conn = sqlite3.connect(uri, uri=True, check_same_thread=False)
    conn.execute("PRAGMA trusted_schema=OFF")
    conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_TILE_BYTES)
    conn.text_factory = _text
    return conn


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _limit(conn: sqlite3.Connection, seconds: float) -> None:
    end = time.monotonic() + seconds
    conn.set_progress_handler(lambda: time.monotonic() > end, _STEPS)


def _allowed(action: int, *_details: Any) -> int:
    """Views of the file may read; what else a query could do, a recursion without end included, it may not."""
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY


def _interrupted(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT


def _bad(path: Path, why: str) -> InputError:
    return InputError(why, subject=path.name, hint="expected a base map in the MBTiles format")
