"""A real PostgreSQL of the tests' own: Debian's program, a folder in memory, a socket in it and no port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from tests.cast import MEMORY
from tests.servers import wait_for

OPTIONS = ("listen_addresses=", "fsync=off", "max_connections=200", "shared_buffers=64MB")


def programs() -> Path | None:
    """The folder with initdb and postgres: Debian keeps them out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


@contextmanager
def running(*settings: str, within: str | None = MEMORY) -> Iterator[str]:
    """The URL of a server that has just one database, `postgres`. Its folder is made in the folder `within`."""
    bin = programs()
    assert bin is not None, "no PostgreSQL here: make setup, or apt-get install postgresql"
    home = Path(tempfile.mkdtemp(prefix="pg-", dir=within))
    as_whom = {}
    options = [part for setting in (*OPTIONS, *settings) for part in ("-c", setting)]
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        as_whom = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
    data, url = home / "data", f"postgresql+psycopg://depot@/postgres?host={home}"
    try:
        subprocess.run(
            [bin / "initdb", "-D", data, "-U", "depot", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
            check=True, cwd=home, stdout=subprocess.DEVNULL, **as_whom,
        )  # fmt: skip
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [bin / "postgres", "-D", data, "-k", home, *options], cwd=home, stdout=log, stderr=log, **as_whom
            )
        try:
            ready = [bin / "pg_isready", "-h", home, "-q"]
            wait_for(
                lambda: subprocess.run(ready, check=False).returncode == 0, f"PostgreSQL answers; see {home}/log", 120
            )
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # fast: it asks nobody
            server.wait(20)
    finally:
        shutil.rmtree(home)


def create(url: str, name: str, template: str = "template1") -> str:
    """A new database, made as a copy of another; returns its URL."""
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    admin.dispose()
    return url.replace("/postgres?", f"/{name}?")


def drop(url: str, name: str) -> None:
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()
