"""`make binary`: `dist/depotbox`, the whole box in one file; `dist/depotbox-folder/`, the same for the package; and
`dist/depotbox.cdx.json`, the bill of materials.

    .venv/bin/python packaging/build_binary.py [--lock-servers]

What goes in is locked: the Python packages of `.venv` by `requirements-dev.txt`, the servers by
`debian-packages-*.lock`, the browser libraries by `package-lock.json`. It needs no root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from native_bundle import bundle_step, lock_step
from setup_steps import SetupError, Shell, Step, perform

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".setup"
DIST = ROOT / "dist"


def binary_step() -> Step:
    def build(shell: Shell) -> None:
        if not sysconfig.get_config_var("Py_ENABLE_SHARED") and not Path("/usr/bin/python3").samefile(sys.executable):
            raise SetupError("this Python has no shared library: build with Debian's python3, or --enable-shared")
        for made in (DIST / "depotbox", DIST / "depotbox.cdx.json"):
            made.unlink(missing_ok=True)
        shutil.rmtree(DIST / "depotbox-folder", ignore_errors=True)
        command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level=WARN"]
        folders = ["--distpath", DIST, "--workpath", STATE / "pyinstaller"]
        # A hash seed and a date of their own, so that the same inputs give the same bytes.
        env = {"PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": last_change(), "PYTHONWARNINGS": "ignore"}
        # Code without the columns of each instruction, which only draw ^^^^ into tracebacks: memory of every process.
        env["PYTHONNODEBUGRANGES"] = "1"
        shell.run("PyInstaller", [*command, *folders, ROOT / "packaging" / "depotbox.spec"], cwd=ROOT, env=env)

    products = [DIST / "depotbox", DIST / "depotbox-folder" / "depotbox", DIST / "depotbox.cdx.json"]
    return Step("binary", "the program", os.urandom(16).hex, products, build)


def last_change() -> str:
    """When the newest commit was made, seconds; 0 where there is no git."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "0"


def main(arguments: list[str]) -> int:
    """Exit code 0 when it is built, 1 with one line that says what is missing, 130 after Ctrl-C."""
    STATE.mkdir(exist_ok=True)
    steps = [lock_step(STATE)] if arguments == ["--lock-servers"] else [bundle_step(ROOT, STATE), binary_step()]
    try:
        perform(steps, STATE)
    except KeyboardInterrupt:
        return 130
    except (SetupError, OSError) as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    if (DIST / "depotbox").is_file():
        print(f"dist/depotbox: {(DIST / 'depotbox').stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
