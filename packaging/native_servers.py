"""redis-server and mosquitto out of Debian's packages, without root. glibc is always the system's.

For a development machine: the system's own, or unpacked below `.native/`. There `.native/bin/<program>` is a small
wrapper around `.native/libexec/<program>`, so that that program alone sees the unpacked libraries in `.native/lib`.

For the single program (`native_bundle.py`): the programs with all of their libraries, of locked packages.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from setup_steps import SetupError, Shell, Step, digest, find_program

# The Debian package of each program.
PACKAGES = {
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "mosquitto": "mosquitto",
    "mosquitto_passwd": "mosquitto",
}
# How each shows that it starts. mosquitto's own two answer a request for help with 1 or 3, never with 0.
SHOWS_ITSELF = {"redis-server": "--version", "redis-cli": "--version", "mosquitto": "-h", "mosquitto_passwd": "-h"}
STARTED = (0, 1, 3)
# The packages of this machine.
INSTALLED = Path("/var/lib/dpkg/status")
# A second glibc beside the system's loader crashes whatever loads it.
GLIBC_PACKAGES = ("libc6", "libc-bin")
WRAPPER = """#!/bin/sh
here=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
exec env LD_LIBRARY_PATH="$here/lib" "$here/libexec/{program}" "$@"
"""


def native_step(root: Path, state: Path) -> Step:
    native = root / ".native"
    missing = [program for program in PACKAGES if find_program(program) is None]

    def inputs() -> str:
        return digest([Path(__file__), *(find_program(program) for program in PACKAGES)])

    def build(shell: Shell) -> None:
        shutil.rmtree(native, ignore_errors=True)
        if missing:
            unpack_servers(shell, missing, state / "apt", native)
        for program in PACKAGES:
            path = native / "bin" / program if program in missing else find_program(program)
            shell.run(f"starting {program}", [path, SHOWS_ITSELF[program]], fine=STARTED)

    products = [native / "bin" / program for program in missing]
    return Step("servers", "redis and mosquitto", inputs, products, build)


def unpack_servers(shell: Shell, programs: Sequence[str], work: Path, native: Path) -> None:
    """Put the programs, and those of their libraries that this machine lacks, into `native`; needs no root."""
    if find_program("apt-get") is None or find_program("dpkg") is None:
        raise SetupError(f"{', '.join(programs)} not found: install redis and mosquitto with your package manager")
    shutil.rmtree(work, ignore_errors=True)
    downloads, tree = work / "downloads", work / "root"
    for folder in (downloads, tree, work / "state/lists/partial", work / "cache/archives/partial"):
        folder.mkdir(parents=True)
    packages = packages_to_fetch(shell, sorted({PACKAGES[program] for program in programs}), work)
    shell.run("apt-get download", [*apt_get(work), "download", *packages], cwd=downloads)
    for package in sorted(downloads.glob("*.deb")):
        shell.run("dpkg -x", ["dpkg", "-x", package, tree])
    for program in programs:
        install_program(shell, program, tree, native)
    shutil.rmtree(work)


def apt_get(work: Path, status: Path = INSTALLED) -> list[str]:
    """apt-get with the machine's sources but its own lists and cache, so that an ordinary user may update them.
    `status` says what counts as installed."""
    settings = {
        "Dir::State": work / "state",
        "Dir::State::status": status,
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": 3,
    }
    return ["apt-get", *(f"--option={name}={value}" for name, value in settings.items())]


def packages_to_fetch(shell: Shell, wanted: Sequence[str], work: Path, status: Path = INSTALLED) -> list[str]:
    """The wanted packages and what they need that is not installed here, as apt itself works it out."""
    update_failed: SetupError | None = None
    try:
        shell.run("apt-get update", [*apt_get(work, status), "update", "--error-on=any"])
    except SetupError as error:
        # One unreachable source out of several is no obstacle if the others have the packages.
        update_failed = error
    # --reinstall: a package may be installed and its program yet not be found, where PATH is unusual.
    install = ["install", "--simulate", "--reinstall", "--no-install-recommends", *wanted]
    try:
        plan = shell.run("apt-get install --simulate", [*apt_get(work, status), *install])
    except SetupError as error:
        raise update_failed or error from None
    return planned_packages(plan)


def planned_packages(plan: str) -> list[str]:
    """Package names out of apt's simulated installation, without those of glibc.

    >>> planned_packages("Inst liblzf1 (3.6-3 Debian:12.0/stable [amd64])\\nConf liblzf1 (3.6-3)")
    ['liblzf1']
    """
    names = re.findall(r"^Inst (\S+)", plan, flags=re.MULTILINE)
    return sorted({name for name in names if name.partition(":")[0] not in GLIBC_PACKAGES})


def install_program(shell: Shell, program: str, tree: Path, native: Path) -> None:
    """Copy one program with its wrapper, and the libraries that it loads from the unpacked tree."""
    for folder in ("bin", "lib", "libexec"):
        (native / folder).mkdir(parents=True, exist_ok=True)
    unpacked = find_unpacked(program, tree)
    shutil.copy(unpacked, native / "libexec" / program)
    for name, path in libraries_of(shell, unpacked, tree).items():
        if tree in path.parents:
            shutil.copy(path, native / "lib" / name)
    wrapper = native / "bin" / program
    wrapper.write_text(WRAPPER.format(program=program), encoding="ascii")
    wrapper.chmod(0o755)


def libraries_of(shell: Shell, program: Path, tree: Path) -> dict[str, Path]:
    """What the program loads, from the unpacked tree where that has it. Raises SetupError for what is nowhere."""
    folders = [str(folder) for pattern in ("lib/*-linux-gnu*", "usr/lib/*-linux-gnu*") for folder in tree.glob(pattern)]
    env = {"LD_LIBRARY_PATH": os.pathsep.join(folders)}
    found = loaded_libraries(shell.run(f"ldd {program.name}", ["ldd", program], env=env))
    for name, path in found.items():
        if path is None:
            raise SetupError(f"{program.name} needs {name}, which no package brought")
    return {name: path for name, path in found.items() if path is not None}


def find_unpacked(program: str, tree: Path) -> Path:
    """The program's real file; in Debian's package redis-server is a link to another name."""
    for folder in ("usr/bin", "usr/sbin"):
        path = tree / folder / program
        if path.exists():
            return path.resolve()
    raise SetupError(f"{program} is not in the package {PACKAGES[program]}")


def loaded_libraries(listing: str) -> dict[str, Path | None]:
    """Library names and where the loader found them (None: nowhere), out of what ldd prints.

    >>> loaded_libraries("libm.so.6 => /lib/libm.so.6 (0x0000)\\n liblzf.so.1 => not found")
    {'libm.so.6': PosixPath('/lib/libm.so.6'), 'liblzf.so.1': None}
    """
    found = re.findall(r"^\s*(\S+) => (/\S+|not found)", listing, flags=re.MULTILINE)
    return {name: None if path == "not found" else Path(path) for name, path in found}
