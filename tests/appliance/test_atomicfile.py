from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance import atomicfile


def test_the_new_content_replaces_the_old_as_a_whole(tmp_path: Path) -> None:
    """Who has the old file open goes on reading the old content: it is another file."""
    file = tmp_path / "status.json"
    atomicfile.write(file, "old")
    with file.open() as before:
        atomicfile.write(file, b"new")
        assert (before.read(), file.read_text()) == ("old", "new")


def test_a_file_is_private_unless_told_otherwise(tmp_path: Path) -> None:
    atomicfile.write(tmp_path / "secret", "x")
    atomicfile.write(tmp_path / "open", "x", mode=0o644)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("secret", "open")] == [0o600, 0o644]


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "status.json"
    atomicfile.write(file, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomicfile.write(file, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
    assert file.read_text() == "old"


def test_content_and_name_are_on_disk_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    synced, replaced = os.fsync, os.replace

    def fsync(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "content")
        synced(handle)

    def replace(old: str, new: Path) -> None:
        done.append("rename")
        replaced(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    atomicfile.write(tmp_path / "x", "x")
    assert done == ["content", "rename", "folder"]
