"""The one way to write a file that must never be seen half written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from appliance import sharing


def write(path: Path, content: bytes | str, mode: int | None = None) -> None:
    """Replaces `path` by `content` with permissions `mode` (else it is as private as its folder, `appliance.sharing`):
    after a crash or a power cut the old or the new content is there, whole. When this returns, the new one is on disk.
    Text is stored as UTF-8. What root writes belongs to whom the folder belongs to, or a command given with sudo would
    take a file from the box that runs as another user. Raises OSError; then the old content stays and nothing is left
    lying about."""
    with writing(path, mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def writing(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """The same for what is written piece by piece: `path` is replaced when the block ends, unless it raises."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with open(handle, "w+b") as file:
            os.fchmod(file.fileno(), sharing.file_mode(path.parent) if mode is None else mode)
            if os.geteuid() == 0:
                owner = os.stat(path.parent)
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """The rename itself is on disk only when the folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
