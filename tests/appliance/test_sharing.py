"""What is made in a folder of an installed box is for those whom the folder is for; elsewhere it is private."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from appliance import atomicfile, log_file, sharing
from appliance.errors import Busy
from appliance.paths import Paths
from appliance.servers import redis
from appliance.storage import gps_days
from appliance.storage.db import connect, write_tx
from appliance.supervisor import lock
from appliance.worker_lock import WorkerLock


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o2770, 0o700], ids=["shared", "private"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder as tmpfiles.conf makes it, and one of a development machine."""
    made = tmp_path / "data"
    made.mkdir()
    made.chmod(request.param)
    return made


@pytest.fixture(autouse=True, params=[0o007, 0o022], ids=["as a role", "as root"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_files_are_as_private_as_their_folder(folder: Path) -> None:
    expected = 0o660 if mode(folder) & stat.S_ISGID else 0o600
    atomicfile.write(folder / "depot.toml", "")
    sharing.touch(folder / "touched")
    held = WorkerLock(folder)
    db = connect(folder / "depot.db")
    with write_tx(db) as tx:
        tx.conn.execute("CREATE TABLE one (id INTEGER)")
    files = [folder / name for name in ("depot.toml", "touched", held.name, "depot.db", "depot.db-wal", "depot.db-shm")]
    assert {file.name: oct(mode(file)) for file in files} == {file.name: oct(expected) for file in files}
    db.conn.close()


def test_a_day_of_fixes_too(folder: Path) -> None:
    day = date(2026, 1, 26)
    gps_days.open_to_write(folder, day).conn.close()
    assert mode(gps_days.path(folder, day)) == (0o660 if mode(folder) & stat.S_ISGID else 0o600)


def test_a_file_in_a_folder_that_its_group_only_reads_is_only_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    atomicfile.write(tmp_path / "redis.conf", "")
    assert mode(tmp_path / "redis.conf") == 0o640


def test_a_folder_in_it_too(folder: Path) -> None:
    sharing.make_folder(folder / "outbox")
    sharing.make_folder(folder / "outbox")
    assert mode(folder / "outbox") == mode(folder)


def test_a_folder_that_only_lets_its_group_in_by_its_mode_shares_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    atomicfile.write(tmp_path / "backup", "")
    assert mode(tmp_path / "backup") == 0o600


def test_the_log_of_all_roles_is_written_by_all(folder: Path) -> None:
    kept = log_file.KeptLog(folder)
    kept.emit(logging.makeLogRecord({"msg": "one"}))
    kept.close()
    assert mode(folder / log_file.NAME) == (0o660 if mode(folder) & stat.S_ISGID else 0o600)


def test_redis_lets_the_group_of_its_folder_in(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.prepare()
    assert "unixsocketperm 700" in redis.configuration(paths)
    paths.redis_dir.chmod(0o2750)
    assert "unixsocketperm 770" in redis.configuration(paths)


def test_roles_of_systemd_keep_a_supervisor_out_and_each_other_not(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.prepare()
    held = [lock._taken(paths, fcntl.LOCK_SH) for _ in range(2)]
    with pytest.raises(Busy, match="a box already runs on this data folder"), lock.hold(paths):
        pass
    for one in held:
        os.close(one)
    with lock.hold(paths), pytest.raises(Busy):
        lock.hold_as_role(paths)
