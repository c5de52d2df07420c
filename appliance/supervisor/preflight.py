"""What must be true before the first role starts, so that it fails with one clear line and not with a crash loop."""

from __future__ import annotations

import errno
import socket

from appliance import paths
from appliance.config import Settings
from appliance.errors import ConfigError, Unavailable

NATIVE_PROGRAMS = ("redis-server", "mosquitto")


def check(settings: Settings) -> None:
    """Raises Unavailable (a program is missing, a port is taken) or ConfigError, for the first thing that is wrong.

    A port may still be taken between here and the role that opens it; then that role says so.
    """
    for program in NATIVE_PROGRAMS:
        paths.native(program)
    ports = {"web": (settings.web.host, settings.web.port), "mqtt": (settings.mqtt.host, settings.mqtt.port)}
    if settings.web.port == settings.mqtt.port:
        raise ConfigError(
            "both want the same port",
            subject=f"web.port and mqtt.port = {settings.web.port}",
            hint="change one of them",
        )
    for section, (host, port) in ports.items():
        _check_port(section, host, port)


def _check_port(section: str, host: str, port: int) -> None:
    opened = 0
    problem: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind, protocol) as probe:
                # As the servers do: connections of an earlier run that linger in TIME_WAIT do not hold a port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                opened += 1
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Unavailable(
                    f"port {port} of {address[0]} is taken by another program",
                    subject=f"{section}.port = {port}",
                    hint=f"end it, or change {section}.port",
                ) from error
            problem = error  # `localhost` also names ::1 on a machine without IPv6: one of its addresses is enough
    if not opened:
        reason = problem.strerror if problem else "no such address"
        raise Unavailable(
            f"port {port} of {host} cannot be opened: {reason}",
            subject=f"{section}.port = {port}",
            hint=f"change {section}.host or {section}.port",
        ) from problem
