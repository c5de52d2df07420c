"""Part of `make check`: systemd itself reads the units of `systemd/`, and how exposed each of them is stays under 2.0.

    python3 packaging/check_units.py

It needs systemd-analyze, of Debian's package systemd, and no systemd that runs. Without it nothing is checked, and that
is said.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

UNITS = Path(__file__).resolve().parent.parent / "systemd" / "system"
MOST = 2.0
PROGRAMS = ("usr/lib/depotbox/depotbox", "usr/bin/systemctl", "usr/bin/systemd-tmpfiles", "usr/bin/rm", "usr/bin/true")


def main() -> int:
    """Exit code 1 with one line for each thing that is wrong."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        print("units: not checked, there is no systemd-analyze here (apt-get install systemd)")
        return 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        lay_out(root)
        scores = {unit: exposure(analyze, root, unit) for unit in services()}
        wrong = [line for line in complaints(analyze, root) if line]
    wrong += [f"{unit}: exposure {score:.1f}, expected under {MOST}" for unit, score in scores.items() if score >= MOST]
    for line in wrong:
        print(f"units: {line}", file=sys.stderr)
    if not wrong:
        print("units: exposure " + ", ".join(f"{unit.split('.')[0]} {score:.1f}" for unit, score in scores.items()))
    return 1 if wrong else 0


def services() -> list[str]:
    """Every service, of a template one for each instance that has settings of its own."""
    found = []
    for file in sorted(UNITS.glob("*.service")):
        if file.is_symlink():
            continue
        kind, at, _ = file.name.partition("@.")
        instances = sorted(folder.name.removesuffix(".d") for folder in UNITS.glob(f"{kind}@*.service.d"))
        found += (instances or [f"{kind}@x.service"]) if at else [file.name]
    return found


def lay_out(root: Path) -> None:
    """A root file system for systemd to look at: our units beside the targets of this machine, and programs that are
    there."""
    shutil.copytree(UNITS, root / "usr" / "lib" / "systemd" / "system", symlinks=True)
    for target in Path("/usr/lib/systemd/system").glob("*.target"):
        if not target.is_symlink():
            shutil.copy(target, root / "usr" / "lib" / "systemd" / "system")
    for program in PROGRAMS:
        file = root / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        file.chmod(0o755)


def exposure(analyze: str, root: Path, unit: str) -> float:
    command = [analyze, "security", "--offline=true", f"--root={root}", "--no-pager", unit]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    overall = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    return float(overall[1]) if overall else 10.0


def complaints(analyze: str, root: Path) -> list[str]:
    """What systemd does not understand in a unit, or does not find."""
    command = [analyze, "verify", "--man=no", "--generators=no", f"--root={root}", "depotbox.target", *services()]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    ours = {path.name for path in UNITS.rglob("*")}
    return [line for line in said.splitlines() if any(name in line for name in ours)]


if __name__ == "__main__":
    sys.exit(main())
