"""`depotbox setup`: a box set up from a file, a new code, and roles that start again with what was entered."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import config, passwords, setup
from appliance.config import Settings
from appliance.errors import InputError, Refused
from appliance.storage import users

FILE = """
[administrator]
email = "ada@example.org"
name = "Ada King"
password = "correct horse battery"
[depot]
name = "Leeds"
code = "LDS"
timezone = "Europe/London"
[mail]
port = 587
"""


def written(settings: Settings, text: str = FILE) -> str:
    file = settings.paths.data_dir / "leeds.toml"
    file.write_text(text)
    return str(file)


def test_a_file_sets_the_box_up_once(box: Any, settings: Settings, db: Database) -> None:
    setup.ensure_code(db, settings.paths)
    said = box("setup", "--file", written(settings))
    assert (said.code, said.err) == (0, "")
    assert "ada@example.org can log in" in said.out
    (ada,) = users.listed(db)
    assert (ada["role"], passwords.fits(ada["password_hash"], "correct horse battery")) == ("administrator", True)
    found = config.load()
    assert (found.depot.name, found.depot.code, found.mail.port) == ("Leeds", "LDS", 587)
    assert not settings.paths.setup_code.exists()
    again = box("setup", "--file", written(settings, FILE.replace("ada@", "eve@")))
    assert (again.code, "set up already" in again.err) == (Refused.exit_code, True)
    assert len(users.listed(db)) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[depot]\n", "expected [administrator] with email, name and password"),
        (FILE.replace('"correct horse battery"', '"short"'), "administrator.password: expected 12 to 256"),
        (FILE.replace("LDS", "leeds"), "depot.code: expected 2 to 8 capital letters"),
        (FILE.replace("587", '"587"'), "mail.port: expected int"),
        (FILE + "[web]\nport = 80\n", "web.port: expected one of depot.code"),
        ("x", "cannot be read"),
    ],
)
def test_a_wrong_file_sets_nothing_up(box: Any, settings: Settings, db: Database, text: str, said: str) -> None:
    found = box("setup", "--file", written(settings, text))
    assert (found.code, said in found.err) == (InputError.exit_code, True), found.err
    assert users.listed(db) == []
    assert not settings.paths.own_config.exists()


def test_a_new_code_is_printed_and_takes_the_place_of_the_first(box: Any, settings: Settings, db: Database) -> None:
    setup.ensure_code(db, settings.paths)
    first = setup.shown_code(db, settings.paths)
    code = box("setup", "--new-code").out.splitlines()[0]
    assert setup.fits(db, code)
    assert not setup.fits(db, first)
    assert box("setup").code == 2


def test_a_role_ends_by_itself_when_something_was_entered(settings: Settings) -> None:
    """Whoever started it starts it again."""
    code = (
        "import signal; from appliance import config, settings_watch\n"
        "settings_watch.begin(config.load()); print('runs', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        settings.paths.own_config.write_text('[depot]\nname = "Leeds"\n')
        assert process.wait(20) == -signal.SIGTERM
