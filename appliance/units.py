"""The roles as units of systemd, on an installed box: their names, and how they are."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from appliance.paths import Paths
from appliance.servers import native

PROPERTIES = (
    "Id", "ActiveState", "SubState", "MainPID", "NRestarts", "ExecMainStartTimestampMonotonic", "ExecMainCode",
    "ExecMainStatus", "MemoryCurrent",
)  # fmt: skip
SYSTEMCTL = Path("/usr/bin/systemctl")
PATIENCE_S = 5.0


def in_charge(paths: Paths) -> bool:
    """Whether systemd looks after the roles of this data folder, and not `depotbox run`."""
    return paths.units_marker.exists()


def unit(role: str) -> str:
    """The name of the unit of a role. The workers are instances of one template."""
    kind, _, instance = role.partition("-")
    return f"depotbox-{kind}@{instance}.service" if instance else f"depotbox-{kind}.service"


def show(roles: Iterable[str]) -> dict[str, dict[str, str]]:
    """Role -> what systemd says of its unit; nothing where it does not answer."""
    names = {unit(role): role for role in roles}
    command = [str(SYSTEMCTL), "show", f"--property={','.join(PROPERTIES)}", "--", *names]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=True, env=native.environment(SYSTEMCTL)
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    blocks = (dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in said.split("\n\n"))
    return {names[block["Id"]]: block for block in blocks if block.get("Id") in names}


def number(block: Mapping[str, str], name: str) -> int | None:
    """A property that counts something; None where there is nothing to count (`[not set]`, or the largest number)."""
    text = block.get(name, "")
    return int(text) if text.isdigit() and int(text) < 2**64 - 1 else None


def main_pid(role: str) -> int | None:
    """The process of the role; None when it does not run."""
    return number(show([role]).get(role, {}), "MainPID") or None
