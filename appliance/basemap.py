"""The base map of the box: an `.mbtiles` file in the data folder, put there by the installer or sent by an
administrator. Without one the pages show the outlines that every box has.

What was sent is `map.mbtiles` and counts before any other; of the others the first by name. One that cannot be used is
passed over, and health says why.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from sqlite_utils import Database

from appliance import atomicfile, disk
from appliance.config import Settings
from appliance.errors import Busy, DiskFull, InputError, NotFound
from appliance.storage import audit, mbtiles
from appliance.storage.db import write_tx
from appliance.storage.mbtiles import Tiles

SENT = "map.mbtiles"
_DRAFT = f".{SENT}.new"
MIB = 2**20


@dataclass(frozen=True, slots=True)
class MapFile:
    """One `.mbtiles` file of the data folder: what it says of itself, or why it cannot be used."""

    path: Path
    size: int
    version: str
    """Another one whenever the file is another one: addresses of tiles carry it, so that browsers may keep them."""
    tiles: Tiles | None
    problem: str = ""


def files(data_dir: Path) -> list[MapFile]:
    """All base maps of the data folder, the one that counts first."""
    found = sorted(data_dir.glob("*.mbtiles"), key=lambda path: (path.name != SENT, path.name))
    return [made for path in found if (made := _look(path))]


def current(data_dir: Path) -> MapFile | None:
    """The base map that the pages show; None where they show the outlines."""
    return next((found for found in files(data_dir) if found.tiles), None)


def problems(data_dir: Path) -> tuple[str, ...]:
    """A line for each file that cannot be used."""
    return tuple(found.problem for found in files(data_dir) if found.problem)


def room_for(settings: Settings) -> int:
    """How many bytes a new base map may have: the disk keeps what health asks for."""
    kept = settings.limits.disk_free_mb * MIB + disk.RESERVE_BYTES
    return max(0, disk.room(settings.paths.data_dir).free - kept)


class Upload:
    """A base map on its way in, beside the one in use. `write` its bytes in order, then `finish`."""

    def __init__(self, settings: Settings, file: IO[bytes]) -> None:
        self._settings = settings
        self._file = file
        self._room = room_for(settings)
        self._size = 0
        self.finished = False

    def announce(self, size: int) -> None:
        """Raises DiskFull where so many bytes will not fit."""
        if size > self._room:
            hint = "delete what the box does not need from it, or choose a smaller area or fewer zoom levels"
            what = f"the base map has {size // MIB} MiB, and the disk has room for {self._room // MIB}"
            raise DiskFull(what, hint=hint)

    def write(self, data: bytes) -> None:
        self._size += len(data)
        self.announce(self._size)
        try:
            self._file.write(data)
        except OSError as error:
            raise DiskFull(f"the base map cannot be written: {error.strerror}") from error

    def finish(self, db: Database, who: str, now: datetime) -> Tiles:
        """Checks the file and puts it in the place of the one that was sent before. Raises InputError where it is no
        base map; then the old one stays."""
        if not self._size:
            raise InputError("nothing was sent", subject="the base map", hint="choose an .mbtiles file")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DiskFull(f"the base map cannot be written: {error.strerror}") from error
        draft = Path(self._file.name)
        try:
            found = mbtiles.check(draft)
        except InputError as error:
            raise InputError(error.what, subject="the file that was sent", hint=error.hint) from error
        with write_tx(db) as tx:
            detail = f"{found.name}, {found.format}, zoom {found.minzoom} to {found.maxzoom}, {self._size} bytes"
            audit.record(tx, who, "map.replaced", "base map", SENT, now, detail)
            draft.replace(self._settings.paths.data_dir / SENT)
            self.finished = True
        atomicfile.sync_folder(self._settings.paths.data_dir)
        return found


@contextmanager
def uploading(settings: Settings) -> Iterator[Upload]:
    """One upload at a time: raises Busy. What is not finished leaves nothing behind; what a crash has left is
    overwritten by the next one, or deleted by `tidy`."""
    path = settings.paths.data_dir / _DRAFT
    with open(path, "ab", opener=_private) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy("another base map is on its way in", hint="try again when it is there") from None
        if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            raise Busy("another base map has just come in", hint="try again")
        file.truncate(0)
        upload = Upload(settings, file)
        try:
            yield upload
        finally:
            if not upload.finished:
                path.unlink(missing_ok=True)


def tidy(settings: Settings) -> None:
    """Deletes what an upload has left that a crash ended."""
    (settings.paths.data_dir / _DRAFT).unlink(missing_ok=True)


def remove(db: Database, settings: Settings, name: str, who: str, now: datetime) -> None:
    """Deletes a base map. The next one by name counts then, or the outlines. Raises NotFound."""
    found = next((each for each in files(settings.paths.data_dir) if each.path.name == name), None)
    if found is None:
        raise NotFound("no such base map", subject=name)
    with write_tx(db) as tx:
        audit.record(tx, who, "map.removed", "base map", name, now, f"{found.size} bytes")
        found.path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _look(path: Path) -> MapFile | None:
    """None where it has gone meanwhile."""
    try:
        stamp = mbtiles.stamp(path)
        version = hashlib.sha256(repr((path.name, stamp)).encode()).hexdigest()[:12]
        return MapFile(path, stamp[2], version, mbtiles.read(path))
    except FileNotFoundError:
        return None
    except InputError as error:
        return MapFile(path, stamp[2], version, None, f"{error.subject}: {error.what}")
