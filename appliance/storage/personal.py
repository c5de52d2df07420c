"""What stands in the database about people, so that it can be found, and taken out, where it must not be."""

from __future__ import annotations

from collections.abc import Iterator

from sqlite_utils import Database

_NAMES = ("patients.name", "users.name", "drivers.name")
_TEXTS = (
    "patients.address", "patients.phone", "patients.email", "users.email", "drivers.phone", "drivers.email",
    "drivers.licence_no", "payers.address", "payers.email", "trips.pickup_address", "trips.dropoff_address",
    "mails.recipient", "trip_events.note",
)  # fmt: skip


def names(db: Database) -> Iterator[str]:
    """The names of people."""
    yield from _of(db, _NAMES)
    yield from (str(name) for (name,) in db.conn.execute("SELECT name FROM payers WHERE kind = 'patient'"))


def texts(db: Database) -> Iterator[str]:
    """Addresses, telephone numbers, e-mail addresses and notes of people."""
    yield from _of(db, _TEXTS)


def _of(db: Database, columns: tuple[str, ...]) -> Iterator[str]:
    for place in columns:
        table, _, column = place.partition(".")
        for (text,) in db.conn.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {column} <> ''"):
            yield str(text)
