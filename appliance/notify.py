"""Telling whoever started this role that it is ready: systemd's notification protocol, sd_notify(3).

systemd and the box's own supervisor both give the address of a datagram socket in `NOTIFY_SOCKET`.
"""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Sends a state such as `READY=1` or `STATUS=...`. Nobody listening is not an error."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return  # the supervisor has gone; its end will end this process too
