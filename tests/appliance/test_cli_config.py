"""`depotbox config`, and what every command shares: `--config`, `--data-dir`, one line for an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import config
from appliance.cli import main

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """`cli("config", "check")` is the exit code, what was printed and what was complained of."""

    def call(*args: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main.main([str(arg) for arg in args])
        assert isinstance(ended.value.code, int)
        return (ended.value.code, *capfd.readouterr())

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "depotbox.toml"
    path.write_text(
        '[depot]\nname = "A \\"b\\" \\\\ \\u007f é"\n[storage]\ndata_dir = "here"\n[mail]\npassword = "hush"\n'
    )
    return path


def test_what_config_show_prints_can_be_read_again(cli: Cli, file: Path, tmp_path: Path) -> None:
    code, shown, _ = cli("config", "show", "--config", file)
    again = tmp_path / "again.toml"
    again.write_text(shown)
    assert code == 0
    first, second = config.load(file, {}), config.load(again, {})
    assert second.depot == first.depot
    assert second.storage.data_dir == str(tmp_path / "here")
    assert second.mail.password == ""
    assert set(tomllib.loads(shown)) == set(config.SECTIONS)


def test_each_key_is_shown_with_its_meaning(cli: Cli, file: Path) -> None:
    lines = cli("config", "show", "--config", file)[1].splitlines()
    for _, key, _, description in config.effective(config.load(file, {})):
        assert [line for line in lines if f"{key} = " in line and f"  # {description}" in line]


def test_each_value_that_is_no_default_names_where_it_is_set(cli: Cli, file: Path) -> None:
    lines = cli("config", "show", "--config", file)[1].splitlines()
    named = {line.partition(" = ")[0].removeprefix("# ") for line in lines if f"; set in {file}" in line}
    assert named == {key for section in tomllib.loads(file.read_text()).values() for key in section}


def test_secrets_are_not_shown(cli: Cli, file: Path) -> None:
    for extra in ([], ["--json"]):
        _, shown, _ = cli("config", "show", "--config", file, *extra)
        assert "hush" not in shown
    assert json.loads(shown)["mail"]["password"] == "********"


def test_config_show_for_programs_has_every_key(cli: Cli, file: Path) -> None:
    tree = json.loads(cli("config", "show", "--json", "--config", file)[1])
    assert {(section, key) for section in tree for key in tree[section]} == {
        (section, key) for section, key, _, _ in config.effective(config.load(file, {}))
    }


def test_config_check_says_ok(cli: Cli, file: Path) -> None:
    assert cli("config", "check", "--config", file) == (0, "ok\n", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[web]\nprot = 1\n", "web.prot = 1: unknown key; did you mean port?"),
        ('[web]\nport = "x"\n', "web.port = 'x': expected int, got str"),
        ('[depot]\ntimezone = "Liverpool"\n', "depot.timezone = 'Liverpool': expected a time zone like Europe/London"),
        ("[web\n", "not valid TOML"),
    ],
)
def test_config_check_says_in_one_line_what_is_wrong(cli: Cli, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    code, printed, complaint = cli("config", "check", "--config", file)
    assert (code, printed, complaint.count("\n")) == (78, "", 1)
    assert complaint.startswith(f"depotbox: {file}: ")
    assert said in complaint


def test_a_configuration_file_that_is_not_there_is_named(cli: Cli, tmp_path: Path) -> None:
    code, _, complaint = cli("config", "check", "--config", tmp_path / "none.toml")
    assert (code, complaint) == (78, f"depotbox: {tmp_path}/none.toml: no such configuration file\n")


def test_data_dir_wins_over_file_and_environment(cli: Cli, file: Path, tmp_path: Path) -> None:
    os.environ["DEPOTBOX_STORAGE__DATA_DIR"] = "/elsewhere"
    _, shown, _ = cli("config", "show", "--json", "--config", file, "--data-dir", tmp_path / "x" / ".." / "chosen")
    assert json.loads(shown)["storage"]["data_dir"] == str(tmp_path / "chosen")


def test_what_was_chosen_is_left_to_the_processes_that_a_command_starts(cli: Cli, file: Path, tmp_path: Path) -> None:
    cli("config", "check", "--config", file, "--data-dir", tmp_path / "chosen")
    settings = config.load()
    assert (settings.file, settings.storage.data_dir) == (str(file), str(tmp_path / "chosen"))


def test_version_needs_no_heavy_import() -> None:
    code = (
        "import sys; from appliance.cli.main import main\n"
        "try: main(['version'])\nexcept SystemExit: print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, modules = found.stdout.splitlines()
    heavy = {"celery", "kombu", "litestar", "redis", "sqlite_utils", "sqlite3", "structlog", "rich", "psutil", "paho"}
    assert said.startswith("depotbox 0.")
    assert heavy & set(modules.split()) == set()


def test_the_help_imports_no_command_and_names_them_all(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.COMMANDS, "broken", ("appliance.cli.nowhere:broken", "Is not there yet."))
    code, shown, _ = cli("--help")
    assert code == 0
    for name, (_, text) in main.COMMANDS.items():
        assert f"{name} " in shown
        assert text.split(".")[0] in " ".join(shown.split())


def test_an_unknown_command_is_a_usage_error(cli: Cli) -> None:
    code, _, complaint = cli("nonsense")
    assert code == 2
    assert "No such command 'nonsense'" in complaint


def test_a_fault_of_the_program_is_one_line_unless_asked_for_more(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.COMMANDS, "broken", ("appliance.cli.nowhere:broken", ""))
    code, _, complaint = cli("broken")
    assert (code, complaint.count("\n")) == (70, 1)
    assert complaint.startswith("depotbox: ModuleNotFoundError: No module named 'appliance.cli.nowhere'")
    monkeypatch.setenv("DEPOTBOX_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in cli("broken")[2]


def test_a_reader_that_has_seen_enough_brings_no_complaint() -> None:
    """`depotbox config show | true`, with the pipe closed before anything is written."""
    read, write = os.pipe()
    os.close(read)
    argv = [sys.executable, "-m", "appliance", "config", "show"]
    found = subprocess.run(argv, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (found.returncode, found.stderr) == (1, b"")
