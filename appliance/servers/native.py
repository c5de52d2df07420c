"""Becoming a native server."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import NoReturn

from appliance import paths

_PR_CAP_AMBIENT, _IS_SET, _CLEAR_ALL = 47, 1, 4  # prctl(2)
_CAP_SETGID = 6


def become(program: str, *args: str) -> NoReturn:
    """Replaces this process by the program: same process id, same parent-death signal, same notification socket.
    Raises Unavailable where the program is not installed."""
    found = paths.native(program)
    leave_groups()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(found, [str(found), *args], environment(found))


def leave_groups() -> None:
    """On an installed box this role is in groups that may read the database and the keys, of which it has made the
    server's files; the server itself, which strangers talk to, is in none. The unit gives CAP_SETGID for this one
    call; nothing of it is left after. Elsewhere nothing happens. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_CAP_AMBIENT, _IS_SET, _CAP_SETGID, 0, 0) != 1:
        return
    os.setgroups([])
    if libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl: the capability cannot be given up")


def environment(program: Path) -> dict[str, str]:
    """The environment for a native program. The libraries bundled beside it are for it alone, and those of the frozen
    program are not for it."""
    environ = dict(os.environ)
    before = environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if getattr(sys, "frozen", False):
        environ.pop("LD_LIBRARY_PATH", None)
        if before is not None:
            environ["LD_LIBRARY_PATH"] = before
    servers = paths.bundled()
    if servers and program.is_relative_to(servers):
        environ["LD_LIBRARY_PATH"] = str(servers / "lib")
    return environ
