"""The `mosquitto` role: the broker with two listeners, a unix socket for the box's own programs and a port for devices.

Its files are generated anew at each start. While it runs, `refresh_accounts` changes the devices that it knows.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import atomicfile, log
from appliance.config import Settings
from appliance.errors import ConfigError, Unavailable
from appliance.paths import Paths
from appliance.servers import accounts as files
from appliance.servers import native
from appliance.servers.rehearsal import rehearse

if TYPE_CHECKING:
    from appliance.storage.devices import Account

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

max_inflight_messages 1000
max_queued_messages 1000000
max_queued_bytes 134217728
message_size_limit {message_bytes}
max_packet_size {packet_bytes}
memory_limit 536870912

listener 0 {socket}
max_connections 64
allow_anonymous false
allow_zero_length_clientid false
password_file {folder}/own.passwords
acl_file {folder}/own.acl

listener {port} {host}
max_connections 500
allow_anonymous false
allow_zero_length_clientid false
use_username_as_clientid true
password_file {folder}/devices.passwords
acl_file {folder}/devices.acl
"""


def main(settings: Settings) -> int:
    """Writes the configuration and becomes mosquitto."""
    paths = settings.paths
    passwords = {name: own_password(paths, name) for name in files.OWN_RULES}
    with _one_at_a_time(paths):
        atomicfile.write(paths.mosquitto_dir / "mosquitto.conf", configuration(settings))
        atomicfile.write(paths.mosquitto_dir / "own.passwords", files.own_passwords_file(passwords))
        atomicfile.write(paths.mosquitto_dir / "own.acl", files.own_acl_file())
        known = _read_accounts(paths)
        _write_devices(paths, files.passwords_file(known), files.acl_file(known))
        # Before the lock opens: from here on a change of the devices reaches this process. Should it come before
        # mosquitto listens to SIGHUP, the process ends by it, and its next start reads the new files.
        atomicfile.write(_pid_file(paths), str(os.getpid()))
    _set_damaged_store_aside(paths)
    os.chdir(paths.run_dir)
    native.become("mosquitto", "-c", str(paths.mosquitto_dir / "mosquitto.conf"))


def configuration(settings: Settings) -> str:
    """mosquitto.conf.

    The socket is named relative to `run_dir`, mosquitto's working folder: its parser ends that path at a space.
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
        socket=paths.mqtt_socket.relative_to(paths.run_dir),
        message_bytes=2 * settings.limits.payload_bytes,
        packet_bytes=4 * settings.limits.payload_bytes,
        host=settings.mqtt.host,
        port=settings.mqtt.port,
    )


def make_secrets(paths: Paths) -> None:
    """Makes the passwords of the box's own accounts, each once. For `init`, before anybody reads them."""
    for name in files.OWN_RULES:
        if not _secret_file(paths, name).exists():
            atomicfile.write(_secret_file(paths, name), files.new_password())


def own_password(paths: Paths, name: str) -> str:
    """The password of the box's own account `bridge` or `loopback`. Raises ConfigError before `init` has made it."""
    file = _secret_file(paths, name)
    try:
        return file.read_text(encoding="ascii")
    except OSError as error:
        raise ConfigError(
            f"no password for {name}: {error.strerror}", subject=str(file), hint="start the box once: depotbox run"
        ) from error


def refresh_accounts(settings: Settings) -> None:
    """The broker knows exactly the devices of the database from now on: to be called after each change of them.

    A revoked device is disconnected. Whether the broker runs or not, its next start knows the same. Raises a DepotError
    when the running broker could not be told.
    """
    paths = settings.paths
    try:
        with _one_at_a_time(paths):
            apply_accounts(paths, _read_accounts(paths), running_pid(paths))
    except OSError as error:
        raise Unavailable(f"the accounts cannot be changed: {error.strerror}", subject="mosquitto") from error


def apply_accounts(paths: Paths, accounts: Sequence[Account], pid: int | None) -> None:
    """Replaces the devices' password and ACL files, and tells the broker `pid` (None: it does not run).

    A running mosquitto that cannot read its new rules goes on without any: so they are first given to a throw-away
    broker, which refuses. Raises Unavailable when it does, and InputError for an unfit account; then nothing changes.
    """
    passwords, acl = files.passwords_file(accounts), files.acl_file(accounts)
    complaint = rehearse(paths.mosquitto_dir, passwords, acl)
    if complaint is not None:
        raise Unavailable(f"the broker refuses the new accounts: {complaint}", subject="mosquitto")
    _write_devices(paths, passwords, acl)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGHUP)


def running_pid(paths: Paths) -> int | None:
    """The process of the broker of this data folder; None when it does not run."""
    try:
        pid = int(_pid_file(paths).read_text())
        running = b"mosquitto" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if running else None


def _secret_file(paths: Paths, name: str) -> Path:
    return paths.secrets_dir / f"mqtt-{name}"


def _pid_file(paths: Paths) -> Path:
    return paths.run_dir / "mosquitto.pid"


def _read_accounts(paths: Paths) -> list[Account]:
    from appliance.storage import db, devices  # here: what only writes files needs no database

    depot = db.open_depot(paths.depot_db)
    try:
        return devices.accounts(depot)
    finally:
        depot.conn.close()


def _write_devices(paths: Paths, passwords: str, acl: str) -> None:
    """First the rules: between the two a new device cannot log in yet, and a revoked one has no rights any more."""
    atomicfile.write(paths.mosquitto_dir / "devices.acl", acl)
    atomicfile.write(paths.mosquitto_dir / "devices.passwords", passwords)


@contextlib.contextmanager
def _one_at_a_time(paths: Paths) -> Iterator[None]:
    """Reading the devices and writing the files is one step, or an older list could be written last."""
    with (paths.mosquitto_dir / "accounts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
