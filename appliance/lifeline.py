"""No process outlives the one that answers for it, whatever kills that one.

A role ties itself to the supervisor, a worker's child to its worker: `die_with_parent` asks the kernel for a signal at
the parent's death (prctl(2), PR_SET_PDEATHSIG). The request survives an exec of an ordinary program, not a change of
user. Linux sends the signal when the *thread* that started the process ends: start children from the main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal

PARENT = "DEPOTBOX_PARENT"
"""The environment variable in which the supervisor gives its process id to a role."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(parent_pid: int, signum: int = signal.SIGKILL) -> None:
    """From now on this process gets `signum` when its parent ends; at once, when `parent_pid` has ended already."""
    _prctl(_PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent_pid:  # it ended before the request: the kernel would never send the signal
        os.kill(os.getpid(), signum)


def adopt_orphans() -> None:
    """Descendants whose own parent ends become children of this process, so that it can wait for them and end them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl: {os.strerror(code)}")
