"""Who may pass: the table of permissions, the way to the login page, tokens of programs, and CSRF."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from appliance import access, people_desk
from appliance.domain.access import Permission
from appliance.storage.db import open_depot, write_tx
from tests.web import world
from tests.web.conftest import NEW_TRIP, Client, problem, put_cookie, sign_in, sign_out
from web.app import create_app
from web.gate import Gate, local_path, on_this_machine
from web.permissions import HANDLERS
from web.security import SAFE_METHODS

PAGE = {"accept": "text/html,*/*"}
PARTS = {
    "trip_id:int": "1", "code:str": "V1", "fix_id:str": "2026-01-26:1", "invoice_id:int": "1", "job_id:str": "none",
    "queue:str": "normal", "name:str": "none", "folder:str": "static", "digest:str": "x", "token:str": "x",
    "path:str": "x", "day:date": "2026-01-26",
}  # fmt: skip


def routes(app: Litestar) -> list[tuple[str, str, str]]:
    """(handler, method, path with something in the place of its parameters) of all that the application answers."""
    found = []
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        path = route.path_format
        for part in route.path_components:
            if not isinstance(part, str):
                path = path.replace("{" + part.full + "}", PARTS.get(part.full, "1"))
                path = path.replace("{" + part.name + "}", PARTS.get(part.full, "1"))
        for handler in route.route_handlers:
            found += [(handler.handler_name, str(method), path) for method in handler.http_methods]
    return found


def test_each_handler_stands_in_the_table_and_the_table_names_no_other(client: Client) -> None:
    assert {name for name, _, _ in routes(client.app)} == set(HANDLERS)


def test_each_change_needs_more_than_looking(client: Client) -> None:
    """By the table itself, so that no new handler lets a viewer change something."""
    own = {"log_in", "log_out", "set_password", "change_password", "set_up"}
    own |= {"inbox_read", "inbox_read_one", "read_notifications", "read_notification"}
    own |= {"sessions_end", "token_make", "token_revoke", "make_own_token", "revoke_own_token", "end_own_sessions"}
    changing = {name for name, method, _ in routes(client.app) if method not in SAFE_METHODS}
    assert len(changing) > 15
    for name in changing - own:
        assert isinstance(HANDLERS[name], Permission), name
        assert HANDLERS[name] is not Permission.view, name


def test_a_viewer_is_refused_each_change(client: Client, depot: world.World) -> None:
    sign_in(client, depot, "viewer")
    tried = [
        (name, method, path)
        for name, method, path in routes(client.app)
        if method not in SAFE_METHODS and isinstance(HANDLERS[name], Permission)
    ]
    assert {client.request(method, path).status_code for _, method, path in tried} == {403}
    assert "a viewer may not" in problem(client.post("/api/v1/trips", json=NEW_TRIP), 403)


def test_a_stranger_gets_nothing_but_what_is_free(client: Client) -> None:
    sign_out(client)
    for name, method, path in routes(client.app):
        if HANDLERS[name] in ("always", "anyone"):
            continue
        assert client.request(method, path).status_code == 401, (method, path)
        page = client.request(method, path, headers=PAGE, follow_redirects=False)
        assert page.status_code == (303 if method in SAFE_METHODS and not path.startswith("/api/") else 401), path


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("administrator", {"trips", "void", "pause"}),
        ("dispatcher", {"trips"}),
        ("biller", {"void"}),
        ("viewer", set()),
    ],
)
def test_each_role_may_do_its_work(client: Client, depot: world.World, role: str, allowed: set[str]) -> None:
    sign_in(client, depot, role)
    answers = {
        "trips": client.post("/api/v1/trips", json=NEW_TRIP),
        "void": client.post("/api/v1/invoices/1/void", json={"reason": "wrong payer"}),
        "pause": client.post("/api/v1/queues/normal/pause"),
    }
    assert {name for name, answer in answers.items() if answer.is_success} == allowed
    assert {answer.status_code for name, answer in answers.items() if name not in allowed} <= {403}
    assert client.get("/").status_code == 200


def test_a_handler_that_nobody_put_into_the_table_answers_nobody(client: Client, depot: world.World) -> None:
    app = create_app(depot.settings)
    gate = next(one for one in app.middleware if isinstance(one, Gate))
    gate._table = {name: need for name, need in HANDLERS.items() if name != "list_trips"}
    client.app.asgi_handler = app.asgi_handler
    problem(client.get("/api/v1/trips"), 403)


def test_a_person_is_sent_to_the_login_page_and_back(client: Client) -> None:
    sign_out(client)
    answer = client.get("/trips/1?tab=map", headers=PAGE, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/trips/1%3Ftab%3Dmap")
    assert 'value="/trips/1?tab=map"' in client.get(answer.headers["location"]).text
    assert client.get("/", headers=PAGE, follow_redirects=False).headers["location"] == "/login"


def test_a_fragment_of_a_page_sends_the_whole_page_to_the_login(client: Client) -> None:
    sign_out(client)
    headers = {"HX-Request": "true", "HX-Current-URL": "http://127.0.0.1:8080/trips/1"}
    answer = client.get("/strip", headers=headers, follow_redirects=False)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login?next=/trips/1")


def test_a_program_is_told_how_to_ask(client: Client) -> None:
    sign_out(client)
    answer = client.get("/api/v1/trips", headers=PAGE)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "Bearer" in problem(answer, 401)
    problem(client.get("/api/v1/live"), 401)


@pytest.mark.parametrize(
    "place",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "/x\\y", "javascript:alert(1)", "", None, "evil",
     "/login", "/a\r\nSet-Cookie: x=y", "/\t/evil.example"],
)  # fmt: skip
def test_the_way_back_never_leads_to_another_site(place: str | None) -> None:
    assert local_path(place) == "/"


def test_the_way_back_keeps_a_page_of_ours() -> None:
    assert local_path("/trips/1?tab=map") == "/trips/1?tab=map"


@pytest.mark.parametrize("csrf", [None, "", "0" * 64, "other"])
def test_a_change_without_the_sessions_own_token_is_refused(
    client: Client, depot: world.World, csrf: str | None
) -> None:
    sent = world.as_user(depot.settings).csrf if csrf == "other" else csrf
    client.headers.pop("X-CSRF-Token")
    headers = {} if sent is None else {"X-CSRF-Token": sent}
    assert "load it again" in problem(client.post("/api/v1/trips", json=NEW_TRIP, headers=headers), 403)
    assert client.get("/api/v1/trips").json()["total"] == 20


def test_a_form_carries_the_token_in_a_field(client: Client) -> None:
    csrf = client.headers.pop("X-CSRF-Token")
    problem(client.post("/logout", data={"csrf": "0" * 64}), 403)
    assert client.get("/account").status_code == 200
    assert client.post("/logout", data={"csrf": csrf}, follow_redirects=False).status_code == 303
    problem(client.get("/account"), 401)


def test_a_page_has_the_token_for_its_own_changes(client: Client) -> None:
    page = client.get("/").text
    csrf = client.headers["X-CSRF-Token"]
    assert f"""hx-headers='{{"X-CSRF-Token": "{csrf}"}}'""" in page
    assert client.cookies["depot"] not in page


@pytest.mark.parametrize(("scope", "allowed"), [("read", 0), ("write", 1), ("admin", 2)])
def test_a_token_may_what_its_scope_says(client: Client, depot: world.World, scope: str, allowed: int) -> None:
    sign_out(client)
    token = world.api_token(depot.settings, "administrator", scope)
    assert client.get("/api/v1/trips", headers=token).status_code == 200
    answers = [
        client.post("/api/v1/trips", json=NEW_TRIP, headers=token),
        client.post("/api/v1/queues/normal/pause", headers=token),
    ]
    assert [answer.is_success for answer in answers] == [n < allowed for n in range(2)]
    assert {answer.status_code for answer in answers if not answer.is_success} <= {403}


def test_a_search_by_post_is_reading(client: Client, depot: world.World) -> None:
    """A patient's name stands in no address, so it is asked for by POST: nothing is changed by that."""
    sign_out(client)
    token = world.api_token(depot.settings, "dispatcher", "read")
    assert client.post("/api/v1/patients/search", json={"query": "x"}, headers=token).status_code == 200
    viewers = world.api_token(depot.settings, "viewer", "read")
    problem(client.post("/api/v1/patients/search", json={"query": "x"}, headers=viewers), 403)


def test_a_token_has_no_more_than_its_users_role(client: Client, depot: world.World) -> None:
    sign_out(client)
    token = world.api_token(depot.settings, "viewer", "admin")
    assert "scope admin of a viewer" in problem(client.post("/api/v1/trips", json=NEW_TRIP, headers=token), 403)
    problem(client.get("/account", headers=token), 403)


def test_who_did_it_is_written_down(client: Client, depot: world.World) -> None:
    sign_in(client, depot, "dispatcher")
    events = client.post("/api/v1/trips", json=NEW_TRIP | {"vehicle": "V8"}).json()["events"]
    assert {event["who"] for event in events} == {"dispatcher@depot.example"}
    sign_out(client)
    token = world.api_token(depot.settings, "dispatcher", "write")
    events = client.post("/api/v1/trips", json=NEW_TRIP | {"vehicle": "V7"}, headers=token).json()["events"]
    assert {event["who"] for event in events} == {"dispatcher@depot.example (token test)"}


@pytest.mark.parametrize("token", ["", "x", "depot_", "depot_wrong", "Basic x"])
def test_a_wrong_token_is_nobody_whatever_cookie_comes_with_it(client: Client, token: str) -> None:
    problem(client.get("/api/v1/trips", headers={"Authorization": f"Bearer {token}"}), 401)


def test_a_session_is_no_token_and_a_token_no_session(client: Client, depot: world.World) -> None:
    session = client.cookies["depot"]
    sign_out(client)
    problem(client.get("/api/v1/trips", headers={"Authorization": f"Bearer {session}"}), 401)
    token = world.api_token(depot.settings)["Authorization"].removeprefix("Bearer ")
    put_cookie(client, "depot", token)
    problem(client.get("/api/v1/trips"), 401)


def test_a_disabled_user_is_out_at_once_with_sessions_and_tokens(client: Client, depot: world.World) -> None:
    token = world.api_token(depot.settings, "dispatcher")
    sign_in(client, depot, "dispatcher")
    assert client.get("/api/v1/trips").status_code == 200
    change(depot, "disable")
    problem(client.get("/api/v1/trips"), 401)
    problem(client.get("/api/v1/trips", headers=token), 401)
    change(depot, "enable")
    problem(client.get("/api/v1/trips"), 401)
    problem(client.get("/api/v1/trips", headers=token), 401)


def test_another_role_counts_from_the_next_request_on(client: Client, depot: world.World) -> None:
    sign_in(client, depot, "dispatcher")
    assert client.post("/api/v1/trips", json=NEW_TRIP).status_code == 201
    change(depot, "set_role", role="viewer")
    problem(client.post("/api/v1/trips", json=NEW_TRIP), 403)


def change(depot: world.World, what: str, **more: Any) -> None:
    db = open_depot(depot.settings.paths.depot_db)
    with write_tx(db) as tx:
        getattr(people_desk, what)(tx, world.address_of("dispatcher"), **more, who="test", now=depot.now)
    db.conn.close()


def test_secrets_are_kept_as_hashes_only(client: Client, depot: world.World) -> None:
    token = world.api_token(depot.settings)["Authorization"].removeprefix("Bearer ")
    stored = b"".join(path.read_bytes() for path in depot.settings.paths.data_dir.glob("depot.db*"))
    for secret in (token, client.cookies["depot"], client.headers["X-CSRF-Token"]):
        assert secret.encode() not in stored
    assert token.startswith(access.TOKEN_BEGIN)


@pytest.mark.parametrize(
    ("client_address", "here"), [("127.0.0.1", True), ("::1", True), ("192.168.1.5", False), ("testclient", False)]
)
def test_metrics_are_for_programs_on_this_machine(client_address: str, here: bool) -> None:
    assert on_this_machine({"client": (client_address, 5)}) is here  # type: ignore[typeddict-item]


def test_metrics_over_the_network_need_a_token(client: Client, depot: world.World) -> None:
    sign_out(client)
    problem(client.get("/metrics"), 401)
    token = world.api_token(depot.settings, "viewer", "read")
    assert client.get("/metrics", headers=token).status_code == 200
