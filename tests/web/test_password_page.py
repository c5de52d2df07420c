"""The page behind the link of the welcome mail: it sets a password once, and tells a stranger nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlite_utils import Database

from appliance import notices, passwords
from appliance.storage import users
from appliance.storage.db import open_depot, value, write_tx
from tests.web import world
from tests.web.conftest import Client

TOKEN = "a" * 64
GOOD = "correct horse battery"


@pytest.fixture
def db(depot: world.World) -> Iterator[Database]:
    db = open_depot(depot.settings.paths.depot_db)
    with write_tx(db) as tx:
        id = users.add(tx, "ann@example.org", "Ann Lee", "dispatcher", depot.now)
        users.add_password_link(tx, id, passwords.token_hash(TOKEN), depot.now, timedelta(days=7))
    yield db
    db.conn.close()


def choose(client: Client, password: str = GOOD, again: str | None = None, token: str = TOKEN) -> tuple[int, str]:
    form = {"password": password, "again": password if again is None else again}
    answer = client.post(f"/password/{token}", data=form, headers={"accept": "text/html"})
    return answer.status_code, answer.text


def stored(db: Database) -> str | None:
    found = users.by_email(db, "ann@example.org")
    assert found is not None
    return found["password_hash"]  # type: ignore[no-any-return]


def test_a_password_is_set_once(client: Client, db: Database) -> None:
    page = client.get(f"/password/{TOKEN}")
    assert (page.status_code, "Hello Ann Lee" in page.text) == (200, True)
    assert page.headers["cache-control"] == "no-store"
    status, text = choose(client)
    assert (status, "Your password is set" in text) == (200, True)
    digest = stored(db)
    assert digest is not None
    assert digest.startswith("$argon2id$")
    assert PasswordHasher().verify(digest, GOOD)
    status, text = choose(client, "another good password")
    assert (status, "works no more" in text) == (404, True)
    assert stored(db) == digest
    assert value(db, "SELECT who FROM audit_log WHERE action = 'user.password_set'") == "ann@example.org"


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", None, "12 to 256 characters"),
        (GOOD, "correct horse batery", "not the same"),
        ("x" * 300, None, "12 to 256 characters"),
        ("aaaaaaaaaaaaaaa", None, "too easy"),
        ("ANN@example.org", None, "too easy"),
        ("", None, "12 to 256 characters"),
    ],
)
def test_what_is_wrong_is_said_and_the_link_stays_good(
    client: Client, db: Database, password: str, again: str | None, said: str
) -> None:
    status, text = choose(client, password, again)
    assert (status, said in text) == (400, True)
    assert password == "" or password not in text
    assert stored(db) is None
    assert choose(client)[0] == 200


@pytest.mark.parametrize("token", ["b" * 64, "x", "%00", "a" * 63])
def test_an_unknown_link_says_the_same_as_a_used_one(client: Client, db: Database, token: str) -> None:
    answer = client.get(f"/password/{token}", headers={"accept": "text/html"})
    assert (answer.status_code, "This link works no more" in answer.text) == (404, True)


def test_the_link_of_the_welcome_mail_leads_here_and_a_newer_one_takes_its_place(
    client: Client, db: Database, depot: world.World
) -> None:
    def mailed(job: str) -> str:
        with write_tx(db) as tx:
            user = users.by_email(tx, "Ann@Example.org")
            assert user is not None
            letter = notices.begin_welcome(tx, user["id"], depot.settings, depot.now, job)
        assert letter is not None
        (token,) = re.findall(r"^http://127\.0\.0\.1:\d+/password/([0-9a-f]{64})$", letter.text, re.MULTILINE)
        return str(token)

    first, second = mailed("job-1"), mailed("job-2")
    assert choose(client, token=first)[0] == 404
    assert choose(client, token=second)[0] == 200


def test_an_expired_link_and_that_of_a_disabled_user_work_no_more(
    client: Client, db: Database, depot: world.World
) -> None:
    with write_tx(db) as tx:
        tx.conn.execute("UPDATE users SET disabled_at = '2026-01-01T00:00:00.000Z' WHERE role = 'dispatcher'")
    assert choose(client)[0] == 404
    with write_tx(db) as tx:
        tx.conn.execute("UPDATE users SET disabled_at = NULL")
        tx.conn.execute("UPDATE password_links SET expires_at = '2026-01-01T00:00:00.000Z'")
    assert choose(client)[0] == 404
    assert stored(db) is None


def test_another_sites_form_sets_nothing(client: Client, db: Database) -> None:
    headers = {"origin": "http://evil.example"}
    assert client.post(f"/password/{TOKEN}", data={"password": GOOD, "again": GOOD}, headers=headers).status_code == 403
    assert stored(db) is None
