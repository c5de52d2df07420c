"""One process of a role with everything that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance import lifeline


class Child:
    """A role's process: a session and process group of its own, so that a Ctrl-C in the terminal does not reach it and
    all that it started can be ended with it.

    It is told of a socket for its readiness (`NOTIFY_SOCKET`), of its watchdog's time, if it has one (`WATCHDOG_USEC`),
    and of its parent (`lifeline.PARENT`). Its standard output and error are the supervisor's standard error; it has no
    input. Making one raises OSError when the program cannot be started.
    """

    def __init__(self, argv: Sequence[str], notify_path: Path, watchdog_s: float | None = None) -> None:
        self.channel = _listen(notify_path)
        self._notify_path = notify_path
        self._code: int | None = None
        environ = {**os.environ, "NOTIFY_SOCKET": str(notify_path), lifeline.PARENT: str(os.getpid())}
        environ.pop("WATCHDOG_USEC", None)  # the supervisor's own, under systemd
        if watchdog_s is not None:
            environ["WATCHDOG_USEC"] = str(round(watchdog_s * 1e6))
        try:
            self._process = subprocess.Popen(
                argv, env=environ, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), start_new_session=True
            )
        except BaseException:
            self.close()
            raise
        self.pid = self._process.pid

    def heard(self) -> set[str]:
        """What has come in on the channel by now: `READY=1`, `WATCHDOG=1` (sd_notify(3))."""
        said: set[str] = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                said.update(self.channel.recv(4096).decode(errors="replace").splitlines())
        return said

    def terminate(self) -> None:
        """Asks the role to end. Its own children are its business."""
        if self._code is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Ends the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def collect(self) -> int | None:
        """The exit code (negative: the signal), once the role and its whole group have ended; None before.

        Never blocks. When the role itself has ended, the rest of its group is killed. To be called after each SIGCHLD:
        with `lifeline.adopt_orphans` the members of the group are children of this process by then.
        """
        if self._code is None:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self.kill()  # before the process is reaped: until then nobody else can get its id
            self._code = self._process.wait()
        with contextlib.suppress(ChildProcessError):
            while os.waitid(os.P_PGID, self.pid, os.WEXITED | os.WNOHANG) is not None:
                pass
            return None  # some of the group are still dying
        return self._code

    def close(self) -> None:
        """Lets go of the channel, once the end has been collected."""
        self.channel.close()
        self._notify_path.unlink(missing_ok=True)


def _listen(path: Path) -> socket.socket:
    """A new socket for each start, so that nothing the last process said counts for this one."""
    path.unlink(missing_ok=True)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    channel.bind(os.fspath(path))
    return channel
