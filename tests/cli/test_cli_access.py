"""`depotbox user` and `depotbox token`: who may come in."""

from __future__ import annotations

from typing import Any

import pytest
from sqlite_utils import Database

from appliance import access, passwords
from appliance.errors import NotFound, Refused
from appliance.storage import users
from appliance.storage.db import rows, value, write_tx
from tests.cast import NOON

ADA, ANN = "ada@example.org", "ann@example.org"


@pytest.fixture(autouse=True)
def people(db: Database) -> None:
    """One administrator and one dispatcher."""
    with write_tx(db) as tx:
        users.add(tx, ADA, "Ada", "administrator", NOON)
        users.add(tx, ANN, "Ann", "dispatcher", NOON)


def test_a_link_to_choose_a_password_is_printed(box: Any, db: Database) -> None:
    said = box("user", "password-link", ANN)
    place, _, token = said.out.strip().rpartition("/")
    assert (said.code, place) == (0, "http://127.0.0.1:8080/password")
    hashed = value(db, "SELECT token_hash FROM password_links")
    assert hashed == passwords.token_hash(token)
    box("user", "password-link", ANN)
    assert rows(db, "SELECT * FROM password_links WHERE token_hash = ?", hashed) == []


def test_the_last_administrator_stays_one(box: Any, db: Database) -> None:
    for command in (("disable", ADA), ("set-role", ADA, "viewer")):
        said = box("user", *command)
        assert (said.code, "last administrator" in said.err) == (Refused.exit_code, True)
    assert users.any_administrator(db)
    assert box("user", "set-role", ANN, "administrator").code == 0
    assert box("user", "disable", ADA).code == 0
    assert box("user", "disable", ANN).code == Refused.exit_code
    assert value(db, "SELECT count(*) FROM users WHERE disabled_at IS NULL") == 1


def test_disabling_a_user_ends_sessions_tokens_and_links(box: Any, db: Database) -> None:
    token = box("token", "create", "--user", ANN, "--scope", "write").out.strip()
    with write_tx(db) as tx:
        session = access.begin_session(tx, 2, access.instant(NOON))
    box("user", "password-link", ANN)
    assert access.of_token(db, token, NOON) is not None
    assert access.of_session(db, session, access.instant(NOON)) is not None
    assert box("user", "disable", ANN).code == 0
    assert box("user", "enable", ANN).code == 0
    assert access.of_token(db, token, NOON) is None
    assert access.of_session(db, session, access.instant(NOON)) is None
    assert value(db, "SELECT count(*) FROM password_links") == 0
    said = [row["action"] for row in rows(db, "SELECT action FROM audit_log WHERE subject = 'user' ORDER BY id")]
    assert said == ["token.created", "user.password_link", "user.disabled", "user.enabled"]


def test_a_token_is_printed_once_and_kept_as_a_hash(box: Any, db: Database) -> None:
    made = box("token", "create", "--user", ANN, "--scope", "read", "--name", "screen", "--json").json
    assert made["token"].startswith(access.TOKEN_BEGIN)
    assert value(db, "SELECT token_hash FROM api_tokens") == passwords.token_hash(made["token"])
    said = box("token", "list", "--json")
    assert made["token"] not in said.out
    (found,) = said.items
    assert (found["id"], found["email"], found["name"], found["scope"]) == (made["id"], ANN, "screen", "read")
    assert "screen" in box("token", "list").out


def test_a_revoked_token_counts_no_more(box: Any, db: Database) -> None:
    made = box("token", "create", "--user", ANN, "--scope", "read", "--json").json
    assert box("token", "revoke", str(made["id"])).code == 0
    assert access.of_token(db, made["token"], NOON) is None
    assert box("token", "revoke", str(made["id"])).code == Refused.exit_code


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("user", "disable", "nobody@example.org"), NotFound.exit_code),
        (("user", "enable", ANN), Refused.exit_code),
        (("user", "password-link", "nobody@example.org"), NotFound.exit_code),
        (("token", "create", "--user", "nobody@example.org", "--scope", "read"), NotFound.exit_code),
        (("token", "create", "--user", ANN, "--scope", "all"), 2),
        (("token", "revoke", "9"), NotFound.exit_code),
    ],
)
def test_what_cannot_be_is_one_line(box: Any, command: tuple[str, ...], code: int) -> None:
    said = box(*command)
    assert (said.code, said.out) == (code, "")
    assert said.err
