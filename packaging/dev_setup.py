"""`make setup`: everything that running and testing the box on a development machine needs, inside this folder.

    python3 packaging/dev_setup.py [--with-browser] [--with-postgresql]

Run it as often as you like: a step whose inputs have not changed is not done again. It needs Python 3.11 with venv, and
nothing else but (for what the machine lacks) the package registries it is set up for. Root is never needed, except for
Chromium with `--with-browser` and PostgreSQL with `--with-postgresql`.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browser_libs import browser_libs_step
from native_servers import native_step
from setup_steps import SetupError, Shell, Step, digest, find_program, perform, pip_install

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".setup"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST_PYTHON = (3, 11)


def venv_inputs() -> str:
    """A .venv is tied to the folder it was made in and to the Python that it points to."""
    return digest([str(VENV), str(PYTHON.resolve())])


def packages_inputs() -> str:
    return digest([ROOT / "requirements-dev.txt", venv_inputs()])


def project_inputs() -> str:
    return digest([ROOT / "pyproject.toml", ROOT / "appliance" / "__init__.py", packages_inputs()])


def make_venv(shell: Shell) -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise SetupError("this Python cannot make virtual environments: apt-get install python3-venv")
    clear = [] if venv_can_stay() else ["--clear"]
    shell.run("python3 -m venv", [sys.executable, "-m", "venv", *clear, VENV])


def venv_can_stay() -> bool:
    """False for a .venv that is half made, was moved here (its scripts name the old folder) or has another Python."""
    pip = VENV / "bin" / "pip"
    made_here = pip.is_file() and str(VENV) in pip.read_text(encoding="utf-8").partition("\n")[0]
    return made_here and PYTHON.resolve() == Path(sys.executable).resolve()


def install_packages(shell: Shell) -> None:
    try:
        shell.run("pip", [PYTHON, "-m", "pip", "--version"])
    except SetupError:
        # pip is one of the locked packages: a setup that was ended while it replaced itself leaves none.
        shell.run("python3 -m venv", [sys.executable, "-m", "venv", "--clear", VENV])
    pip_install(shell, VENV, "pip install", "--require-hashes", "-r", ROOT / "requirements-dev.txt")


def install_project(shell: Shell) -> None:
    """Editable, so that a change of the source needs no setup; only what is installed from pyproject.toml does."""
    pip_install(shell, VENV, "pip install -e .", "--no-deps", "--no-build-isolation", "-e", ROOT)


def install_chromium(shell: Shell) -> None:
    if find_program("chromium"):
        return
    if not can_install_packages():
        raise SetupError("browser tests need Chromium: run `apt-get install chromium` as root")
    install_with_apt(shell, "chromium")


def install_postgresql(shell: Shell) -> None:
    """The tests of the central office start servers of their own; the system's need not run."""
    if postgresql() is not None:
        return
    if not can_install_packages():
        raise SetupError("tests of the central office need PostgreSQL: run `apt-get install postgresql` as root")
    install_with_apt(shell, "postgresql")


def postgresql() -> str | None:
    """Where its initdb is: Debian keeps it out of the PATH."""
    found = sorted(str(one) for one in Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1] if found else find_program("initdb")


def install_with_apt(shell: Shell, package: str) -> None:
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    apt_get = ["apt-get", "--option=DPkg::Lock::Timeout=300", "--option=Dpkg::Use-Pty=0"]
    install = [*apt_get, "install", "--yes", "--no-install-recommends", package]
    try:
        shell.run(f"apt-get install {package}", install, env=env)
    except SetupError:
        # The usual causes are package lists that are missing (a new machine) or too old.
        shell.run("apt-get update", [*apt_get, "update"], env=env)
        shell.run(f"apt-get install {package}", install, env=env)


def can_install_packages() -> bool:
    return os.geteuid() == 0 and find_program("apt-get") is not None


def is_expected(found: str | None) -> bool:
    """Continuous integration must have all of it, and fails otherwise; a person without root may go without."""
    return found is not None or can_install_packages() or os.environ.get("CI") == "true"


def steps_to_do(with_browser: bool, with_postgresql: bool) -> list[Step]:
    programs = VENV / "bin"
    steps = [
        Step("venv", "virtual environment", venv_inputs, [PYTHON, programs / "pip"], make_venv),
        Step("packages", "locked Python packages", packages_inputs, [programs / "pytest"], install_packages),
        Step("project", "depotbox itself", project_inputs, [programs / "depotbox"], install_project),
        native_step(ROOT, STATE),
        browser_libs_step(ROOT, STATE),
    ]
    if with_browser:
        steps.append(Step("chromium", "Chromium", lambda: digest([find_program("chromium")]), [], install_chromium))
    if with_postgresql:
        steps.append(Step("postgresql", "PostgreSQL", lambda: digest([postgresql()]), [], install_postgresql))
    return steps


@contextmanager
def only_one_setup() -> Iterator[None]:
    """Two at a time in one folder (`make run` here, `make test` there) would undo each other: the second waits."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("setup: waiting for another setup in this folder to end", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """Exit code 0 when everything is there, 1 with one line that says what is not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description="Make everything that `make run` and `make test` need.")
    parser.add_argument("--with-browser", action="store_true", help="also Chromium, for the browser tests")
    parser.add_argument(
        "--with-postgresql", action="store_true", help="also PostgreSQL, for the central office's tests"
    )
    wanted = parser.parse_args(arguments)
    skip_browser = wanted.with_browser and not is_expected(find_program("chromium"))
    skip_postgresql = wanted.with_postgresql and not is_expected(postgresql())
    # Being ended by another program is handled as Ctrl-C is: children first, then one line.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise SetupError(f"Python 3.11 or newer is needed, and {sys.executable} is {sys.version.split()[0]}")
        with only_one_setup():
            with_browser = wanted.with_browser and not skip_browser
            perform(steps_to_do(with_browser, wanted.with_postgresql and not skip_postgresql), STATE)
    except KeyboardInterrupt:
        print("setup: stopped; run it again to go on", file=sys.stderr)
        return 130
    except (SetupError, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    if skip_browser:
        print("setup: no Chromium, so browser tests will be skipped; to have them: apt-get install chromium (as root)")
    if skip_postgresql:
        print("setup: no PostgreSQL, so tests of the central office fail: apt-get install postgresql (as root)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
