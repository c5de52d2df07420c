"""The depot's database for a command, and who gives it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

from sqlite_utils import Database

from appliance.config import Settings
from appliance.storage.db import open_depot


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database of the data folder, while the box runs or not. Raises ConfigError where there is none yet."""
    db = open_depot(settings.paths.depot_db)
    try:
        yield db
    finally:
        db.conn.close()


def operator() -> str:
    """Who gives the command, for the audit log: the login name on this machine."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return "cli"
