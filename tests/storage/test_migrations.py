"""Bringing the database to the schema of the program."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlite_utils
from sqlite_utils import Migrations

from appliance.errors import ConfigError
from appliance.storage import migrations as module
from appliance.storage.db import connect, insert, rows, value, write_tx
from appliance.storage.migrations import migrate, statements

FIRST = "0001_first"


def tables(path: Path) -> set[str]:
    db = connect(path)
    found = {table["name"] for table in rows(db, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    db.conn.close()
    return found


def test_the_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    path = tmp_path / "depot.db"
    assert FIRST in migrate(path)
    before = tables(path)
    assert migrate(path) == []
    assert tables(path) == before >= {"trips", "invoices", "jobs", "sync_log", "audit_log", "consents"}


def test_four_at_once_apply_it_once(tmp_path: Path) -> None:
    """Several times, since they meet at their worst (the change to WAL) only now and then."""
    for attempt in range(10):
        path = tmp_path / f"{attempt}.db"
        applied: list[list[str]] = []
        start = threading.Barrier(4)

        def one(path: Path = path, applied: list[list[str]] = applied, start: threading.Barrier = start) -> None:
            start.wait()
            applied.append(migrate(path))

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(applied)[:3] == [[], [], []]
        assert FIRST in sorted(applied)[3]


def test_a_database_of_a_newer_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "depot.db"
    migrate(path)
    db = connect(path)
    with write_tx(db) as tx:
        insert(tx, "_sqlite_migrations", migration_set="depot", name="9999_future", applied_at="2030-01-01")
    db.conn.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"newer program \(9999_future\)"):
        migrate(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "depot.db"
    broken = Migrations("depot")

    @broken(name=FIRST)
    def _first(db: sqlite_utils.Database) -> None:
        db["made"].insert({"id": 1})

    @broken(name="0002_breaks")
    def _second(db: sqlite_utils.Database) -> None:
        db.conn.execute("CREATE TABLE half (id INTEGER)")
        raise RuntimeError("in the middle")

    monkeypatch.setattr(module, "migrations", broken)
    with pytest.raises(RuntimeError, match="in the middle"):
        migrate(path)
    monkeypatch.undo()
    assert tables(path) == set()
    assert FIRST in migrate(path)


def test_rows_that_point_nowhere_after_a_migration_undo_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "depot.db"
    careless = Migrations("depot")

    @careless(name=FIRST)
    def _first(db: sqlite_utils.Database) -> None:
        db.conn.execute("PRAGMA defer_foreign_keys=ON")
        db.conn.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        db.conn.execute("CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id))")
        db.conn.execute("INSERT INTO children VALUES (1, 9)")

    monkeypatch.setattr(module, "migrations", careless)
    with pytest.raises(ConfigError, match="1 rows point nowhere"):
        migrate(path)
    assert tables(path) == set()


def test_the_parts_of_a_trigger_are_one_statement() -> None:
    script = "CREATE TABLE a (b);\nCREATE TRIGGER c AFTER INSERT ON a\n BEGIN SELECT 1; SELECT 2; END;\n"
    assert len(list(statements(script))) == 2


def test_foreign_keys_hold(tmp_path: Path) -> None:
    path = tmp_path / "depot.db"
    migrate(path)
    db = connect(path)
    with pytest.raises(sqlite_utils.db.sqlite3.IntegrityError, match="FOREIGN KEY"), write_tx(db) as tx:
        insert(tx, "devices", uid="u", vehicle_id=9, username="n", password_hash="h", created_at="t")
    assert value(db, "SELECT count(*) FROM devices") == 0
    db.conn.close()
