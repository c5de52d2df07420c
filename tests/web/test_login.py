"""Logging in and out, changing one's password, and what a session is worth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import access, passwords
from appliance.domain.access import IDLE, Instant
from appliance.errors import Refused
from appliance.storage import identity, sessions, users
from appliance.storage.db import open_depot, value, write_tx
from tests.web import world
from tests.web.conftest import Client, problem, put_cookie, sign_in, sign_out
from tests.web.serving import wait_for

ANN, GOOD, OTHER = "dispatcher@depot.example", "correct horse battery", "another horse battery"
DIGEST = passwords.hashed(GOOD)


@pytest.fixture
def db(depot: world.World) -> Iterator[Database]:
    """The dispatcher has a password."""
    db = open_depot(depot.settings.paths.depot_db)
    with write_tx(db) as tx:
        user = users.by_email(tx, ANN)
        assert user is not None
        users.set_password(tx, user["id"], DIGEST)
    yield db
    db.conn.close()


@pytest.fixture
def stranger(client: Client, db: Database) -> Client:
    sign_out(client)
    return client


def log_in(client: Client, email: str = ANN, password: str = GOOD, **more: Any) -> Any:
    form = {"email": email, "password": password, **more}
    return client.post("/login", data=form, follow_redirects=False)


def cookie(answer: Any, name: str = "depot") -> str:
    (found,) = [one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{name}=")]
    return str(found)


def test_the_right_password_leads_to_where_one_wanted_to_go(stranger: Client) -> None:
    answer = log_in(stranger, "Dispatcher@Depot.example ", next="/trips/1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/trips/1")
    assert "Dispatcher" in stranger.get("/").text
    assert log_in(stranger, next="https://evil.example").headers["location"] == "/"


def test_the_cookie_is_for_this_site_and_no_script(stranger: Client) -> None:
    parts = {part.strip().lower() for part in cookie(log_in(stranger)).split(";")}
    assert {"httponly", "samesite=lax", "path=/"} <= parts
    assert not [part for part in parts if part.startswith("domain")]


def test_each_login_has_a_token_of_its_own_and_takes_none_that_was_planted(stranger: Client, db: Database) -> None:
    put_cookie(stranger, "depot", "planted")
    log_in(stranger)
    first = stranger.cookies["depot"]
    assert first != "planted"
    assert len(first) >= 43
    log_in(stranger)
    second = stranger.cookies["depot"]
    assert second != first
    assert value(db, "SELECT count(*) FROM sessions JOIN users ON users.id = user_id WHERE email = ?", ANN) == 1
    for dead in (first, "planted"):
        stranger.cookies.clear()
        put_cookie(stranger, "depot", dead)
        problem(stranger.get("/api/v1/trips"), 401)


@pytest.mark.parametrize(
    ("email", "password"),
    [(ANN, OTHER), (ANN, ""), ("nobody@depot.example", GOOD), ("viewer@depot.example", GOOD), ("", ""),
     (ANN, "x" * 999)],
)  # fmt: skip
def test_a_wrong_login_does_not_say_what_was_wrong_and_keeps_the_address(
    stranger: Client, email: str, password: str
) -> None:
    answer = log_in(stranger, email, password)
    assert answer.status_code == 400
    assert "E-mail address or password is wrong" in answer.text
    assert f'value="{email}"' in answer.text
    assert not password or password not in answer.text
    assert "set-cookie" not in answer.headers


def test_a_disabled_user_cannot_log_in(stranger: Client, db: Database) -> None:
    with write_tx(db) as tx:
        tx.conn.execute("UPDATE users SET disabled_at = created_at WHERE email = ?", (ANN,))
    assert log_in(stranger).status_code == 400


def test_after_a_wrong_password_the_next_attempt_waits_and_another_users_does_not(
    stranger: Client, db: Database
) -> None:
    with write_tx(db) as tx:
        user = users.by_email(tx, "biller@depot.example")
        assert user is not None
        users.set_password(tx, user["id"], DIGEST)
    assert log_in(stranger, password=OTHER).status_code == 400
    answer = log_in(stranger)
    assert answer.status_code == 429
    assert "try again in 1 s" in answer.text
    assert log_in(stranger, "biller@depot.example").status_code == 303


def test_a_step_of_the_wall_clock_lets_nobody_wait_longer_or_shorter(stranger: Client, depot: world.World) -> None:
    assert log_in(stranger, password=OTHER).status_code == 400
    for days in (-400, 400):
        object.__setattr__(depot, "now", depot.now + timedelta(days=days))
        assert log_in(stranger).status_code == 429
    wait_for(lambda: log_in(stranger).status_code == 303, "the second is over")


def test_a_browser_that_was_logged_in_before_is_not_held_up_by_guesses_at_its_address(stranger: Client) -> None:
    log_in(stranger)
    mark = stranger.cookies["depot-known"]
    sign_out(stranger)
    assert log_in(stranger, password=OTHER).status_code == 400
    assert log_in(stranger).status_code == 429
    put_cookie(stranger, "depot-known", mark)
    assert log_in(stranger).status_code == 303
    sign_out(stranger)
    put_cookie(stranger, "depot-known", mark[:-1] + ("0" if mark[-1] != "0" else "1"))
    assert log_in(stranger).status_code == 429


def test_the_mark_of_a_browser_opens_nothing(stranger: Client) -> None:
    log_in(stranger)
    mark = stranger.cookies["depot-known"]
    stranger.cookies.clear()
    for name in ("depot-known", "depot"):
        put_cookie(stranger, name, mark)
        problem(stranger.get("/api/v1/trips"), 401)


def test_after_logging_out_the_session_is_over(client: Client, depot: world.World) -> None:
    session = client.cookies["depot"]
    answer = client.post("/logout", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    put_cookie(client, "depot", session)
    problem(client.get("/api/v1/trips"), 401)


def test_another_sites_form_logs_nobody_in(stranger: Client) -> None:
    form = {"email": ANN, "password": GOOD}
    assert stranger.post("/login", data=form, headers={"origin": "http://evil.example"}).status_code == 403


def change(client: Client, current: str = GOOD, password: str = OTHER, again: str | None = None) -> Any:
    form = {"current": current, "password": password, "again": password if again is None else again}
    return client.post("/account/password", data=form)


def test_a_password_is_changed_and_ends_every_other_session(client: Client, depot: world.World, db: Database) -> None:
    elsewhere = world.as_user(depot.settings, "dispatcher").session
    sign_in(client, depot, "dispatcher")
    before = client.cookies["depot"]
    answer = change(client)
    assert (answer.status_code, "Your password is changed" in answer.text) == (200, True)
    assert client.cookies["depot"] not in (before, elsewhere)
    assert client.get("/api/v1/trips").status_code == 200
    for dead in (before, elsewhere):
        client.cookies.clear()
        put_cookie(client, "depot", dead)
        problem(client.get("/api/v1/trips"), 401)
    sign_out(client)
    assert log_in(client, password=OTHER).status_code == 303


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"current": OTHER}, "That is not your password"),
        ({"password": "short"}, "12 to 256 characters"),
        ({"again": GOOD}, "not the same"),
        ({"password": ANN}, "too easy"),
    ],
)
def test_what_is_wrong_with_a_change_is_said(
    client: Client, depot: world.World, db: Database, form: dict[str, str], said: str
) -> None:
    sign_in(client, depot, "dispatcher")
    answer = change(client, **form)
    assert (answer.status_code, said in answer.text) == (422, True)
    assert value(db, "SELECT password_hash FROM users WHERE email = ?", ANN) == DIGEST
    assert client.get("/").status_code == 200


def test_the_present_password_is_asked_for_at_the_same_pace(client: Client, depot: world.World, db: Database) -> None:
    sign_in(client, depot, "dispatcher")
    change(client, current=OTHER)
    assert "Too many attempts" in change(client).text


def test_a_password_set_by_a_link_ends_the_sessions_too(client: Client, depot: world.World, db: Database) -> None:
    sign_in(client, depot, "dispatcher")
    with write_tx(db) as tx:
        user = users.by_email(tx, ANN)
        assert user is not None
        users.add_password_link(tx, user["id"], passwords.token_hash("a" * 64), depot.now, timedelta(days=1))
    assert client.post(f"/password/{'a' * 64}", data={"password": OTHER, "again": OTHER}).status_code == 200
    problem(client.get("/api/v1/trips"), 401)


def test_a_password_set_by_a_link_revokes_the_users_tokens_and_no_others(
    client: Client, depot: world.World, db: Database
) -> None:
    """Whoever asks for a link may have lost the account to somebody who made one."""
    with write_tx(db) as tx:
        made = {email: access.create_token(tx, email, "screen", "read", who="ann", now=depot.now)[1]
                for email in (ANN, "viewer@depot.example")}  # fmt: skip
        user = users.by_email(tx, ANN)
        assert user is not None
        users.add_password_link(tx, user["id"], passwords.token_hash("a" * 64), depot.now, timedelta(days=1))
    page = client.post(f"/password/{'a' * 64}", data={"password": OTHER, "again": OTHER}).text
    assert "1 API token that a program used in your name counts no more" in page
    client.cookies.clear()
    found = {email: client.get("/api/v1/trips", headers={"Authorization": f"Bearer {token}"}).status_code
             for email, token in made.items()}  # fmt: skip
    assert found == {ANN: 401, "viewer@depot.example": 200}


def instant(depot: world.World, hours: float = 0, boot: str = "one") -> Instant:
    return Instant(depot.now + timedelta(hours=hours), boot, 3600 * (100 + hours))


def test_a_session_ends_when_nobody_uses_it_and_after_a_week(depot: world.World, db: Database) -> None:
    idle_h = IDLE.total_seconds() / 3600
    with write_tx(db) as tx:
        left, used = (access.begin_session(tx, 1, instant(depot)) for _ in range(2))
    assert access.of_session(db, left, instant(depot, idle_h)) is not None
    assert access.of_session(db, left, instant(depot, 2 * idle_h + 1)) is None
    hours = [hour for hour in range(0, 24 * 9, 6) if access.of_session(db, used, instant(depot, hour)) is not None]
    assert hours == list(range(0, 24 * 7 + 1, 6))


def test_a_live_stream_ends_with_a_session_that_nobody_ended_but_its_age(depot: world.World, db: Database) -> None:
    with write_tx(db) as tx:
        key = passwords.token_hash(access.begin_session(tx, 1, instant(depot)))
    assert access.ended(db, {key, "unknown"}, instant(depot, IDLE / timedelta(hours=1))) == {"unknown"}
    assert access.ended(db, {key}, instant(depot, IDLE / timedelta(hours=1) + 0.1)) == {key}


def test_a_session_goes_on_after_a_restart_of_the_machine(depot: world.World, db: Database) -> None:
    with write_tx(db) as tx:
        session = access.begin_session(tx, 1, instant(depot))
    assert access.of_session(db, session, Instant(depot.now - timedelta(days=20), "two", 5.0)) is not None
    late = Instant(depot.now + timedelta(days=20), "two", 5.0 + 3600)
    assert access.of_session(db, session, late) is not None  # one hour of this run, whatever the clock says now


def test_a_user_has_no_more_sessions_than_that(depot: world.World, db: Database) -> None:
    with write_tx(db) as tx:
        made = [access.begin_session(tx, 1, instant(depot)) for _ in range(25)]
    good = [session for session in made if access.of_session(db, session, instant(depot))]
    assert good == made[-20:]


def test_a_link_of_a_demonstration_logs_in_once(stranger: Client, depot: world.World, db: Database) -> None:
    with write_tx(db) as tx:
        identity.put(tx, access.DEMONSTRATION, "2026-01-26")
        token = access.sign_in_link(tx, 1, depot.now)
        late = access.sign_in_link(tx, 2, depot.now - timedelta(hours=2))
    answer = stranger.get(f"/sign-in/{token}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Administrator" in stranger.get("/").text
    for dead in (token, late, "x"):
        problem(stranger.get(f"/sign-in/{dead}"), 404)


def test_a_real_depot_has_no_such_links(stranger: Client, depot: world.World, db: Database) -> None:
    with pytest.raises(Refused), write_tx(db) as tx:
        access.sign_in_link(tx, 1, depot.now)
    with write_tx(db) as tx:
        sessions.add_link(tx, passwords.token_hash("a" * 32), 1, depot.now + timedelta(hours=1))
    problem(stranger.get(f"/sign-in/{'a' * 32}"), 404)
