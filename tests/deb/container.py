"""A Debian 12 with a systemd of its own in a container, to install the package in."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.paths import PROJECT_ROOT
from tests.servers import wait_for

ROOT = PROJECT_ROOT / ".setup" / "systemd-root"
SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
PACKAGES = "systemd-sysv,dbus,systemd-timesyncd"


def missing() -> str:
    """What this machine lacks for it; empty where nothing."""
    if os.geteuid() != 0:
        return "needs root"
    lacking = [name for name in ("mmdebstrap", "systemd-nspawn", "nsenter") if not shutil.which(name)]
    return f"needs {', '.join(lacking)} (apt-get install mmdebstrap systemd-container)" if lacking else ""


def make_root() -> None:
    """The smallest Debian 12 with systemd, once: it takes a minute."""
    if (ROOT / "usr" / "lib" / "systemd" / "systemd").exists():
        return
    mirrors = [file for file in SOURCES if Path(file).is_file()]
    command = ["mmdebstrap", "--variant=minbase", "--mode=root", f"--include={PACKAGES}", "bookworm", str(ROOT)]
    subprocess.run([*command, *mirrors], check=True, capture_output=True)


class Container:
    """One that runs."""

    def __init__(self, root: Path, launcher: int) -> None:
        self.root = root
        self._children = Path(f"/proc/{launcher}/task/{launcher}/children")

    @property
    def _pid(self) -> int:
        """Its systemd, as this machine counts; until that is there, what makes the container."""
        return int(self._children.read_text().split()[0])

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["nsenter", f"--target={self._pid}", "--all", "--", *command],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def is_up(self) -> bool:
        with contextlib.suppress(IndexError, subprocess.TimeoutExpired):
            return self.says("systemctl", "is-system-running") in ("running", "degraded")
        return False

    @property
    def steward(self) -> Path:
        """The socket of its steward, as this machine sees it."""
        return Path(f"/proc/{self._pid}/root/run/depotbox-steward.sock")

    def in_its_network(self, *command: str) -> str:
        """What a program of this machine prints that sees the container's network."""
        words = ["nsenter", f"--target={self._pid}", "--net", "--", *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout

    def says(self, *command: str) -> str:
        return self.run(*command, check=False).stdout.strip()


@contextmanager
def booted(root: Path) -> Iterator[Container]:
    """Boots systemd there, with a network of its own, until the block ends."""
    command = [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--private-network",
        "-D",
        str(root),
        "--boot",
    ]
    with (root.parent / "console.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        container = Container(root, process.pid)
        try:
            wait_for(container.is_up, "its systemd is up", 120)
            yield container
        finally:
            process.terminate()  # as a press of the power button
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
