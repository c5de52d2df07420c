"""The database of the central office: SQLite or PostgreSQL, and the one way to write to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NewType

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Table,
    create_engine,
    event,
    func,
    literal,
    literal_column,
    make_url,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy import Engine as Engine  # noqa: PLC0414  # passed on, for nobody else knows SQLAlchemy
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError

from appliance.central import tables
from appliance.errors import Busy, ConfigError, Unavailable

Row = dict[str, Any]

Tx = NewType("Tx", Connection)
"""A connection inside a write transaction: only `write_tx` makes one, and what takes one must be called in one."""

BUSY_TIMEOUT_S = 10
_EXPECTED = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": BUSY_TIMEOUT_S * 1000}


def connect(url: str, *, pool: int = 10) -> Engine:
    """The engine for a URL; touches nothing yet. Raises ConfigError where the URL is none of the two databases."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed, pool)
        if parsed.get_backend_name() == "postgresql":
            return _postgresql(parsed, pool)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise ConfigError("cannot be understood", subject="central.database", hint=_FORM) from error
    raise ConfigError("expected SQLite or PostgreSQL", subject="central.database", hint=_FORM)


_FORM = "for instance postgresql://user:password@host/database; empty for SQLite"


def _sqlite(url: URL, pool: int) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError("expected a file", subject="central.database", hint=_FORM)
    Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(
        url, connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_S}, pool_size=pool, max_overflow=40
    )

    @event.listens_for(engine, "connect")
    def settle(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA journal_size_limit=67108864")
        for name, expected in _EXPECTED.items():
            found = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if found != expected:
                raise ConfigError(f"PRAGMA {name} is {found!r}, expected {expected!r}", subject="central.database")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A write takes the lock first, so that what it has read is still true at its commit.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: URL, pool: int) -> Engine:
    # No transaction may hold a depot's row, or the order of the revisions, for long.
    limits = f"-c lock_timeout={BUSY_TIMEOUT_S}s -c statement_timeout=120s -c idle_in_transaction_session_timeout=60s"
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": 10, "options": limits},
        pool_size=pool,
        max_overflow=40,
        pool_pre_ping=True,
    )


def is_postgresql(engine: Engine | Connection) -> bool:
    return engine.dialect.name == "postgresql"


@contextmanager
def write_tx(engine: Engine) -> Iterator[Tx]:
    """The one way to write: commits at the end, on disk when it returns, and rolls back on any exception. On SQLite
    writers come one after another; on PostgreSQL whoever changes what is a depot's locks the depot's row first. Raises
    Busy where somebody else holds what it needs, Unavailable where the database does not answer."""
    with _answering(), engine.connect() as connection, connection.execution_options(writes=True).begin():
        yield Tx(connection)


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """A connection for reading: one snapshot on SQLite, each statement its own on PostgreSQL."""
    with _answering(), engine.connect() as connection:
        yield connection


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        said = str(error.orig).splitlines()[0] if error.orig else str(error)
        if _is_busy(error.orig):
            raise Busy("another writer holds the database", hint="try again") from error
        if "no such table" in said:
            raise ConfigError("it has no tables yet", subject="central.database", hint=_MIGRATE) from error
        raise Unavailable(f"the database does not answer: {said}", subject="central.database") from error


_MIGRATE = "depotbox central migrate"


def _is_busy(error: BaseException | None) -> bool:
    """SQLite's lock, PostgreSQL's lock_timeout, a deadlock that it broke."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return bool(code & 0xFF == 5)  # SQLITE_BUSY
    return getattr(error, "sqlstate", None) in ("55P03", "40P01", "40001")


def rows(connection: Connection, query: Any, **options: Any) -> list[Row]:
    """All rows of a query, as dicts."""
    return list(each(connection, query, **options))


def each(connection: Connection, query: Any, **options: Any) -> Iterator[Row]:
    """The rows of a query, as dicts, one after another."""
    found = connection.execute(query, execution_options=options)
    names = list(map(str, found.keys()))  # SQLAlchemy's own are a kind of str that msgspec does not take
    return (dict(zip(names, one, strict=True)) for one in found)


def row(connection: Connection, query: Any) -> Row | None:
    """The first row of a query, or None."""
    found = connection.execute(query)
    names, first = map(str, found.keys()), found.first()
    return dict(zip(names, first, strict=True)) if first is not None else None


def insert(table: Table, connection: Connection) -> Any:
    """INSERT in the words of the database in use, for ON CONFLICT."""
    return postgresql.insert(table) if is_postgresql(connection) else sqlite.insert(table)


def insert_new(tx: Tx, table: Table, found: Sequence[Mapping[str, Any]]) -> None:
    """Inserts those rows whose key is not there yet."""
    if found:
        tx.execute(insert(table, tx).on_conflict_do_nothing(), list(found))


def upsert_newest(tx: Tx, table: Table, found: Iterable[Mapping[str, Any]]) -> None:
    """Puts rows of a read model in the place of older ones of the same thing: by (epoch, seq), whatever order they come
    in. Their order here is that of their keys, so that two at once never wait for each other in a circle."""
    key = [column.name for column in table.primary_key]
    made = sorted(found, key=lambda one: tuple(one[name] for name in key))
    if not made:
        return
    statement = insert(table, tx)
    new = statement.excluded
    newer: ColumnElement[bool] = tuple_(new.epoch, new.seq) > tuple_(table.c.epoch, table.c.seq)
    if "origin" in table.c:
        newer &= table.c.origin == new.origin
    values = {name: new[name] for name in made[0] if name not in key}
    tx.execute(statement.on_conflict_do_update(index_elements=key, set_=values, where=newer), made)


def next_revision(tx: Tx) -> int:
    """The revision of what this transaction changes.

    SQLite has one writer at a time, so a counter is enough. On PostgreSQL it is the transaction's own id, for a counter
    would make all workers wait for each other; `settled` says up to where no transaction is under way any more.
    """
    if is_postgresql(tx):
        given = text("SELECT revision + pg_current_xact_id()::text::bigint FROM centre")
    else:
        tx.execute(update(tables.centre).values(revision=tables.centre.c.revision + 1))
        given = text("SELECT revision FROM centre")
    return int(tx.execute(given).scalar_one())


def settled(connection: Connection) -> ColumnElement[int]:
    """Below this revision nothing is to come any more: who has read so far has missed nothing."""
    if is_postgresql(connection):
        return literal_column("(SELECT revision + pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM centre)")
    return literal(2**63 - 1)


def insert_id(tx: Tx, table: Table, **values: Any) -> int:
    """Inserts one row and returns the id that it was given."""
    return int(tx.execute(table.insert().values(**values).returning(table.c.id)).scalar_one())


def value(connection: Connection, query: Any) -> Any:
    """The first column of the first row, or None."""
    return connection.execute(query).scalar()


def count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
