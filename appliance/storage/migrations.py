"""Bringing `depot.db` to the schema of this program. Only the role `init` calls it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlite_utils import Database, Migrations

from appliance.errors import ConfigError
from appliance.storage.db import connect, rows, write_tx
from appliance.storage.schema import FIRST

migrations = Migrations("depot")


@migrations(name="0001_first")
def _first(db: Database) -> None:
    for statement in statements(FIRST):
        db.conn.execute(statement)


def migrate(path: Path) -> list[str]:
    """Applies what is pending, all of it in one transaction under the write lock, and returns the names applied.

    Two processes at once do no harm: the second waits for the lock and finds nothing to do. Raises ConfigError
    when the database was written by a newer program.
    """
    db = connect(path)
    try:
        with write_tx(db):
            known = {migration.name for migration in migrations._migrations}
            newer = {migration.name for migration in migrations.applied(db)} - known
            if newer:
                raise ConfigError(
                    f"the database was written by a newer program ({', '.join(sorted(newer))})",
                    subject=str(path),
                    hint="install that version or a newer one",
                )
            pending = [migration.name for migration in migrations.pending(db)]
            migrations.apply(db)
            broken = rows(db, "PRAGMA foreign_key_check")
            if broken:
                raise ConfigError(f"{len(broken)} rows point nowhere after the migration", subject=str(path))
        return pending
    finally:
        db.conn.close()


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction they belong to."""
    collected = ""
    for line in script.splitlines(keepends=True):
        collected += line
        if sqlite3.complete_statement(collected):
            yield collected
            collected = ""
