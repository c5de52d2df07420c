"""A throw-away broker that shows whether mosquitto would start with some files."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import tempfile
from pathlib import Path

from appliance import paths
from appliance.servers import native

PATIENCE_S = 15.0

_CONFIGURATION = """\
per_listener_settings true
{user}log_dest stderr
log_type error
{persistence}
listener 0 mqtt.sock
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
"""


def rehearse(near: Path, passwords: str, acl: str, store: Path | None = None) -> str | None:
    """Starts mosquitto on a socket of its own with these password and ACL files, and optionally a copy of a store.

    Returns None when it starts without complaint, else what it says. `near` is a private folder on the same disk as
    the store, in which a folder is made and removed again. The store is not changed.
    """
    with tempfile.TemporaryDirectory(dir=near, prefix="rehearsal-") as name:
        folder = Path(name)
        (folder / "passwords").write_text(passwords)
        (folder / "acl").write_text(acl)
        if store is not None:
            os.link(store, folder / store.name)  # it is only read: this broker is never asked to save
        config = folder / "mosquitto.conf"
        config.write_text(
            _CONFIGURATION.format(
                user="user root\n" if os.geteuid() == 0 else "",
                folder=folder,
                persistence=f"persistence true\npersistence_location {folder}/\nautosave_interval 0\n" if store else "",
            )
        )
        return _start(folder, config)


def _start(folder: Path, config: Path) -> str | None:
    program = paths.native("mosquitto")
    # Abstract: the folder's path may be too long for the name of a socket; mosquitto's own socket has a relative one.
    address = f"depotbox-rehearsal-{os.getpid()}-{folder.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, (folder / "log").open("w+") as log:
        channel.bind(f"\0{address}")
        environ = {**native.environment(program), "NOTIFY_SOCKET": f"@{address}"}
        process = subprocess.Popen([program, "-c", config], cwd=folder, env=environ, stdout=log, stderr=log)
        end = os.pidfd_open(process.pid)
        try:
            watched = [channel.fileno(), end]
            said = select.select(watched, [], [], PATIENCE_S)[0]
            started = channel.fileno() in said and b"READY=1" in channel.recv(4096)
        finally:
            os.close(end)
            process.kill()
            process.wait()
        log.seek(0)
        complaints = [line.strip() for line in log if "Error" in line]
    if complaints:
        return complaints[0].replace(f"{folder}/", "")
    return None if started else "it does not start"
