"""Whatever is given to any option or argument of any command: at most one line says what is wrong, and soon."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from sqlite_utils import Database

from appliance import clock
from appliance.cli.main import EX_SOFTWARE, depotbox, main
from appliance.cli.options import LocalTime, Number
from appliance.cli.status import EX_NOT_RUNNING
from appliance.config import Settings
from appliance.storage import people, vehicles
from appliance.storage.db import write_tx

LEFT_OUT = {
    "run": "starts the box",
    "role": "starts a part of it",
    "celery": "Celery's own options",
    "flower": "Flower's own options",
}

VALUES = (
    "nan", "inf", "-1", "1e400", "9e23", "9" * 24, "9" * 5000, "", "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59", "9999-12-31T23:59", "0001-01-01T00:00", "9999-12-31",
    "0001-01-01", "9999-12-31:9",
)  # fmt: skip

OF_ALL = ("config_file", "data_dir")
"""Options of nearly every command: tried on `fixes count` only."""

USAGE = ("Usage: ", "    ", "Try ")
"""How the lines of click's own hint begin; a long usage goes on in a second line."""

GOOD = {
    "code": "VAN-1", "vehicle": "VAN-1", "driver": "D1", "start": "2026-01-26T08:00:00Z", "ids": "2026-01-26:1",
    "number": "LIV-2026-A000001", "amount": "1.00", "vehicles": "1", "rate": "1", "duration": "1", "id": "1",
    "price": "1.00", "email": "a@depot.example", "role": "viewer", "trip_id": "1", "file": os.devnull,
    "task": "night.count",
}  # fmt: skip


def commands(command: click.Command = depotbox, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command that is no group."""
    if not isinstance(command, click.Group):
        yield path
        return
    for name in command.list_commands(click.Context(command)):
        if (below := command.get_command(click.Context(command), name)) and name not in LEFT_OUT:
            yield from commands(below, (*path, name))


def parameters(path: tuple[str, ...]) -> list[click.Parameter]:
    """Those of a command that take a value."""
    command: click.Command = depotbox
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found
        command = found
    return [one for one in command.params if isinstance(one, click.Argument) or not getattr(one, "is_flag", False)]


def line(path: tuple[str, ...], tried: click.Parameter, value: str) -> list[str]:
    """The command with this value, and with good ones wherever it needs some."""
    words, arguments = [*path], []
    for one in parameters(path):
        given = value if one is tried else GOOD.get(one.name or "", "x")
        if one is not tried and not (one.required or _goes_with(tried, one)):
            continue
        if isinstance(one, click.Argument):
            arguments.append(given)
        else:
            words.append(f"{max(one.opts, key=len)}={given}")
    return [*words, "--", *arguments]


def _goes_with(tried: click.Parameter, other: click.Parameter) -> bool:
    """A trail is of a vehicle and a time."""
    return tried.name in ("end", "start", "tolerance_m") and other.name in ("code", "start")


@pytest.fixture
def fleet(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # files may be written
    with write_tx(db) as tx:
        vehicles.add(tx, "VAN-1", clock.now())
        people.add_driver(tx, "D1", "Dee Frost", clock.now())


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_number_and_time_has_bounds(path: tuple[str, ...]) -> None:
    """Also those of a command that looks for a running box first."""
    for one in parameters(path):
        if isinstance(one.type, click.types.FloatParamType | click.DateTime):
            assert isinstance(one.type, Number | LocalTime), one
        if isinstance(one.type, click.types.IntParamType):
            assert isinstance(one.type, click.IntRange), one
        if isinstance(one.type, click.IntRange | Number):
            assert None not in (one.type.min, one.type.max), one


def test_no_value_is_a_fault_of_the_program_or_ends_never(
    settings: Settings, fleet: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = dict(os.environ)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody answers a question
    for path, tried in ((words, one) for words in commands() for one in parameters(words)):
        for value in VALUES if tried.name not in OF_ALL or path == ("fixes", "count") else ():
            words, began = line(path, tried, value), time.monotonic()
            with pytest.raises(SystemExit) as ended:
                main(words)
            said = capsys.readouterr().err.splitlines()
            for written in Path().iterdir():
                written.unlink()  # a backup is good input of another command
            os.environ.clear()
            os.environ.update(environ)
            code = ended.value.code
            assert code != EX_SOFTWARE, (words, said)
            assert time.monotonic() - began < 5, words
            wrong = [text for text in said if text.startswith(("depotbox: ", "Error: "))]
            rest = [text for text in said if text and text not in wrong and not text.startswith(USAGE)]
            assert (len(wrong), rest) == (int(code not in (0, EX_NOT_RUNNING)), []), (words, said)
