"""`make deb`: the Debian package of the folder that `make binary` made, into `dist/`.

    .venv/bin/python packaging/build_deb.py [--version VERSION]

It needs debhelper (13) and dpkg-dev; lintian reads the package where it is there. Neither root nor the network is used.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from build_binary import DIST, ROOT, STATE, last_change
from setup_steps import SetupError, Shell, Step, find_program, perform

FOLDER = DIST / "depotbox-folder"


def lay_out(source: Path, version: str) -> None:
    """The source package: `debian/` beside what goes in."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "packaging" / "debian", source / "debian")
    shutil.copytree(FOLDER, source / "depotbox", symlinks=True)
    shutil.copytree(ROOT / "systemd" / "system", source / "system", symlinks=True)
    shutil.copytree(ROOT / "docs", source / "docs")
    shutil.copy(
        ROOT / "CHANGELOG.md", source / "docs" / "releases.md"
    )  # by its own name it would be Debian's changelog
    for file in (DIST / "depotbox.cdx.json", ROOT / "systemd" / "depotbox.toml"):
        shutil.copy(file, source)
    for kind in ("sysusers", "tmpfiles"):
        shutil.copy(ROOT / "systemd" / f"{kind}.conf", source / "debian" / f"depotbox.{kind}")
    made = format_datetime(datetime.fromtimestamp(int(last_change()), UTC))
    (source / "debian" / "changelog").write_text(
        f"depotbox ({version}) bookworm; urgency=medium\n\n"
        "  * Built from the project's own sources; see CHANGELOG.md.\n\n"
        f" -- Depot box <box@depot.example>  {made}\n"
    )


def deb_step(version: str) -> Step:
    made = DIST / f"depotbox_{version}_amd64.deb"

    def build(shell: Shell) -> None:
        if not (FOLDER / "depotbox").is_file():
            raise SetupError("there is no dist/depotbox-folder: make binary")
        for program, package in (("dpkg-buildpackage", "dpkg-dev"), ("dh", "debhelper")):
            if not find_program(program):
                raise SetupError(f"no {program} here: apt-get install {package}")
        source = STATE / "deb" / f"depotbox-{version}"
        lay_out(source, version)
        shell.run("dpkg-buildpackage", ["dpkg-buildpackage", "--build=binary", "-us", "-uc"], cwd=source)
        shutil.copy(source.parent / made.name, made)
        shutil.rmtree(source.parent)

    return Step("deb", "the package", os.urandom(16).hex, [made], build)


def project_version() -> str:
    text = (ROOT / "appliance" / "__init__.py").read_text()
    return str(tomllib.loads(next(line for line in text.splitlines() if line.startswith("__version__")))["__version__"])


def main() -> int:
    """Exit code 0 when it is built and lintian finds nothing, 1 with one line that says what is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", default=project_version())
    version = parser.parse_args().version
    STATE.mkdir(exist_ok=True)
    try:
        perform([deb_step(version)], STATE)
    except (SetupError, OSError) as error:
        print(f"deb: {error}", file=sys.stderr)
        return 1
    made = DIST / f"depotbox_{version}_amd64.deb"
    print(f"{made.relative_to(ROOT)}: {made.stat().st_size / 1e6:.1f} MB")
    if not find_program("lintian"):
        print("deb: not looked through, there is no lintian here (apt-get install lintian)")
        return 0
    return subprocess.run(["lintian", "--fail-on=error,warning", "--tag-display-limit=0", made], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
