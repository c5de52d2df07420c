"""What the schema itself holds, whatever a program tries."""

from __future__ import annotations

import sqlite3

import pytest
from sqlite_utils import Database

from appliance.storage import audit, sync_log
from appliance.storage.db import row, rows, value, write_tx
from tests.cast import NOON

SYNC_COLUMNS = ("epoch", "stream", "seq", "kind", "uid", "snapshot", "hash", "chain", "created_at")


@pytest.fixture
def logged(depot_db: Database) -> Database:
    with write_tx(depot_db) as tx:
        audit.record(tx, "ann", "device.added", "device", "u1", NOON)
        sync_log.append(tx, "trips", "trip", "u1", {"state": "assigned"}, NOON)
    return depot_db


def test_every_table_is_strict(depot_db: Database) -> None:
    loose = {
        table["name"]
        for table in rows(depot_db, "PRAGMA table_list")
        if table["schema"] == "main" and table["type"] == "table" and not table["strict"]
    }
    assert loose - {"sqlite_schema", "sqlite_sequence"} <= {"_sqlite_migrations"}


def test_a_text_in_a_column_of_numbers_is_refused(depot_db: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT"), write_tx(depot_db) as tx:
        tx.conn.execute("INSERT INTO invoice_counters VALUES ('this year', 'A', 1)")


@pytest.mark.parametrize("table", ["audit_log", "sync_log"])
def test_a_log_keeps_every_row(logged: Database, table: str) -> None:
    before = rows(logged, f"SELECT * FROM {table}")
    with pytest.raises(sqlite3.IntegrityError, match=r"kept|append-only"), write_tx(logged) as tx:
        tx.conn.execute(f"DELETE FROM {table}")
    assert rows(logged, f"SELECT * FROM {table}") == before != []


@pytest.mark.parametrize("table", ["audit_log", "sync_log"])
def test_a_row_of_a_log_cannot_be_replaced(logged: Database, table: str) -> None:
    """INSERT OR REPLACE deletes without asking the triggers, unless they are recursive."""
    before = rows(logged, f"SELECT * FROM {table}")
    names = ", ".join(before[0])
    with pytest.raises(sqlite3.IntegrityError, match=r"kept|append-only"), write_tx(logged) as tx:
        tx.conn.execute(f"INSERT OR REPLACE INTO {table} ({names}) SELECT {names} FROM {table}")
    assert rows(logged, f"SELECT * FROM {table}") == before


@pytest.mark.parametrize("column", ["at", "who", "action", "subject", "subject_uid", "detail"])
def test_no_column_of_the_audit_log_can_be_changed(logged: Database, column: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), write_tx(logged) as tx:
        tx.conn.execute(f"UPDATE audit_log SET {column} = 'x'")


@pytest.mark.parametrize("column", SYNC_COLUMNS)
def test_no_column_of_a_snapshot_can_be_changed(logged: Database, column: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="immutable"), write_tx(logged) as tx:
        tx.conn.execute(f"UPDATE sync_log SET {column} = {column}")


def test_only_the_answer_of_the_central_office_is_written_to_a_snapshot(logged: Database) -> None:
    columns = set(row(logged, "SELECT * FROM sync_log") or {})
    assert columns - set(SYNC_COLUMNS) == {"acknowledged_at", "rejected_reason", "again"}
    with write_tx(logged) as tx:
        tx.conn.execute("UPDATE sync_log SET acknowledged_at = 'now', rejected_reason = 'why'")
    assert value(logged, "SELECT rejected_reason FROM sync_log") == "why"
