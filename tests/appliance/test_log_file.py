"""The log that the box keeps: bounded, whole lines, the newest first."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import log_file
from appliance.log_file import KeptLog, newest
from appliance.paths import PROJECT_ROOT

WRITE = """
import json, logging, sys
from pathlib import Path
from appliance import log_file
log_file.LARGEST = 20_000
kept = log_file.KeptLog(Path(sys.argv[1]))
for number in range(600):
    kept.emit(logging.makeLogRecord({"msg": json.dumps({"event": "x", "role": sys.argv[2], "number": number})}))
"""


def record(**event: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": json.dumps(event)})


def test_several_processes_write_whole_lines_and_lose_none(tmp_path: Path) -> None:
    """All fits into the files that are kept, though they are moved on many times."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path), role], cwd=PROJECT_ROOT) for role in ("a", "b")
    ]
    assert [one.wait(60) for one in writers] == [0, 0]
    files = list(tmp_path.iterdir())
    assert 1 < len(files) <= log_file.KEPT
    found = newest(tmp_path, lambda event: True, 10_000)
    assert all(set(event) == {"event", "role", "number"} for event in found)
    for role in ("a", "b"):
        numbers = [event["number"] for event in found if event["role"] == role]
        assert numbers == list(range(599, 599 - len(numbers), -1))  # nothing in between is missing


def test_it_never_takes_more_than_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "LARGEST", 1000)
    kept = KeptLog(tmp_path)
    for number in range(500):
        kept.emit(record(event="x", number=number))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < log_file.KEPT * 1100
    assert newest(tmp_path, lambda event: True, 1) == [{"event": "x", "number": 499}]
    kept.close()


def test_only_what_is_wanted_is_found_and_other_text_is_a_line_too(tmp_path: Path) -> None:
    (tmp_path / log_file.NAME).write_text(
        '{"event": "a", "role": "web"}\nplain words\n{"event": "b", "role": "beat"}\n'
    )
    assert [event["event"] for event in newest(tmp_path, lambda event: event.get("role") != "web", 9)] == [
        "b",
        "plain words",
    ]


def test_a_folder_that_is_not_there_ends_nobody(tmp_path: Path) -> None:
    kept = KeptLog(tmp_path / "none")
    kept.emit(record(event="x"))
    (tmp_path / "none").mkdir()
    kept.emit(record(event="y"))
    assert newest(tmp_path / "none", lambda event: True, 9) == [{"event": "y"}]
    kept.close()
