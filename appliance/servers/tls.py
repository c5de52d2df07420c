"""How vehicles reach the broker over TLS: its names, and its certificate."""

from __future__ import annotations

import re
import socket
from datetime import datetime

from appliance import atomicfile, ca, log
from appliance.config import Mqtt, Settings

CERTIFICATE, KEY = "server.crt", "server.key"
CA_PATH = "/ca.crt"

_log = log.get(__name__)


def host(mqtt: Mqtt) -> str:
    """The name or address that devices are set up with."""
    return mqtt.public_host or mqtt.tls_host or socket.gethostname()


def ca_url(settings: Settings) -> str:
    """Where the pages serve the certificate by which a device knows the box."""
    name = host(settings.mqtt)
    return f"http://{f'[{name}]' if ':' in name else name}:{settings.web.port}{CA_PATH}"


def names(mqtt: Mqtt) -> list[str]:
    """By what the broker is reached. A host name that cannot stand in a certificate is left out."""
    known = [mqtt.public_host, mqtt.tls_host, socket.gethostname(), "localhost", "127.0.0.1", "::1"]
    return [name for name in dict.fromkeys(known) if re.fullmatch(r"[A-Za-z0-9.:-]+", name)]


def renew(settings: Settings, now: datetime) -> None:
    """Makes the broker's certificate where there is none, where its end is near, or where the names have changed. A
    running broker takes it at its next SIGHUP."""
    if not (settings.mqtt.tls_port or settings.mqtt.certificate_port):
        return
    folder, wanted, authority = settings.paths.mosquitto_dir, names(settings.mqtt), ca.own(settings.paths)
    try:
        good = (folder / KEY).exists() and authority.is_good((folder / CERTIFICATE).read_text(), wanted, now)
    except (OSError, UnicodeDecodeError):
        good = False
    if good:
        return
    made = authority.server(wanted, now)
    # A crash between the two leaves a pair that does not fit: without a certificate the next start makes both.
    (folder / CERTIFICATE).unlink(missing_ok=True)
    atomicfile.write(folder / KEY, made.key)
    atomicfile.write(folder / CERTIFICATE, made.certificate)
    _log.info("mosquitto.certificate_made", names=wanted)
