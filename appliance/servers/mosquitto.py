"""The `mosquitto` role: the broker with a unix socket for the box's own programs, and ports for devices.

Its files are generated anew at each start. While it runs, `access.refresh` changes the devices that it knows.
"""

from __future__ import annotations

import os
from pathlib import Path

from appliance import atomicfile, clock, log, units
from appliance.config import Mqtt, Settings
from appliance.errors import ConfigError
from appliance.paths import Paths, credential
from appliance.servers import accounts as files
from appliance.servers import native
from appliance.servers.rehearsal import rehearse

STORE = "mosquitto.db"  # the name that mosquitto gives to its sessions, retained and queued messages

_CONFIGURATION = """\
per_listener_settings true
{user}pid_file {pid_file}
log_dest stderr
log_type error
log_type warning
log_type notice

# Sessions and retained messages survive a clean stop. What a crash loses of them is made again: the bridge publishes
# the assignments anew, and a fix counts as delivered only when the box has acknowledged it.
persistence true
persistence_location {folder}/
autosave_interval 60
persistent_client_expiration 14d

# Without it an acknowledgement waits for that of the packet before it: 40 ms on each.
set_tcp_nodelay true
max_inflight_messages 10000
max_queued_messages 1000000
max_queued_bytes 134217728
message_size_limit {message_bytes}
max_packet_size {packet_bytes}
# Above what a full queue takes (measured: 500 MiB for a million fixes). With 512 MiB, delivery of such a queue stopped
# (seen once, and not with this limit).
memory_limit 1073741824

listener 0 {socket}
max_connections 64
allow_anonymous false
allow_zero_length_clientid false
password_file {folder}/own.passwords
acl_file {folder}/own.acl

{devices}"""

_OF_DEVICES = """\
listener {address}
max_connections 500
allow_anonymous false
allow_zero_length_clientid false
use_username_as_clientid true
acl_file {folder}/devices.acl
"""

_LOGIN = """\
password_file {folder}/devices.passwords
"""

_TLS = """\
tls_version tlsv1.2
certfile {folder}/server.crt
keyfile {folder}/server.key
"""

# The name in the certificate is the username. mosquitto takes either this or passwords on one listener, never both.
_CERTIFICATE = """\
require_certificate true
use_identity_as_username true
cafile {folder}/ca.crt
crlfile {folder}/devices.crl
"""


def main(settings: Settings) -> int:
    """Writes the configuration and becomes mosquitto."""
    from appliance import ca
    from appliance.servers import (
        access,
        tls,
    )  # here: who only asks for a password needs no database and no certificates

    paths = settings.paths
    passwords = {name: own_password(paths, name) for name in files.OWN_RULES}
    with access.one_at_a_time(paths):
        tls.renew(settings, clock.now())
        atomicfile.write(paths.mosquitto_dir / "mosquitto.conf", configuration(settings))
        atomicfile.write(paths.mosquitto_dir / "own.passwords", files.own_passwords_file(passwords))
        atomicfile.write(paths.mosquitto_dir / "own.acl", files.own_acl_file())
        access.prepare(paths, access.read(paths), files.new_password())
        atomicfile.write(paths.mosquitto_dir / "ca.crt", ca.public(paths))
        # Before the lock opens: from here on a change of the devices reaches this process. Should it come before
        # mosquitto listens to SIGHUP, the process ends by it, and its next start reads the new files.
        atomicfile.write(_pid_file(paths), str(os.getpid()))
    _set_damaged_store_aside(paths)
    os.chdir(paths.mqtt_dir)
    native.become("mosquitto", "-c", str(paths.mosquitto_dir / "mosquitto.conf"))


def configuration(settings: Settings) -> str:
    """mosquitto.conf.

    The sockets are named relative to `mqtt_dir`, mosquitto's working folder: its parser ends that path at a space.
    The canary's is the last listener (`probe.py` says why).
    A payload of up to twice `limits.payload_bytes` reaches the bridge, which rejects what is above the limit by name.
    Above that the broker acknowledges the message and drops it, so that the device goes on with its next one (an
    MQTT 5 client sees the reason, packet too large, and may reconnect once). Only a packet above four times the
    limit ends the connection, before it takes more memory; an MQTT 5 client is told of that bound when it connects.
    """
    paths = settings.paths
    return _CONFIGURATION.format(
        user="user root\n" if os.geteuid() == 0 else "",  # else it changes user, which clears the parent-death signal
        pid_file=_pid_file(paths),
        folder=paths.mosquitto_dir,
        socket=paths.mqtt_socket.name,
        message_bytes=2 * settings.limits.payload_bytes,
        packet_bytes=4 * settings.limits.payload_bytes,
        devices=_devices_listeners(settings.mqtt, paths),
    )


def _devices_listeners(mqtt: Mqtt, paths: Paths) -> str:
    everywhere = f" {mqtt.tls_host}".rstrip()
    listeners = []
    if mqtt.tls_port:
        listeners.append((f"{mqtt.tls_port}{everywhere}", _LOGIN + _TLS))
    if mqtt.certificate_port:
        listeners.append((f"{mqtt.certificate_port}{everywhere}", _CERTIFICATE + _TLS))
    listeners.append((f"{mqtt.port} {mqtt.host}", _LOGIN))
    listeners.append((f"0 {paths.mqtt_probe_socket.name}", _LOGIN))
    return "\n".join(
        (_OF_DEVICES + more).format(address=address, folder=paths.mosquitto_dir) for address, more in listeners
    )


def make_secrets(paths: Paths) -> None:
    """Makes the passwords of the box's own accounts, each once. For `init`, before anybody reads them."""
    for name in files.OWN_RULES:
        if not _secret_file(paths, name).exists():
            atomicfile.write(_secret_file(paths, name), files.new_password())


def own_password(paths: Paths, name: str) -> str:
    """The password of the box's own accounts, such as `bridge`. Raises ConfigError before `init` has made it."""
    file = credential(f"mqtt-{name}") or _secret_file(paths, name)
    try:
        return file.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigError(
            f"no password for {name}: {error.strerror}", subject=str(file), hint="start the box once: depotbox run"
        ) from error


def running_pid(paths: Paths) -> int | None:
    """The process of the broker of this data folder; None when it does not run."""
    if units.in_charge(paths):
        return units.main_pid("mosquitto")  # the processes of other roles' users cannot be seen
    try:
        pid = int(_pid_file(paths).read_text())
        running = b"mosquitto" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if running else None


def _secret_file(paths: Paths, name: str) -> Path:
    return paths.secrets_dir / f"mqtt-{name}"


def _pid_file(paths: Paths) -> Path:
    return paths.mqtt_dir / "mosquitto.pid"


def _set_damaged_store_aside(paths: Paths) -> None:
    """mosquitto refuses to start with a damaged store, for ever; a box with nobody near goes on without it."""
    store = paths.mosquitto_dir / STORE
    if not store.exists():
        return
    complaint = rehearse(paths.mosquitto_dir, "", "", store)
    if complaint is not None and rehearse(paths.mosquitto_dir, "", "") is None:
        aside = store.with_name(f"{STORE}.damaged")
        store.replace(aside)
        log.get(__name__).error("mosquitto.store_set_aside", file=str(aside), complaint=complaint)
