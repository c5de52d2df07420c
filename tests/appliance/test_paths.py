"""Where things lie."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest

from appliance import paths
from appliance.errors import ConfigError, Unavailable
from appliance.paths import Paths


def test_making_paths_touches_nothing(tmp_path: Path) -> None:
    found = Paths(tmp_path / "data")
    names = [name for name, value in vars(Paths).items() if isinstance(value, property)]
    assert all(isinstance(getattr(found, name), Path) for name in [*names, *(field.name for field in fields(found))])
    assert list(tmp_path.iterdir()) == []


def test_every_folder_is_private(data_dir: Path) -> None:
    Paths(data_dir).prepare()
    folders = [path for path in (data_dir, *data_dir.rglob("*")) if path.is_dir()]
    assert len(folders) >= 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_preparing_twice_changes_nothing(data_dir: Path) -> None:
    found = Paths(data_dir)
    found.prepare()
    (found.run_dir / "kept").touch()
    found.prepare()
    assert (found.run_dir / "kept").exists()


def test_a_deep_data_folder_has_its_sockets_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a socket holds 107 bytes; each that the box binds fits, however deep the data folder lies."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = Paths(tmp_path / ("d" * 60) / ("e" * 60))
    found.prepare()
    assert found.run_dir.parent == tmp_path
    assert stat.S_IMODE(found.run_dir.stat().st_mode) == 0o700
    shallow = Paths(Path("/tmp") / ("d" * 61))
    assert shallow.run_dir == shallow.data_dir / "run"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe, pytest.raises(FileNotFoundError):
        probe.bind(str(shallow.run_dir / "notify.worker-normal"))  # not "AF_UNIX path too long"


def test_two_data_folders_never_share_their_sockets(tmp_path: Path) -> None:
    deep = "d" * 80
    assert Paths(tmp_path / "a" / deep).run_dir != Paths(tmp_path / "b" / deep).run_dir


def test_a_run_folder_that_is_open_to_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = Paths(tmp_path / ("d" * 80))
    found.run_dir.mkdir(mode=0o755)
    os.chmod(found.run_dir, 0o755)
    with pytest.raises(ConfigError, match="open to others"):
        found.prepare()


def test_a_data_folder_that_cannot_be_written_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"storage.data_dir = .*/file/data: the data folder cannot be written: Not a"):
        Paths(tmp_path / "file" / "data").prepare()


def test_a_bundled_program_comes_before_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = tmp_path / "bin" / "redis-server"
    bundled.parent.mkdir()
    bundled.touch(mode=0o755)
    monkeypatch.setenv("DEPOTBOX_NATIVE", str(tmp_path))
    assert paths.native("redis-server") == bundled
    assert paths.native("mosquitto").name == "mosquitto"


def test_a_program_that_is_nowhere_is_named() -> None:
    with pytest.raises(Unavailable, match="no-such-server: program not found"):
        paths.native("no-such-server")
