"""Users, their tokens and their logins: on the pages and through the API."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlite_utils import Database

from appliance import passwords
from appliance.storage import users
from appliance.storage.db import rows, value, write_tx
from tests.web import world
from tests.web.conftest import Client, problem, put_cookie, sign_in, sign_out
from tests.web.test_people_pages import words
from web import browsers

BOSS, ANN = world.address_of("administrator"), world.address_of("dispatcher")
DIGEST = passwords.hashed("correct horse battery")


def id_of(db: Database, email: str) -> int:
    found = users.by_email(db, email)
    assert found
    return int(found["id"])


def choose_password(db: Database, email: str) -> None:
    with write_tx(db) as tx:
        users.set_password(tx, id_of(tx, email), DIGEST)


def secret(page: str) -> str:
    (found,) = re.findall(r'<code id="secret">([^<]+)</code>', page)
    return html.unescape(found)


def logged_in(client: Client, session: world.SignedIn) -> bool:
    sign_out(client)
    put_cookie(client, "depot", session.session)
    return client.get("/api/v1/trips").is_success


def actions(db: Database) -> list[str]:
    found = rows(db, "SELECT action FROM audit_log WHERE subject = 'user' AND who = ? ORDER BY id", BOSS)
    return [one["action"] for one in found]


# Users


def test_a_user_is_added_with_a_link_that_is_shown_once_and_works(client: Client, depot_db: Database) -> None:
    page = client.post("/users", data={"name": "Ann Lee", "email": "ann@example.org", "role": "dispatcher"})
    link = secret(page.text)
    path = page.headers["hx-push-url"]
    assert link.startswith("http://127.0.0.1:8080/password/")
    assert 'id="secret"' not in client.get(path).text
    assert "no password yet" in words(client.get(path).text)
    assert "Ann Lee" in words(client.get("/users?show=waiting").text)
    answer = client.post(link, data={"password": "a good long password", "again": "a good long password"})
    assert "Your password is set" in answer.text
    assert "no password yet" not in words(client.get(path).text)
    assert actions(depot_db) == ["user.added", "user.password_link"]
    assert value(depot_db, "SELECT count(*) FROM jobs WHERE name = 'users.tasks.send_welcome_email'") == 0


def test_a_user_who_is_mailed_the_link_is_shown_none(client: Client, depot_db: Database) -> None:
    form = {"name": "Ann Lee", "email": "ann@example.org", "role": "viewer", "mail": "yes"}
    page = client.post("/users", data=form)
    assert 'id="secret"' not in page.text
    assert client.post(f"{page.headers['hx-push-url']}/mail").is_success
    assert value(depot_db, "SELECT count(*) FROM jobs WHERE name = 'users.tasks.send_welcome_email'") == 2


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "Ann", "email": ANN, "role": "viewer"}, "There is already a user with this address."),
        ({"name": "Ann", "email": "ann", "role": "viewer"}, "Expected an address like"),
        ({"name": " ", "email": "ann@example.org", "role": "viewer"}, "Expected 1 to 100 characters"),
        ({"name": "Ann", "email": "ann@example.org", "role": "boss"}, "Expected one of administrator"),
    ],
)
def test_what_is_wrong_with_a_user_stands_beside_its_field(client: Client, form: dict[str, str], said: str) -> None:
    answer = client.post("/users", data=form)
    assert (answer.status_code, said in words(answer.text)) == (422, True)
    assert f'value="{form["email"]}"' in answer.text


def test_another_role_counts_at_once_and_another_address_ends_earlier_links(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    ann = f"/users/{id_of(depot_db, ANN)}"
    link = secret(client.post(f"{ann}/link").text)
    form = {"name": "Ann Lee", "email": "ann@example.org", "role": "biller", "version": "1"}
    said = client.post(ann, data=form)
    assert "ann@example.org" in words(said.text)
    assert client.get(link).status_code == 404
    assert actions(depot_db)[-2:] == ["user.changed", "user.role_set"]
    found = users.by_email(depot_db, "ANN@example.org")
    assert found
    assert (found["name"], found["role"]) == ("Ann Lee", "biller")


def test_disabling_a_user_ends_logins_and_tokens_and_enabling_gives_no_token_back(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    ann, token = f"/users/{id_of(depot_db, ANN)}", world.api_token(depot.settings, "dispatcher")
    session = world.as_user(depot.settings, "dispatcher")
    assert "is disabled" in words(client.post(f"{ann}/disable").text)
    assert "disabled" in words(client.get("/users?show=disabled").text)
    assert "may log in again" in words(client.post(f"{ann}/enable").text)
    sign_out(client)
    assert client.get("/api/v1/trips", headers=token).status_code == 401
    assert not logged_in(client, session)


def test_an_administrator_without_a_password_does_not_count_beside_one_who_has_one(
    client: Client, depot_db: Database
) -> None:
    choose_password(depot_db, BOSS)
    boss, ann = id_of(depot_db, BOSS), id_of(depot_db, ANN)
    client.patch(f"/api/v1/users/{ann}", json={"role": "administrator"})
    assert "last administrator" in problem(client.post(f"/api/v1/users/{boss}/disable"), 409)
    assert "last administrator" in problem(client.patch(f"/api/v1/users/{boss}", json={"role": "viewer"}), 409)
    answer = client.post(f"/users/{boss}/disable")
    assert (answer.status_code, "one who has chosen a password" in words(answer.text)) == (422, True)
    assert client.post(f"/api/v1/users/{ann}/disable").is_success  # who cannot log in is no loss
    assert client.post(f"/api/v1/users/{ann}/enable").is_success
    choose_password(depot_db, ANN)
    assert client.post(f"/api/v1/users/{boss}/disable").is_success


def test_administrators_without_passwords_count_where_none_has_one(client: Client, depot_db: Database) -> None:
    boss, ann = id_of(depot_db, BOSS), id_of(depot_db, ANN)
    problem(client.post(f"/api/v1/users/{boss}/disable"), 409)
    client.patch(f"/api/v1/users/{ann}", json={"role": "administrator"})
    assert client.post(f"/api/v1/users/{boss}/disable").is_success


def test_users_are_for_administrators(client: Client, depot: world.World, depot_db: Database) -> None:
    for role in ("dispatcher", "biller", "viewer"):
        sign_in(client, depot, role)
        assert client.get("/users").status_code == 403
        assert 'href="/users"' not in client.get("/account").text
        problem(client.get("/api/v1/users"), 403)
    writing = world.api_token(depot.settings, "administrator", "write")
    sign_out(client)
    problem(client.get("/api/v1/users", headers=writing), 403)


def test_a_program_adds_a_user_and_is_told_the_link(client: Client, depot: world.World) -> None:
    token = world.api_token(depot.settings)
    sign_out(client)
    client.headers.update(token)
    wanted = {"email": "ann@example.org", "name": "Ann Lee", "role": "viewer"}
    made = client.post("/api/v1/users", json={**wanted, "mail": False}).json()
    assert {key: made["user"][key] for key in wanted} == wanted
    assert client.get(made["password_link"]).is_success
    path = f"/api/v1/users/{made['user']['id']}"
    assert client.get(path).json() == made["user"]
    newer = client.post(f"{path}/password-link")
    assert newer.status_code == 201
    assert client.get(made["password_link"]).status_code == 404
    assert client.get(newer.json()["password_link"]).is_success
    assert client.post(f"{path}/welcome").status_code == 202
    assert client.post("/api/v1/users", json={**wanted, "email": "bo@example.org"}).json()["password_link"] is None
    assert {one["email"] for one in client.get("/api/v1/users").json()["items"]} >= {"ann@example.org", BOSS}
    problem(client.get("/api/v1/users/999"), 404)
    problem(client.patch(path, json={"role": "boss"}), 400)
    client.post(f"{path}/disable")
    problem(client.post(f"{path}/password-link"), 409)


# One's own account


def test_a_token_of_ones_own_is_shown_once_works_and_is_revoked(client: Client, depot_db: Database) -> None:
    page = client.post("/account/tokens", data={"name": "wall screen", "scope": "read", "days": "90"}).text
    token = {"Authorization": f"Bearer {secret(page)}"}
    assert "wall screen" in words(page)
    assert "ends 2026-04-26" in words(page)
    assert 'id="secret"' not in client.get("/account").text
    id = client.get("/api/v1/account/tokens").json()["items"][0]["id"]
    assert client.get("/api/v1/trips", headers=token).is_success  # what the token may, whatever the cookie
    problem(client.post("/api/v1/shifts", json={}, headers=token), 403)
    assert "revoked" in words(client.post(f"/account/tokens/{id}/revoke").text)
    answer = client.post(f"/account/tokens/{id}/revoke")
    assert (answer.status_code, "revoked already" in answer.text) == (422, True)
    assert client.get("/api/v1/trips", headers=token).status_code == 401


def test_a_token_ends_by_itself_on_its_day(client: Client, depot: world.World) -> None:
    made = client.post("/api/v1/account/tokens", json={"name": "x", "scope": "read", "days": 2})
    assert made.status_code == 201
    token = {"Authorization": f"Bearer {made.json()['token']}"}
    page = words(client.get("/account").text)
    assert "ends in 2 days" in page
    sign_out(client)
    object.__setattr__(depot, "now", depot.now + timedelta(days=2, seconds=-1))
    assert client.get("/api/v1/trips", headers=token).is_success
    object.__setattr__(depot, "now", depot.now + timedelta(seconds=1))
    assert client.get("/api/v1/trips", headers=token).status_code == 401


@pytest.mark.parametrize(
    "form",
    [
        {"name": "", "scope": "read", "days": ""},
        {"name": "x", "scope": "all", "days": ""},
        {"name": "x", "scope": "read", "days": "0"},
        {"name": "x", "scope": "read", "days": "soon"},
    ],
)
def test_a_token_that_cannot_be_is_refused_beside_its_field(client: Client, form: dict[str, str]) -> None:
    answer = client.post("/account/tokens", data=form)
    assert answer.status_code == 422
    assert answer.text.count('class="complaint"') == 1
    body = {**form, "days": int(form["days"]) if form["days"].isdigit() else form["days"] or None}
    problem(client.post("/api/v1/account/tokens", json=body), 400)


def test_nobody_revokes_the_token_of_another_but_an_administrator(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    world.api_token(depot.settings, "biller")
    (theirs,) = client.get("/api/v1/tokens").json()["items"]
    assert theirs["email"] == world.address_of("biller")
    problem(client.post(f"/api/v1/account/tokens/{theirs['id']}/revoke"), 404)
    assert client.post(f"/users/{id_of(depot_db, ANN)}/tokens/{theirs['id']}/revoke").status_code == 422
    page = client.post(f"/users/{id_of(depot_db, theirs['email'])}/tokens/{theirs['id']}/revoke")
    assert "The token is revoked." in words(page.text)
    problem(client.post(f"/api/v1/tokens/{theirs['id']}/revoke"), 409)
    assert client.get(f"/api/v1/tokens?user={id_of(depot_db, ANN)}").json()["items"] == []


def test_no_token_makes_or_shows_another(client: Client, depot: world.World) -> None:
    token = world.api_token(depot.settings)
    sign_out(client)
    for method, path in (("GET", "/api/v1/account/tokens"), ("POST", "/api/v1/account/tokens"),
                         ("GET", "/api/v1/account/sessions"), ("GET", "/account")):  # fmt: skip
        assert client.request(method, path, headers=token).status_code == 403


@pytest.mark.parametrize(("role", "scopes"), [("administrator", 3), ("biller", 2), ("viewer", 1)])
def test_only_scopes_that_make_a_difference_are_offered(
    client: Client, depot: world.World, role: str, scopes: int
) -> None:
    sign_in(client, depot, role)
    page = client.get("/account").text.partition('id="token-scope"')[2].partition("</select>")[0]
    assert page.count("<option") == scopes


def test_one_logs_out_everywhere_else_and_stays_logged_in_here(
    client: Client, depot: world.World, depot_db: Database
) -> None:
    elsewhere, other = (world.as_user(depot.settings, role) for role in ("administrator", "viewer"))
    sessions = client.get("/api/v1/account/sessions").json()["items"]
    assert [one["current"] for one in sessions] == [False, True]
    assert "Log out everywhere else" in client.get("/account").text
    page = client.post("/account/sessions/end-others").text
    assert "You are logged out in 1 other browser." in words(page)
    assert "Log out everywhere else" not in page
    assert client.post("/api/v1/account/sessions/end-others").json() == {"ended": 0}
    assert actions(depot_db) == ["user.sessions_ended", "user.sessions_ended"]
    assert not logged_in(client, elsewhere)
    assert logged_in(client, other)


def test_a_login_is_known_by_its_browser(client: Client, depot_db: Database) -> None:
    choose_password(depot_db, ANN)
    sign_out(client)
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    client.post("/login", data={"email": ANN, "password": "correct horse battery"}, headers={"user-agent": agent})
    (found,) = client.get("/api/v1/account/sessions").json()["items"]
    assert found["browser"] == "Firefox on Linux"


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5", "curl"),
        ("", "unknown"),
        ("<script>alert(1)</script>", "unknown"),
    ],
)  # fmt: skip
def test_a_browser_has_a_name_that_people_know(agent: str, said: Any) -> None:
    assert browsers.name(agent) == said
