"""Brings the database of the central office to this program's version. Run as often as you like.

`python -m appliance.central.migrate URL NUMBER MESSAGE` writes the next migration from what `tables.py` has and the
database at URL lacks, to be read and mended before it is committed.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, select, text
from ulid import ULID

from appliance.central import tables
from appliance.central.db import Tx, connect, is_postgresql, write_tx
from appliance.errors import ConfigError
from appliance.storage import times

SCRIPTS = Path(__file__).resolve().parent / "migrations"
"""Found by this file: in the frozen program they lie beside it as data."""

_LOCK = 0x6465706F74  # any number, the same for all who migrate


def migrate(engine: Engine, now: datetime) -> str:
    """All migrations that are missing, in one transaction, and the centre's identity the first time. Two at once wait
    for each other. Returns the version. Raises ConfigError where the database is newer than the program."""
    with write_tx(engine) as tx:
        if is_postgresql(tx):
            tx.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        try:
            command.upgrade(_config(tx), "head")
        except CommandError as error:
            raise ConfigError(f"the database is not this program's: {error}", subject="central.database") from error
        _identity(tx, now)
    return head()


def head() -> str:
    return str(ScriptDirectory(str(SCRIPTS)).get_current_head())


def version(connection: Connection) -> str | None:
    """The database's; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def differences(connection: Connection) -> list[object]:
    """What the database has otherwise than `tables.py`: nothing, once it is migrated."""
    return list(compare_metadata(MigrationContext.configure(connection), tables.metadata))


def _identity(tx: Tx, now: datetime) -> None:
    if tx.execute(select(tables.centre.c.id)).first() is None:
        tx.execute(tables.centre.insert().values(id=1, instance=str(ULID()), created_at=times.text(now)))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def main() -> None:
    url, number, message = sys.argv[1:]
    with write_tx(connect(url)) as tx:
        command.revision(_config(tx), message, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    main()
