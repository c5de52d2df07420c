"""What goes into the frozen program, worked out from the project's own tables and lock files.

PyInstaller follows import statements. What the project names in tables (commands, roles, Celery's modules), and what
libraries load by name, is found here.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

ROOT = Path(__file__).resolve().parent.parent

# Packages of no use in a box, and large: pip is needed by a command of sqlite-utils; faker and polyfactory make test
# data; pygments colours source code; Pillow reads pictures for fpdf2, and no invoice has one; pycparser is cffi's.
NEVER = ("pip", "faker", "polyfactory", "pygments", "pillow", "pycparser")
# billiard does without it as well as with it, and then no pool process has to understand declarations in C. Of cffi's
# package only what argon2 and cryptography are compiled for is left, `_cffi_backend`.
NEVER_MODULES = ("cffi",)
# Parts of the standard library that need a screen or a compiler, or are about the library itself; readline and the
# two databases would bring libraries under the GPL.
NOT_OF_STDLIB = (
    "antigravity", "distutils", "ensurepip", "idlelib", "lib2to3", "nis", "pydoc_data", "test", "this", "tkinter",
    "turtle", "turtledemo", "venv", "_tkinter", "readline", "_dbm", "_gdbm",
)  # fmt: skip
NEVER_READ_DOCSTRINGS = ("amqp", "anyio", "dateutil", "jinja2", "redis", "sqlite_utils", "structlog")
UNREAD = re.compile(r"\.dist-info/(RECORD|WHEEL|INSTALLER|REQUESTED|top_level\.txt|zip-safe|direct_url\.json)$")
# Celery's parts for other projects: they import what is not installed.
NOT_OF_CELERY = ("celery.contrib.testing", "celery.contrib.pytest", "celery.contrib.sphinx", "celery.contrib.django")


def project_packages() -> list[str]:
    found: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    return found


def project_modules() -> list[str]:
    """Every module of the project, by its files."""
    modules = []
    for package in project_packages():
        folder = ROOT / package.replace(".", "/")
        modules += [package, *(f"{package}.{file.stem}" for file in folder.glob("*.py") if file.stem[:2] != "__")]
    return sorted(modules)


def named_in_tables() -> list[str]:
    """The modules of the commands, the roles and the tasks."""
    from appliance.cli.main import COMMANDS
    from appliance.roles import ROLES
    from tasks.celery import app

    entries = [entry for entry, _ in COMMANDS.values()] + [role.entry for role in ROLES if isinstance(role.entry, str)]
    return sorted({entry.partition(":")[0] for entry in entries} | set(app.conf.include))


def standard_library() -> list[str]:
    """All of it that Linux has: a depot's own tasks (`tasks.folder`) may import any of it."""
    names = [name for name in sorted(sys.stdlib_module_names) if name not in NOT_OF_STDLIB]
    present = [name for name in names if name in sys.builtin_module_names or importlib.util.find_spec(name)]
    return [module for name in present for module in collect_submodules(name, filter=no_test)] + present


def no_test(module: str) -> bool:
    return not re.search(r"(^|\.)(tests?|__main__)(\.|$)", module)


def hidden_imports() -> list[str]:
    celery = collect_submodules("celery", filter=lambda name: not name.startswith(NOT_OF_CELERY))
    libraries = ["kombu.transport.redis", "kombu.transport.virtual", *collect_submodules("uvicorn.protocols")]
    # What the central office's database is spoken to with; the migrations, which are data, import alembic.op.
    alembic = collect_submodules("alembic", filter=lambda name: not name.startswith("alembic.testing"))
    dialects = ["sqlalchemy.dialects.sqlite.pysqlite", "sqlalchemy.dialects.postgresql.psycopg", "psycopg_binary"]
    ours = {*project_modules(), *named_in_tables()}
    return sorted({*ours, *celery, *libraries, *alembic, *dialects, *standard_library()})


def locked(file: str) -> set[str]:
    """The names of the packages that a lock file has."""
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (ROOT / file).read_text(), flags=re.MULTILINE))


def box_distributions() -> list[str]:
    """The packages that the box is made of: those locked for it, without what a box never uses."""
    return sorted(locked("requirements.txt") - set(NEVER))


def excluded() -> list[str]:
    """Modules that must not get in, though some library imports them where they are there: the developers' packages."""
    box = set(box_distributions())
    own = {package.partition(".")[0] for package in project_packages()}
    others = {
        module
        for module, distributions in packages_distributions().items()
        if module not in own and not box & {canonical(name) for name in distributions}
    }
    return sorted({*others, *NEVER_MODULES, *NOT_OF_STDLIB})


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def data_files() -> list[tuple[str, str]]:
    """(file or folder, where to) of the pages, of the central office's migrations, of what libraries read beside their
    code, and of their licences."""
    web = [(str(ROOT / "web" / name), f"web/{name}") for name in ("templates", "static", "vendor")]
    beside = collect_data_files("flower") + collect_data_files("tzdata")
    licences = [pair for name in box_distributions() for pair in copy_metadata(name)]
    central = [
        (str(file), str(file.parent.relative_to(ROOT)))
        for file in sorted((ROOT / "appliance" / "central" / "migrations").rglob("*"))
        if file.suffix in (".py", ".mako")
    ]
    return [*web, (str(ROOT / "web" / "icons.json"), "web"), *central, *beside, *licences]


def thinned(datas: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Without what installers leave beside a package's licence and description, and with one set of time zones: pytz
    has a second one, of as many files."""
    kept = [one for one in datas if not UNREAD.search(one[0]) and not one[0].startswith("pytz/zoneinfo/")]
    return [*kept, ("pytz/zoneinfo", "../tzdata/zoneinfo", "SYMLINK")]


def without_docstrings(modules: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Compiles the libraries that never read their own docstrings as `python -OO` does: a megabyte in each process.
    (A new list is compiled anew: what PyInstaller has compiled by now, it knows by the identity of its own list.)"""
    bare = {*sys.stdlib_module_names, *NEVER_READ_DOCSTRINGS}
    return [(name, file, "PYMODULE-2" if name.partition(".")[0] in bare else kind) for name, file, kind in modules]


def shared(binaries: Iterable[tuple[str, str, str]], servers: Path) -> list[tuple[str, str, str]]:
    """A library that the servers bring, too, is there once: theirs, which is locked."""
    theirs = {file.name for file in (servers / "lib").iterdir()}
    return [
        (name, f"native/lib/{name}", "SYMLINK") if name in theirs else (name, file, kind)
        for name, file, kind in binaries
    ]


def in_folder(folder: Path, target: str) -> Iterable[tuple[str, str, str]]:
    """The folder's files as PyInstaller has them after its analysis: they are copied, neither read nor stripped."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield f"{target}/{file.relative_to(folder)}", str(file), "DATA"
