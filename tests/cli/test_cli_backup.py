"""`depotbox backup` and `depotbox restore`: whole, checked, and safe against a power cut in between."""

from __future__ import annotations

import sqlite3
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance import backup, ca
from appliance.config import Settings
from appliance.errors import InputError, Refused
from appliance.storage import identity, people, queues
from appliance.storage.db import open_depot, value, write_tx
from appliance.supervisor import lock
from tests.cli.conftest import Box

NOW = datetime(2026, 1, 26, 12, 0, tzinfo=UTC)


def patients(settings: Settings) -> int:
    db = open_depot(settings.paths.depot_db)
    found = int(value(db, "SELECT count(*) FROM patients"))
    db.conn.close()
    return found


def add_patient(db: Database, name: str) -> None:
    with write_tx(db) as tx:
        people.add_patient(tx, name, NOW)


@pytest.fixture
def saved(db: Database, settings: Settings, tmp_path: Path) -> Path:
    """A backup of a depot with one patient, a day of fixes and its own authority."""
    add_patient(db, "Ada Marsh")
    ca.own(settings.paths)
    for name in ("2026-01-25", "2026-01-26"):
        with sqlite3.connect(settings.paths.gps_dir / f"{name}.db") as day:
            day.execute("CREATE TABLE fixes (id INTEGER PRIMARY KEY)")
            day.execute("INSERT INTO fixes VALUES (7)")
        day.close()
    file = tmp_path / "leeds.tar.gz"
    backup.create(settings, file, NOW)
    return file


def test_what_was_lost_comes_back_and_what_was_there_is_kept(
    box: Box, db: Database, settings: Settings, saved: Path
) -> None:
    paths, fingerprint = settings.paths, ca.own(settings.paths).fingerprint
    assert saved.stat().st_mode & 0o777 == 0o600
    add_patient(db, "Bo Lindqvist")
    db.conn.close()
    paths.ca_certificate.unlink()
    ca.own(paths)
    (paths.gps_dir / "2026-01-26.db").unlink()
    said = box("restore", str(saved), "--yes")
    assert said.code == 0, said.err
    assert patients(settings) == 1
    assert ca.own(paths).fingerprint == fingerprint
    with sqlite3.connect(paths.gps_dir / "2026-01-26.db") as day:
        assert day.execute("SELECT id FROM fixes").fetchall() == [(7,)]
    day.close()
    (kept,) = paths.data_dir.glob("before-restore-*")
    with sqlite3.connect(kept / "depot.db") as before:
        assert before.execute("SELECT count(*) FROM patients").fetchone() == (2,)
    before.close()
    assert not list(paths.data_dir.glob(".restore-*"))
    restored = open_depot(paths.depot_db)
    assert (identity.series(restored), identity.epoch(restored)) == ("B", 2)
    assert set(queues.pauses(restored)) == {"normal", "low_priority"}
    restored.conn.close()


def test_a_second_restore_of_the_same_backup_uses_no_series_twice(settings: Settings, saved: Path) -> None:
    for series in ("B", "C"):
        backup.stage(settings, saved, who="test", now=NOW)
        assert backup.finish(settings.paths)
        db = open_depot(settings.paths.depot_db)
        assert identity.series(db) == series
        db.conn.close()
    with pytest.raises(InputError, match="series B was used already"):
        backup.stage(settings, saved, who="test", now=NOW, series="B")


@pytest.mark.parametrize("after", range(1, 8))
def test_the_next_start_ends_a_restore_that_a_power_cut_interrupted(
    settings: Settings, saved: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Cut after each of the renames in turn."""
    db = open_depot(settings.paths.depot_db)
    add_patient(db, "Bo Lindqvist")
    backup.stage(settings, saved, who="test", now=NOW)
    done = 0
    replace = backup.os.replace

    def cut(old: Path, new: Path) -> None:
        nonlocal done
        if done == after:
            raise InterruptedError("power cut")
        done += 1
        replace(old, new)

    with monkeypatch.context() as patched:
        patched.setattr(backup.os, "replace", cut)
        try:
            backup.finish(settings.paths)
        except InterruptedError:
            assert backup.waits(settings.paths)
            with pytest.raises(Refused):
                backup.stage(settings, saved, who="test", now=NOW)
    db.conn.close()
    backup.finish(settings.paths)
    assert patients(settings) == 1
    assert not backup.waits(settings.paths)
    assert backup.finish(settings.paths) == ""


def test_a_cut_or_changed_backup_is_refused_with_one_line_and_nothing_is_touched(
    box: Box, settings: Settings, saved: Path, tmp_path: Path
) -> None:
    whole = saved.read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none.tar.gz").write_bytes(b"something else")
    with tarfile.open(tmp_path / "more.tar.gz", "w:gz") as archive:
        archive.add(saved, "../outside")
    for name in ("cut", "none", "more", "missing"):
        said = box("restore", str(tmp_path / f"{name}.tar.gz"), "--yes")
        assert (said.code, said.err.count("\n")) == (65, 1), said.err
    assert patients(settings) == 1
    assert not backup.waits(settings.paths)
    assert box("restore", str(saved), "--check").code == 0


def test_a_running_box_is_not_restored(box: Box, settings: Settings, saved: Path) -> None:
    with lock.hold(settings.paths):
        assert box("restore", str(saved), "--yes").code == 75
    assert not backup.waits(settings.paths)


def test_a_backup_while_the_box_writes_is_of_one_moment(
    db: Database, settings: Settings, box: Box, tmp_path: Path
) -> None:
    """What a transaction has not committed is not in it, what it has is."""
    add_patient(db, "Ada Marsh")
    with write_tx(db) as tx:
        people.add_patient(tx, "Bo Lindqvist", NOW)
        made = box("backup", str(tmp_path / "a.tar.gz"), "--json").json
    assert made["depot"] == settings.depot.code
    backup.stage(settings, tmp_path / "a.tar.gz", who="test", now=NOW)
    backup.finish(settings.paths)
    assert patients(settings) == 1


def test_a_damaged_day_is_left_out_and_said(settings: Settings, saved: Path, box: Box, tmp_path: Path) -> None:
    (settings.paths.gps_dir / "2026-01-25.db").write_bytes(b"not a database, but long enough to look at" * 100)
    said = box("backup", str(tmp_path / "b.tar.gz"))
    assert said.code == 0
    assert "left out, for it is damaged: gps/2026-01-25.db" in said.err
    assert set(backup.check(tmp_path / "b.tar.gz").files) >= {"depot.db", "gps/2026-01-26.db", "secrets/ca.key"}
