"""Asking the steward, the one part of an installed box that runs as root, for what the roles may not do themselves.

A request is one line on a unix socket, a verb of a fixed table and at most one argument; the answer is one line, `done`
or the reason why not. `appliance.supervisor.steward` has the verbs.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from appliance.errors import InputError, Refused, Unavailable

SOCKET = Path("/run/depotbox-steward.sock")
ANSWER_S = 60.0
DONE = "done"


def ask(verb: str, argument: str = "", *, address: Path = SOCKET) -> None:
    """Has the steward do it. Raises Refused with what it said, and Unavailable where it does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(ANSWER_S)
        try:
            channel.connect(os.fspath(address))
            channel.sendall(f"{verb} {argument}".strip().encode() + b"\n")
            answer = line(channel, 4096)
        except OSError as error:
            hint = "systemctl status depotbox-steward.socket"
            raise Unavailable(f"it does not answer: {error.strerror or error}", subject="steward", hint=hint) from error
    if answer != DONE:
        raise Refused(answer or "it ended without an answer", subject=f"steward, {verb}")


def line(channel: socket.socket, longest: int) -> str:
    """What comes up to a newline. Raises InputError for what is too long, is no text or ends before."""
    read = b""
    while b"\n" not in read:
        more = channel.recv(longest + 1 - len(read))
        read += more
        if not more or len(read) > longest:
            raise InputError(f"expected one line of at most {longest} bytes")
    line = read.partition(b"\n")[0]
    if not line.isascii() or not line.decode().isprintable():
        raise InputError("expected printable ASCII")
    return line.decode()
