"""Backup and restore of all that a box cannot make again: its databases, its keys, what was entered, its mails.

A backup is one `.tar.gz`: consistent copies, then `manifest.json` with the size and SHA-256 of each. It holds patients
and keys in the clear, as the data folder does, and must be kept like it. Restoring has two steps, so that a power cut
between them harms nothing: `stage` checks the backup and lays it out beside the data, `finish` moves it into place.
What was there before is kept in a folder of its own.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from appliance import __version__, atomicfile, disk
from appliance.config import Settings
from appliance.errors import ConfigError, InputError, Refused, Unavailable
from appliance.paths import Paths
from appliance.storage import audit, copies, identity
from appliance.storage.db import open_depot, write_tx
from appliance.storage.gps_days import listed
from appliance.storage.gps_days import path as day_file
from appliance.storage.migrations import migrate

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "depot.db"
PLACES = ("depot.db-wal", "depot.db-shm", "depot.toml", "gps", "secrets", "outbox", DATABASE)
"""What a restore replaces in the data folder, the database last."""
HANDED_OUT, LEFT_S = ".handed-out-", 3600.0
SPARE_BYTES = 64 * 1024 * 1024

_MEMBER = re.compile(r"depot\.db|depot\.toml|gps/\d{4}-\d\d-\d\d\.db|(secrets|outbox)/[\w.@+-]{1,200}")
_BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, msgspec.DecodeError)
_CHUNK = 1024 * 1024


class Kept(Struct, frozen=True):
    """A file in the backup."""

    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """`left_out`: day files of fixes that are damaged, and were not taken."""

    format: int
    made_at: datetime
    version: str
    depot: str
    epoch: int
    series: str
    files: dict[str, Kept]
    left_out: list[str]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files.values())


class Marker(Struct, frozen=True):
    """A restore that is staged: the folders below the data folder."""

    staged: str
    kept: str


def create(settings: Settings, target: Path, now: datetime) -> Manifest:
    """Writes a backup of the box, which may run meanwhile, and reads it again before it appears under its name. Raises
    a DepotError, and then there is no file."""
    paths = settings.paths
    try:
        if target.is_dir():
            raise InputError("expected the name of a file", subject=str(target))
        _check_room(paths, target.absolute().parent)
        with (
            tempfile.TemporaryDirectory(dir=paths.data_dir, prefix=".backup-") as folder,
            atomicfile.writing(target) as file,
        ):
            made = _pack(settings, Path(folder), file, now)
            file.flush()
            file.seek(0)
            if _read(file) != made:
                raise Unavailable("what was written is not what was read again", subject=str(target))
    except sqlite3.Error as error:
        raise Unavailable(f"the database cannot be copied: {error}", subject=str(paths.depot_db)) from error
    except OSError as error:
        raise Unavailable(f"cannot be written: {error.strerror}", subject=str(target)) from error
    return made


def as_json(manifest: Manifest) -> str:
    return msgspec.json.encode(manifest).decode()


def file_name(settings: Settings, now: datetime) -> str:
    return f"depotbox-{settings.depot.code}-{now:%Y%m%d-%H%M%S}.tar.gz"


def to_hand_out(who: str, settings: Settings, now: datetime) -> Path:
    """A backup in the data folder, for whoever asked on the pages; to be deleted once it was sent. What an earlier
    one left behind that broke off is deleted first."""
    folder = settings.paths.data_dir
    for left in folder.glob(f"{HANDED_OUT}*"):
        if now.timestamp() - left.stat().st_mtime > LEFT_S:
            left.unlink(missing_ok=True)
    target = folder / f"{HANDED_OUT}{os.urandom(8).hex()}.tar.gz"
    made = create(settings, target, now)
    db = open_depot(settings.paths.depot_db)
    try:
        with write_tx(db) as tx:
            detail = f"{len(made.files)} files, {made.bytes} bytes"
            audit.record(tx, who, "backup.downloaded", "box", "", now, detail)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        db.conn.close()
    return target


def check(file: Path) -> Manifest:
    """What is in a backup, once every byte of it was compared with the manifest. Raises InputError."""
    try:
        with file.open("rb") as opened:
            return _read(opened)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", subject=str(file)) from error
    except InputError as error:
        raise InputError(error.what, subject=f"{file}", hint=error.hint) from error


def stage(settings: Settings, file: Path, *, who: str, now: datetime, series: str = "") -> Manifest:
    """Lays a backup out in the data folder, to be moved into place by `finish`. `series`: of the invoices to come,
    where the next one was used by a box that is lost. Raises InputError for a backup that is not whole or too new,
    and Refused where a restore waits already."""
    paths = settings.paths
    if paths.restore_marker.exists():
        raise Refused("a restore waits for the next start already", subject=str(paths.data_dir))
    paths.prepare()
    manifest = check(file)
    if disk.room(paths.data_dir).free < manifest.bytes + SPARE_BYTES:
        raise Unavailable(
            f"not enough room: {manifest.bytes // 2**20 + 64} MiB are needed", subject=str(paths.data_dir)
        )
    staged = Path(tempfile.mkdtemp(dir=paths.data_dir, prefix=".restore-"))
    try:
        _unpack(file, staged, manifest)
        _prepare(paths, staged / DATABASE, who=who, now=now, series=series, made_at=manifest.made_at)
        marker = Marker(staged.name, f"before-restore-{now:%Y%m%d-%H%M%S}-{os.urandom(2).hex()}")
        atomicfile.write(paths.restore_marker, msgspec.json.encode(marker))
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return manifest


def finish(paths: Paths) -> str:
    """Moves what was staged into place, before anything is opened. Goes on where a power cut ended it. Returns the name
    of the folder in which the earlier data are kept; empty where no restore waits."""
    try:
        marker = msgspec.json.decode(paths.restore_marker.read_bytes(), type=Marker)
    except FileNotFoundError:
        return ""
    staged, kept = paths.data_dir / marker.staged, paths.data_dir / marker.kept
    kept.mkdir(mode=0o700, exist_ok=True)
    for name in PLACES:
        new, current = staged / name, paths.data_dir / name
        old = kept / name
        if current.exists() and not old.exists() and (new.exists() or name.startswith(("depot.db-", "depot.toml"))):
            os.replace(current, old)
        if new.exists():
            os.replace(new, current)
    for folder in (staged, kept, paths.data_dir):
        atomicfile.sync_folder(folder)
    shutil.rmtree(staged, ignore_errors=True)
    paths.restore_marker.unlink()
    atomicfile.sync_folder(paths.data_dir)
    return marker.kept


def waits(paths: Paths) -> bool:
    """Whether a restore waits for the next start."""
    return paths.restore_marker.exists()


def _pack(settings: Settings, folder: Path, file: IO[bytes], now: datetime) -> Manifest:
    paths, copied = settings.paths, folder / "copy.db"
    files: dict[str, Kept] = {}
    left_out: list[str] = []
    db = open_depot(paths.depot_db)
    epoch, series = identity.epoch(db), identity.series(db)
    db.conn.close()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name, source, is_database in _sources(paths):
            try:
                if is_database:
                    copies.copy(source, copied)
                files[name] = _add(archive, name, copied if is_database else source, now)
            except FileNotFoundError:  # a mail was taken away meanwhile
                continue
            except sqlite3.Error:
                if name == DATABASE:
                    raise
                if source.exists():  # else retention was faster
                    left_out.append(name)
            finally:
                copied.unlink(missing_ok=True)
        made = Manifest(
            format=FORMAT,
            made_at=now,
            version=__version__,
            depot=settings.depot.code,
            epoch=epoch,
            series=series,
            files=files,
            left_out=left_out,
        )
        text = msgspec.json.format(msgspec.json.encode(made))
        archive.addfile(_member(MANIFEST, len(text), now), io.BytesIO(text))
    return made


def _sources(paths: Paths) -> Iterator[tuple[str, Path, bool]]:
    """(name, file, whether it is a database). `depot.db` comes first: fixes that are newer than what it knows are
    measured again. Then the days, the newest first, which says how far each device's numbering is on disk: rather less
    than is in the backup than more."""
    yield DATABASE, paths.depot_db, True
    for day in reversed(listed(paths.gps_dir)):
        file = day_file(paths.gps_dir, day)
        yield f"gps/{file.name}", file, True
    others = [paths.own_config, *sorted(paths.secrets_dir.glob("*")), *sorted((paths.data_dir / "outbox").glob("*"))]
    for file in others:
        name = file.relative_to(paths.data_dir).as_posix()
        if file.is_file() and _MEMBER.fullmatch(name):
            yield name, file, False


def _add(archive: tarfile.TarFile, name: str, file: Path, now: datetime) -> Kept:
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        hashed = _Hashed(opened)
        archive.addfile(_member(name, size, now), hashed)
    return Kept(size, hashed.digest.hexdigest())


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        self.digest.update(found)
        return found


def _member(name: str, size: int, now: datetime) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.mtime, made.mode = size, int(now.timestamp()), 0o600
    return made


def _read(file: IO[bytes]) -> Manifest:
    """The manifest, once all that it lists was found with its size and digest, and nothing else."""
    manifest, found = None, {}
    try:
        with tarfile.open(fileobj=file, mode="r|gz") as archive:
            for member in archive:
                opened = archive.extractfile(member)
                if opened is None or manifest is not None or not (member.name == MANIFEST or _fits(member.name)):
                    raise InputError("it holds what no backup has", subject=member.name)
                if member.name == MANIFEST:
                    manifest = msgspec.json.decode(opened.read(), type=Manifest)
                    continue
                digest = hashlib.sha256()
                while chunk := opened.read(_CHUNK):
                    digest.update(chunk)
                found[member.name] = Kept(member.size, digest.hexdigest())
    except _BROKEN as error:
        raise InputError(f"this is no whole backup: {error}", subject="backup") from error
    if manifest is None:
        raise InputError("this is no whole backup: its end is missing", subject="backup")
    if manifest.format != FORMAT:
        raise InputError(f"it has format {manifest.format}, expected {FORMAT}", subject="backup")
    if found != manifest.files or DATABASE not in found:
        raise InputError("its files are not those that it lists", subject="backup")
    return manifest


def _fits(name: str) -> bool:
    return _MEMBER.fullmatch(name) is not None


def _unpack(file: Path, staged: Path, manifest: Manifest) -> None:
    for name in ("gps", "secrets", "outbox"):
        if name == "gps" or any(one.startswith(f"{name}/") for one in manifest.files):
            (staged / name).mkdir(mode=0o700)
    with file.open("rb") as opened, tarfile.open(fileobj=opened, mode="r|gz") as archive:
        for member in archive:
            source = archive.extractfile(member)
            if source is not None and member.name in manifest.files:
                with atomicfile.writing(staged / member.name) as target:
                    shutil.copyfileobj(source, target, _CHUNK)
    for name in manifest.files:
        if name.endswith(".db") and (damage := copies.damage_of(staged / name)) != "ok":
            raise InputError(f"it is damaged: {damage}", subject=name)


def _prepare(paths: Paths, staged: Path, *, who: str, now: datetime, series: str, made_at: datetime) -> None:
    """The staged database gets this program's schema, and a new epoch and series."""
    try:
        migrate(staged)
    except ConfigError as error:
        raise InputError(error.what, subject="backup", hint=error.hint) from error
    db = open_depot(staged)
    here = open_depot(paths.depot_db) if paths.depot_db.exists() else None
    try:
        following, epoch = copies.following(db, here)
        if series and (len(series), series) < (len(following), following):
            raise InputError(f"series {series} was used already, expected {following} or a later one", subject="backup")
        with write_tx(db) as tx:
            detail = f"of {made_at.isoformat(timespec='seconds')}"
            copies.as_restored(tx, series=series or following, epoch=epoch, who=who, now=now, detail=detail)
    finally:
        for one in (db, here):
            if one is not None:
                one.conn.close()


def _check_room(paths: Paths, folder: Path) -> None:
    """A backup takes no more than its files; beside it, one database at a time is copied."""
    sizes = [source.stat().st_size for _, source, _ in _sources(paths) if source.exists()]
    for place, needed in ((folder, sum(sizes)), (paths.data_dir, max(sizes, default=0))):
        if disk.room(place).free < needed + SPARE_BYTES:
            raise Unavailable(f"not enough room: {needed // 2**20 + 64} MiB are needed", subject=str(place))
