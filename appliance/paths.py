"""Where things lie. The one place that knows folder and file names of an installation."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from appliance import sharing
from appliance.errors import ConfigError, Unavailable

PROJECT_ROOT = Path(__file__).resolve().parent.parent
INSTALLED_CONFIG = Path("/etc/depotbox/depotbox.toml")
DEVELOPMENT_CONFIG = PROJECT_ROOT / "depotbox.dev.toml"
WEB_DIR = PROJECT_ROOT / "web"
VENDOR_DIR = WEB_DIR / "vendor"  # browser libraries and fonts, put there by `make setup`

# sun_path holds 107 bytes and a NUL; the longest name below run_dir is about 30 characters long.
_LONGEST_RUN_DIR = 70


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders and files below one data folder. Making one touches nothing; `prepare` makes the folders."""

    data_dir: Path

    @property
    def depot_db(self) -> Path:
        return self.data_dir / "depot.db"

    @property
    def own_config(self) -> Path:
        return self.data_dir / "depot.toml"  # what was entered at the set-up

    @property
    def setup_code(self) -> Path:
        return self.data_dir / "setup-code.txt"

    @property
    def clock_confirmed(self) -> Path:
        return self.data_dir / "clock-confirmed.json"

    @property
    def gps_dir(self) -> Path:
        return self.data_dir / "gps"

    @property
    def restore_marker(self) -> Path:
        return self.data_dir / "restore.json"  # a restore that the next start takes to its end

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "log"

    @property
    def secrets_dir(self) -> Path:
        return self.data_dir / "secrets"

    @property
    def ca_key(self) -> Path:
        return self.secrets_dir / "ca.key"

    @property
    def ca_certificate(self) -> Path:
        return self.secrets_dir / "ca.crt"

    @property
    def own_certificate(self) -> Path:
        return self.secrets_dir / "web-own.pem"  # of the pages over HTTPS, with its key

    @property
    def uploaded_certificate(self) -> Path:
        return self.secrets_dir / "web-uploaded.pem"

    @property
    def depot_key(self) -> Path:
        return self.secrets_dir / "depot.key"  # signs what goes to the central office

    @property
    def next_depot_key(self) -> Path:
        return self.secrets_dir / "depot.key.next"  # while the central office is told of it

    @property
    def uplink_lock(self) -> Path:
        return self.data_dir / "uplink.lock"  # as the supervisor's: not in run_dir

    @property
    def mosquitto_dir(self) -> Path:
        return self.data_dir / "mosquitto"

    @property
    def run_dir(self) -> Path:
        """Sockets, locks and ready marks. Below the data folder, or a private folder of the system's
        temporary folder where the path would be too long for a unix socket."""
        inside = self.data_dir / "run"
        if len(os.fsencode(inside)) <= _LONGEST_RUN_DIR:
            return inside
        digest = hashlib.sha256(os.fsencode(self.data_dir.resolve())).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"depotbox-{os.getuid()}-{digest}"

    @property
    def redis_dir(self) -> Path:
        return self.run_dir / "redis"

    @property
    def redis_socket(self) -> Path:
        return self.redis_dir / "redis.sock"

    @property
    def mqtt_dir(self) -> Path:
        return self.run_dir / "mqtt"

    @property
    def mqtt_socket(self) -> Path:
        return self.mqtt_dir / "mqtt.sock"

    @property
    def mqtt_probe_socket(self) -> Path:
        return self.mqtt_dir / "mqtt-probe.sock"

    @property
    def units_marker(self) -> Path:
        return self.run_dir / "systemd"  # there where the roles of this data folder are units of systemd

    @property
    def worker_locks_dir(self) -> Path:
        return self.run_dir / "workers"

    @property
    def status_file(self) -> Path:
        return self.run_dir / "status.json"

    @property
    def supervisor_lock(self) -> Path:
        return self.data_dir / "supervisor.lock"  # not in run_dir, which may be deleted: two boxes must not meet

    def prepare(self) -> None:
        """Makes every folder that is not there yet, private to the owner. Raises ConfigError where the data folder
        cannot be written."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (
                self.gps_dir,
                self.log_dir,
                self.secrets_dir,
                self.mosquitto_dir,
                self.run_dir,
                self.redis_dir,
                self.mqtt_dir,
                self.worker_locks_dir,
            ):
                sharing.make_folder(folder)
            probe = self.data_dir / ".writable"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"the data folder cannot be written: {error.strerror}",
                subject=f"storage.data_dir = {self.data_dir}",
                hint="expected a folder that this user may write; set storage.data_dir or --data-dir",
            ) from error
        self._check_run_dir()

    def _check_run_dir(self) -> None:
        """A run folder in the shared temporary folder must be ours alone, or a neighbour could stand in for Redis."""
        if self.run_dir.parent == self.data_dir:
            return
        found = self.run_dir.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ConfigError(
                "the folder for sockets belongs to somebody else or is open to others",
                subject=str(self.run_dir),
                hint="remove it, or choose a data folder with a shorter path",
            )


def credential(name: str) -> Path | None:
    """The file of a secret that systemd handed to this role alone (`LoadCredential=`); None where it did not."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(folder) / name if folder else None
    return file if file and file.exists() else None


def bundled() -> Path | None:
    """The folder of the servers that came with this program: `bin/`, and their libraries in `lib/`."""
    if named := os.environ.get("DEPOTBOX_NATIVE"):
        return Path(named)
    return PROJECT_ROOT / "native" if getattr(sys, "frozen", False) else None


def native(name: str) -> Path:
    """The program `name` (redis-server, mosquitto, ...): bundled, unpacked by `make setup`, or the system's."""
    servers = bundled()
    folders = [servers / "bin"] if servers else []
    folders.append(PROJECT_ROOT / ".native" / "bin")
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        raise Unavailable("program not found", subject=name, hint="run `make setup`, or install it")
    return Path(found)
