"""What must be true before the first role starts, so that it fails with one clear line and not with a crash loop."""

from __future__ import annotations

import errno
import socket

from appliance import paths
from appliance.config import Settings
from appliance.errors import Unavailable

NATIVE_PROGRAMS = ("redis-server", "mosquitto")


def check(settings: Settings) -> None:
    """Raises Unavailable (a program is missing, a port is taken) or ConfigError, for the first thing that is wrong.

    A port may still be taken between here and the role that opens it; then that role says so.
    """
    for program in NATIVE_PROGRAMS:
        paths.native(program)
    mqtt, web = settings.mqtt, settings.web
    everywhere = web.tls_port and not web.tls_host
    listeners = {
        "web.port": ("web.host", "" if everywhere else web.host, web.port),
        "web.tls_port": ("web.tls_host", web.tls_host, web.tls_port),
        "mqtt.port": ("mqtt.host", mqtt.host, mqtt.port),
        "mqtt.tls_port": ("mqtt.tls_host", mqtt.tls_host, mqtt.tls_port),
        "mqtt.certificate_port": ("mqtt.tls_host", mqtt.tls_host, mqtt.certificate_port),
    }
    for key, (host_key, host, port) in listeners.items():
        if port:
            _check_port(key, port, host_key, host)


def _check_port(key: str, port: int, host_key: str, host: str) -> None:
    """`host` may be empty: all addresses of the machine."""
    opened = 0
    problem: OSError | None = None
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        found, problem = [], error
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                # As the servers do: connections of an earlier run that linger in TIME_WAIT do not hold a port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
                opened += 1
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Unavailable(
                    f"port {port} of {address[0]} is taken by another program",
                    subject=f"{key} = {port}",
                    hint=f"end it, or change {key}",
                ) from error
            problem = error  # `localhost` also names ::1 on a machine without IPv6: one of its addresses is enough
    if not opened:
        reason = problem.strerror if problem else "no such address"
        raise Unavailable(
            f"port {port} of {host or 'this machine'} cannot be opened: {reason}",
            subject=f"{key} = {port}",
            hint=f"change {host_key} or {key}",
        ) from problem
