"""Becoming a native server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from appliance import paths


def become(program: str, *args: str) -> NoReturn:
    """Replaces this process by the program: same process id, same parent-death signal, same notification socket.
    Raises Unavailable where the program is not installed."""
    found = paths.native(program)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(found, [str(found), *args], environment(found))


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
