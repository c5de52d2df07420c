"""The log that the box keeps: the last few megabytes of every role, as JSON lines in one folder.

Each process appends whole lines itself, so that none waits for another and the last words of one that ends are there.
Whoever finds the file full moves it on. What cannot be written (a full disk) is left out: no role ends for its log.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from appliance import sharing

NAME = "depotbox.jsonl"
LARGEST = 4 * 1024 * 1024
"""Bytes after which a new file is begun."""
KEPT = 4
"""Files, with the one that is written: the log never takes more than this many times LARGEST."""


class KeptLog(logging.Handler):
    """Appends each record, one line, to the log in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._file = folder / NAME
        self._fd = -1

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            self._write(self.format(record).encode(errors="replace") + b"\n")

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        super().close()

    def _write(self, line: bytes) -> None:
        if not self._is_current():
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1  # where the next line fails
            self._fd = sharing.opened(self._file, os.O_WRONLY | os.O_APPEND)
        os.write(self._fd, line)  # one call: lines of several processes do not mix
        if os.fstat(self._fd).st_size >= LARGEST:
            self._move_on()

    def _is_current(self) -> bool:
        if self._fd < 0:
            return False
        try:
            return os.path.samestat(os.stat(self._file), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def _move_on(self) -> None:
        """`.1` is the newest of the full files. Of several processes that find the file full, one moves it."""
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if self._is_current():
                for number in range(KEPT - 2, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(_numbered(self._file, number), _numbered(self._file, number + 1))
                os.replace(self._file, _numbered(self._file, 1))
        finally:
            os.close(folder)


def newest(folder: Path, wanted: Callable[[dict[str, Any]], bool], limit: int) -> list[dict[str, Any]]:
    """The last lines that are wanted, the newest first. A line that is no event of ours is `{"event": line}`."""
    found: list[dict[str, Any]] = []
    for line in _backwards(folder):
        event = _event(line)
        if wanted(event):
            found.append(event)
            if len(found) == limit:
                break
    return found


def _backwards(folder: Path) -> Iterator[str]:
    for file in [folder / NAME, *(_numbered(folder / NAME, number) for number in range(1, KEPT))]:
        with contextlib.suppress(OSError):
            yield from reversed(file.read_text(encoding="utf-8", errors="replace").splitlines())


def _event(line: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {"event": line}


def _numbered(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.{number}")
