"""Opening `depot.db`, and the one way to write to it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NewType

from sqlite_utils import Database

from appliance import sharing
from appliance.errors import Busy, ConfigError, DiskFull

Row = dict[str, Any]

Tx = NewType("Tx", Database)
"""A database inside a write transaction: only `write_tx` makes one, and what takes one must be called in one."""

BUSY_TIMEOUT_MS = 10_000
_EXPECTED = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    "busy_timeout": BUSY_TIMEOUT_MS,
    "recursive_triggers": 1,
}


def open_depot(path: Path) -> Database:
    """Opens the depot's database; it must have been migrated (role `init`).

    Guarantees WAL, synchronous=FULL and foreign keys (asserted, not assumed). The connection may be handed from one
    thread to another but is never used by two at once. Raises ConfigError where there is no database yet.
    """
    if not path.is_file():
        raise ConfigError("no depot database here", subject=str(path), hint="start the box once: depotbox run")
    db = connect(path)
    db.conn.execute("PRAGMA secure_delete=ON")  # who was erased is gone from the file, too
    return db


def connect(path: Path) -> Database:
    """Opens or creates an SQLite file with the settings above; used for `depot.db` and the GPS day files."""
    with suppress(OSError):  # SQLite says what is wrong
        sharing.touch(path)  # what SQLite makes, its group cannot write to; -wal and -shm get the mode of the file
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    _into_wal(conn)
    conn.execute("PRAGMA synchronous=FULL")
    conn.execute("PRAGMA foreign_keys=ON")
    conn.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    conn.execute("PRAGMA recursive_triggers=ON")  # else INSERT OR REPLACE deletes past the triggers of the logs
    conn.execute("PRAGMA journal_size_limit=16777216")
    for name, expected in _EXPECTED.items():
        found = conn.execute(f"PRAGMA {name}").fetchone()[0]
        if found != expected:
            raise ConfigError(f"PRAGMA {name} is {found!r}, expected {expected!r}", subject=str(path))
    return Database(conn, execute_plugins=False)


def _into_wal(conn: sqlite3.Connection) -> None:
    """SQLite does not wait where two make the same new file a WAL one at once (measured: 4 % of such starts)."""
    end = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            conn.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
            if time.monotonic() >= end:
                raise Busy("another process holds the database", hint="try again") from error
        time.sleep(0.01)


@contextmanager
def write_tx(db: Database, *, synced: bool = True) -> Iterator[Tx]:
    """The one way to write: takes the write lock first (BEGIN IMMEDIATE), so that a read inside is still true at the
    commit. Commits at the end, rolls back on any exception. Never put a network call inside. Raises Busy when
    another writer holds the lock for longer than the busy timeout, and DiskFull when there is no room.

    When it returns, the change is on disk. Without `synced` it survives the end of any process, and a power cut may
    take it back, together with nothing that was written before: only for what another change makes durable, or what
    may as well not have happened (the claim of a job).
    """
    nested = db.conn.in_transaction
    if nested:
        raise RuntimeError("write_tx inside a transaction of the same connection")
    try:
        if not synced:
            db.conn.execute("PRAGMA synchronous=NORMAL")
        _begin(db)  # inside: a time limit that strikes while it waits must not leave the lock taken
        yield Tx(db)
        db.conn.execute("COMMIT")
    except BaseException as error:
        if db.conn.in_transaction:
            db.conn.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError) and is_full(error):
            raise DiskFull("the disk is full", hint="delete what the box does not need from it") from error
        raise
    finally:
        if not synced:
            db.conn.execute("PRAGMA synchronous=FULL")


def wipe(db: Database) -> None:
    """What was overwritten before stands in no file of the depot's database any more: `secure_delete` clears what is
    freed, and here the write-ahead log is emptied; where somebody reads for a second, SQLite does that some time later.
    """
    db.conn.execute("PRAGMA busy_timeout=1000")  # writers wait meanwhile
    db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.conn.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _begin(db: Database) -> None:
    try:
        db.conn.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if _is_busy(error):
            raise Busy("another writer holds the database", hint="try again") from error
        raise


def is_full(error: sqlite3.Error) -> bool:
    """Whether there was no room on the disk: for the data, or for the index of the write-ahead log."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


@contextmanager
def savepoint(tx: Tx) -> Iterator[None]:
    """A part of a transaction: when the block raises, what it wrote is undone, and the transaction may go on."""
    tx.conn.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        if tx.conn.in_transaction:  # a full disk has rolled back the whole transaction already
            tx.conn.execute("ROLLBACK TO part")
            tx.conn.execute("RELEASE part")
        raise
    tx.conn.execute("RELEASE part")


def rows(db: Database, sql: str, *args: Any) -> list[Row]:
    """All rows of a query, as dicts."""
    cursor = db.conn.execute(sql, args)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def row(db: Database, sql: str, *args: Any) -> Row | None:
    """The first row of a query, or None."""
    cursor = db.conn.execute(sql, args)
    found = cursor.fetchone()
    return dict(zip((column[0] for column in cursor.description), found, strict=True)) if found else None


def value(db: Database, sql: str, *args: Any) -> Any:
    """The first column of the first row, or None."""
    found = db.conn.execute(sql, args).fetchone()
    return found[0] if found else None


def insert(tx: Tx, table: str, **columns: Any) -> int:
    """Inserts one row and returns its rowid. Table and column names come from the code, never from outside."""
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    cursor = tx.conn.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))
    return int(cursor.lastrowid or 0)


def update(tx: Tx, table: str, id: int | str, **columns: Any) -> bool:
    """Sets columns of the row with that id; False where there is none."""
    sets = ", ".join(f"{name} = ?" for name in columns)
    cursor = tx.conn.execute(f"UPDATE {table} SET {sets} WHERE id = ?", (*columns.values(), id))
    return cursor.rowcount == 1


def revise(tx: Tx, table: str, id: int, **columns: Any) -> None:
    """Sets columns of a row that people edit, and moves its `version` on."""
    sets = ", ".join(f"{name} = ?" for name in columns)
    tx.conn.execute(f"UPDATE {table} SET {sets}, version = version + 1 WHERE id = ?", (*columns.values(), id))
