"""A kernel file lock that each worker process holds while it lives: a free lock means that its jobs may go to another.

No clock and no heartbeat is involved, so a stopped clock or a long pause never takes a living worker's jobs away.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from appliance import sharing


class WorkerLock:
    """Held from the making of the object to the end of the process. `name` is what a job row keeps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._take()

    def give_up(self) -> None:
        """Lets go of the name, and with it of the job that it still stands at: another worker gets it. This process
        goes on under a new name."""
        old = self._fd
        self._take()
        os.close(old)

    def _take(self) -> None:
        self.name = f"{os.getpid()}-{uuid.uuid4().hex}"
        path = self._folder / self.name
        while True:
            self._fd = sharing.opened(path, os.O_RDWR)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if path.exists() and path.stat().st_ino == os.fstat(self._fd).st_ino:
                return
            os.close(self._fd)  # somebody took the file for a dead worker's before the lock was ours


def is_dead(folder: Path, name: str) -> bool:
    """True when nobody holds the worker's lock any more. Removes the file of a dead worker."""
    try:
        fd = os.open(folder / name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        (folder / name).unlink(missing_ok=True)
        return True
    finally:
        os.close(fd)


def remove_dead(folder: Path) -> None:
    """Removes the files of workers that have gone without leaving a job behind."""
    for path in folder.iterdir():
        is_dead(folder, path.name)
