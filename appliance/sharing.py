"""For whom new files and folders are: the owner alone, or the group of the folder that they are made in, too.

On an installed box each role has a user of its own. What roles share lies in folders with the setgid bit, whose group
and mode `systemd/tmpfiles.conf` sets; who is in which group stands in the units. So the permissions of the folders say
everything, and what is made in them follows. Anywhere else no folder has that bit, and everything is private.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

_touching = threading.Lock()


def file_mode(folder: Path) -> int:
    """Permissions of a private file in this folder."""
    return 0o600 | _of_group(folder) & 0o060


def make_folder(path: Path) -> None:
    """Makes the folder, where it is not there yet, as private as the one that it lies in. Raises OSError."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if shared := _of_group(path.parent):
        # The bit that marks a shared folder was handed down by the kernel; a role may not set it, only keep it.
        path.chmod(stat.S_IMODE(path.stat().st_mode) | shared)


def opened(path: Path, flags: int) -> int:
    """Opens a file, made first where there is none, for those whom its folder is for. What root makes belongs to whom
    the folder belongs to. Raises OSError."""
    wanted = file_mode(path.parent)
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, wanted)
    found = os.fstat(handle)
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != wanted:  # the umask was against it
        os.fchmod(handle, wanted)
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(handle, owner.st_uid, owner.st_gid)
    return handle


def touch(path: Path) -> None:
    """Makes the same file, empty, where there is none. One that is there is not even opened: a process that closes any
    handle of a database loses the locks of all its connections to it (https://sqlite.org/howtocorrupt.html, 2.2)."""
    with _touching, suppress(FileExistsError):  # no other thread goes on to connect before the handle is closed
        os.close(opened(path, os.O_RDWR | os.O_EXCL))


def is_shared(folder: Path) -> bool:
    """Whether it is for its group, too."""
    return bool(_of_group(folder))


def _of_group(folder: Path) -> int:
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        return 0
    return mode & 0o070 if mode & stat.S_ISGID else 0
