"""One supervisor a data folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance import sharing
from appliance.errors import Busy
from appliance.paths import Paths


@contextmanager
def hold(paths: Paths) -> Iterator[None]:
    """Holds the lock of the data folder; the kernel lets go of it when this process ends, however it ends.

    Raises Busy when another supervisor has it.
    """
    handle = _taken(paths, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


def hold_as_role(paths: Paths) -> None:
    """For a role that no supervisor of ours started: as long as this process lives no supervisor starts on the data
    folder, while other such roles do. Raises Busy when a supervisor, or a restore, has the folder."""
    if paths.data_dir.is_dir():  # else it is `init`, which makes it
        _taken(paths, fcntl.LOCK_SH)  # the kernel lets go of it at the end of the process


def _taken(paths: Paths, how: int) -> int:
    handle = sharing.opened(paths.supervisor_lock, os.O_RDWR)
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise Busy(
            "a box already runs on this data folder",
            subject=str(paths.data_dir),
            hint="stop it first, or choose another folder with --data-dir; `depotbox status` shows it",
        ) from error
    return handle


def held_by(paths: Paths, pid: int) -> bool:
    """Whether the supervisor with this process id is alive and holds the lock.

    The lock can only be asked for by taking it for an instant, which must not get into the way of a box that is just
    starting: it is left alone unless a process with that id exists.
    """
    if not Path(f"/proc/{pid}").exists():
        return False
    try:
        handle = os.open(paths.supervisor_lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
