"""TCP ports for servers of tests."""

from __future__ import annotations

import random
import socket

_BELOW_CONNECTIONS = range(20_000, 32_000)
"""Linux gives connections their own ports from 32768 on (ip(7), `ip_local_port_range`): one of those may be taken by
somebody's connection before the server that it was drawn for has begun to listen."""

_given: set[int] = set()
_random = random.SystemRandom()


def free_port() -> int:
    """One on 127.0.0.1 that nobody listens on; never the same one twice in a process."""
    while True:
        port = _random.choice(_BELOW_CONNECTIONS)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
