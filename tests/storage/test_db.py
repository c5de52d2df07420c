"""The one way to open the database, and the one way to write to it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance.config import Settings
from appliance.errors import Busy, ConfigError, DiskFull
from appliance.storage.db import connect, insert, open_depot, row, rows, savepoint, update, value, write_tx
from tests.servers import wait_for

IMPATIENT = "PRAGMA busy_timeout=50"
PATIENT = "PRAGMA busy_timeout=5000"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.db"
    db = connect(path)
    with write_tx(db) as tx:
        tx.conn.execute("CREATE TABLE counts (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT")
        insert(tx, "counts", n=0)
    db.conn.close()
    return path


@pytest.fixture
def db(file: Path) -> Iterator[Database]:
    found = connect(file)
    yield found
    found.conn.close()


@pytest.fixture
def rival(file: Path) -> Iterator[Database]:
    """Another connection to the same file."""
    found = connect(file)
    found.conn.execute(IMPATIENT)
    yield found
    found.conn.close()


def test_a_full_disk_is_an_error_of_its_own_and_what_was_committed_stays(db: Database) -> None:
    """The limit on the pages of a file has the same outcome as a disk without room."""
    pages = value(db, "PRAGMA page_count")
    db.conn.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(DiskFull), write_tx(db) as tx:
        tx.conn.executemany("INSERT INTO counts (n) VALUES (?)", [(n,) for n in range(10_000)])
    assert value(db, "SELECT count(*) FROM counts") == 1
    db.conn.execute(f"PRAGMA max_page_count={pages + 100}")
    with write_tx(db) as tx:
        insert(tx, "counts", n=1)
    assert value(db, "SELECT count(*) FROM counts") == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),  # FULL: a commit is on the disk when it returns
        ("foreign_keys", 1),
        ("busy_timeout", 10_000),
        ("recursive_triggers", 1),
        ("journal_size_limit", 16 * 1024 * 1024),
    ],
)
def test_an_open_depot_has_the_promised_settings(depot: Settings, name: str, expected: object) -> None:
    db = open_depot(depot.paths.depot_db)
    assert db.conn.execute(f"PRAGMA {name}").fetchone()[0] == expected
    db.conn.close()


def test_a_file_system_on_which_a_setting_does_not_hold_is_refused() -> None:
    """A database in memory has no write-ahead log."""
    with pytest.raises(ConfigError, match="journal_mode is 'memory', expected 'wal'"):
        connect(Path(":memory:"))


def test_a_folder_without_a_depot_is_one_line_and_stays_without_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no depot database here \(start the box once: depotbox run\)"):
        open_depot(tmp_path / "depot.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_is_raised_inside_undoes_all_and_gives_the_lock_back(
    db: Database, rival: Database, error: type[BaseException]
) -> None:
    with pytest.raises(error), write_tx(db) as tx:  # noqa: PT012  the transaction is what is tested
        insert(tx, "counts", n=1)
        raise error
    with write_tx(rival) as tx:
        assert value(tx, "SELECT count(*) FROM counts") == 1


def test_nobody_reads_what_is_not_committed(db: Database, rival: Database) -> None:
    with write_tx(db) as tx:
        insert(tx, "counts", n=1)
        assert value(rival, "SELECT count(*) FROM counts") == 1
    assert value(rival, "SELECT count(*) FROM counts") == 2


def test_a_second_writer_is_told_busy_after_its_timeout(db: Database, rival: Database) -> None:
    with write_tx(db) as tx:
        with pytest.raises(Busy, match="another writer"), write_tx(rival):
            pytest.fail("there is only one lock")
        insert(tx, "counts", n=1)
    with write_tx(rival) as tx:
        assert value(tx, "SELECT count(*) FROM counts") == 2


def test_a_second_writer_waits_and_then_sees_what_the_first_has_written(db: Database, rival: Database) -> None:
    rival.conn.execute(PATIENT)
    seen: list[int] = []

    def second() -> None:
        with write_tx(rival) as tx:
            seen.append(value(tx, "SELECT n FROM counts"))

    thread = threading.Thread(target=second)
    with write_tx(db) as tx:
        thread.start()
        update(tx, "counts", 1, n=7)
        thread.join(0.05)
        assert not seen
    thread.join(5)
    assert seen == [7]


def test_two_processes_that_read_and_then_write_lose_no_update(file: Path, db: Database) -> None:
    """A deferred transaction fails here with BUSY_SNAPSHOT (traps.md)."""
    script = (
        "import sys; from pathlib import Path; from appliance.storage.db import *; db = connect(Path(sys.argv[1]))\n"
        "for _ in range(50):\n"
        "    with write_tx(db) as tx: update(tx, 'counts', 1, n=value(tx, 'SELECT n FROM counts') + 1)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, file]) for _ in range(2)]
    assert [process.wait(20) for process in both] == [0, 0]
    assert value(db, "SELECT n FROM counts") == 100


def test_another_connection_of_the_process_takes_no_lock_from_the_first(file: Path, db: Database) -> None:
    """Without its lock, the next process that closes takes itself for the last one and deletes the log under it."""
    insert_one = "INSERT INTO counts (n) VALUES (7)"
    db.conn.execute(insert_one)
    connect(file).conn.close()
    script = "import sys; from appliance.storage.db import connect; from pathlib import Path;"
    script += f" db = connect(Path(sys.argv[1])); db.conn.execute('{insert_one}'); db.conn.close()"
    subprocess.run([sys.executable, "-c", script, file], check=True)
    assert file.with_name("some.db-wal").exists(), "somebody still has it open"
    assert [one["n"] for one in rows(db, "SELECT n FROM counts")] == [0, 7, 7]


def test_a_transaction_inside_another_is_refused_and_does_not_harm_it(db: Database) -> None:
    with write_tx(db) as tx:
        insert(tx, "counts", n=1)
        with pytest.raises(RuntimeError, match="inside a transaction"), write_tx(db):
            pytest.fail("not reached")
        insert(tx, "counts", n=2)
    assert value(db, "SELECT count(*) FROM counts") == 3


def test_a_signal_that_strikes_while_it_waits_does_not_leave_the_lock_taken(db: Database, rival: Database) -> None:
    """A soft time limit is an exception from a signal handler; the handler runs as soon as the lock is there."""

    def strike(*_: object) -> None:
        raise TimeoutError

    rival.conn.execute(PATIENT)
    db.conn.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, lambda: db.conn.execute("ROLLBACK"))
    before = signal.signal(signal.SIGALRM, strike)
    try:
        release.start()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError), write_tx(rival):
            pytest.fail("not reached")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        release.join()
    assert not rival.conn.in_transaction
    wait_for(lambda: not db.conn.in_transaction, "the first has let go")
    with write_tx(db) as tx:
        insert(tx, "counts", n=1)


@pytest.mark.parametrize("error", [None, ValueError])
def test_after_a_commit_that_is_not_synced_the_next_one_is(db: Database, error: type[Exception] | None) -> None:
    def level() -> int:
        return int(value(db, "PRAGMA synchronous"))

    with contextlib.suppress(ValueError), write_tx(db, synced=False) as tx:
        assert level() == 1
        insert(tx, "counts", n=1)
        if error:
            raise error
    assert level() == 2
    assert value(db, "SELECT count(*) FROM counts") == (1 if error else 2)


def test_a_savepoint_undoes_its_part_and_the_rest_goes_on(db: Database) -> None:
    with write_tx(db) as tx:
        insert(tx, "counts", n=1)
        with pytest.raises(ValueError, match="no"), savepoint(tx):  # noqa: PT012
            insert(tx, "counts", n=2)
            raise ValueError("no")
        with savepoint(tx):
            insert(tx, "counts", n=3)
    assert [found["n"] for found in rows(db, "SELECT n FROM counts ORDER BY n")] == [0, 1, 3]


def test_rows_are_dicts_and_nothing_is_none(db: Database) -> None:
    assert row(db, "SELECT id, n FROM counts") == {"id": 1, "n": 0}
    assert row(db, "SELECT id FROM counts WHERE id = 9") is None
    assert value(db, "SELECT id FROM counts WHERE id = 9") is None
    assert rows(db, "SELECT id FROM counts WHERE id = 9") == []


def test_an_update_says_whether_there_was_such_a_row(db: Database) -> None:
    with write_tx(db) as tx:
        assert update(tx, "counts", 1, n=4)
        assert not update(tx, "counts", 9, n=4)
