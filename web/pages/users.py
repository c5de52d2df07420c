"""`/users`, and `/users/{id}`: who uses the pages, in which role, and how they come in. For administrators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from litestar import Request, Router, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Template
from sqlite_utils import Database

from appliance import access, people_desk
from appliance.domain.access import Role
from appliance.errors import DepotError, InputError
from appliance.people_desk import UserDetails
from appliance.storage import api_tokens, users
from appliance.storage.db import Row, Tx, write_tx
from appliance.storage.times import parse, parse_or_none
from web import cards, tokens
from web.api import users as api
from web.api.users import of_id, password_address
from web.forms import Form, refused
from web.lists import ROWS, Listing, PageNumber, Search, offset
from web.pages import shell
from web.parts import Given, Parts
from web.typed import Fields, text, version

ROLES: tuple[tuple[Role, str], ...] = (
    (Role.administrator, "administrator: everything"),
    (Role.dispatcher, "dispatcher: trips, shifts and patients"),
    (Role.biller, "biller: invoices, payments and patients"),
    (Role.viewer, "viewer: looks, without patients' names"),
)

Show = Annotated[Literal["", "waiting", "disabled"], QueryParameter(name="show")]


@get("/", sync_to_thread=True, include_in_schema=False)
def users_page(parts: Given, page: PageNumber = 1, show: Show = "", q: Search = "") -> Template:
    return _list(parts, page=page, show=show, q=q.strip())


@post("/", sync_to_thread=True, status_code=200, include_in_schema=False)
def user_add(parts: Given, request: Request[Any, Any, Any], data: Fields) -> Template:
    try:
        id, token = api.add(
            parts, data.get("email", ""), data.get("name", ""), data.get("role", ""), by_mail="mail" in data
        )
    except DepotError as error:
        return _list(parts, form=refused("add", data, error))
    done = "The user is added." if token else "The user is added, and gets a mail with a link to choose a password."
    page = _one(parts, id, done=done, link=password_address(request, token) if token else "")
    page.headers["HX-Push-Url"] = f"/users/{id}"
    return page


@get("/{user_id:int}", sync_to_thread=True, include_in_schema=False)
def user_page(parts: Given, user_id: FromPath[int]) -> Template:
    return _one(parts, user_id)


@post("/{user_id:int}", sync_to_thread=True, status_code=200, include_in_schema=False)
def user_change(parts: Given, user_id: FromPath[int], data: Fields) -> Template:
    def act(tx: Tx, email: str) -> str:
        given: dict[str, Any] = text(data, ("name", "email"))
        if "role" in data:
            given["role"] = _role(data["role"])
        details = UserDetails(**given)
        people_desk.change_user(tx, email, details, version=version(data), who=parts.who, now=parts.now())
        return "The user is changed."

    return _acted(parts, user_id, "edit", data, act)


@post("/{user_id:int}/disable", sync_to_thread=True, status_code=200, include_in_schema=False)
def user_disable(parts: Given, user_id: FromPath[int]) -> Template:
    def act(tx: Tx, email: str) -> str:
        people_desk.disable(tx, email, who=parts.who, now=parts.now())
        return "The user is disabled: logins have ended, and tokens count no more."

    return _acted(parts, user_id, "disable", {}, act)


@post("/{user_id:int}/enable", sync_to_thread=True, status_code=200, include_in_schema=False)
def user_enable(parts: Given, user_id: FromPath[int]) -> Template:
    def act(tx: Tx, email: str) -> str:
        people_desk.enable(tx, email, who=parts.who, now=parts.now())
        return "The user may log in again, with the old password."

    return _acted(parts, user_id, "enable", {}, act)


@post("/{user_id:int}/link", sync_to_thread=True, status_code=200, include_in_schema=False)
def user_link(parts: Given, request: Request[Any, Any, Any], user_id: FromPath[int]) -> Template:
    try:
        token = api.password_link(parts, user_id)
    except DepotError as error:
        return _one(parts, user_id, form=refused("link", {}, error))
    return _one(parts, user_id, link=password_address(request, token), done="An earlier link works no more.")


@post("/{user_id:int}/mail", sync_to_thread=True, status_code=200, include_in_schema=False)
def user_mail(parts: Given, user_id: FromPath[int]) -> Template:
    try:
        api.mail_link(parts, user_id)
    except DepotError as error:
        return _one(parts, user_id, form=refused("link", {}, error))
    return _one(parts, user_id, done="A mail with a new link goes out; an earlier link then works no more.")


@post("/{user_id:int}/tokens/{token_id:int}/revoke", sync_to_thread=True, status_code=200, include_in_schema=False)
def user_token_revoke(parts: Given, user_id: FromPath[int], token_id: FromPath[int]) -> Template:
    def act(tx: Tx, _email: str) -> str:
        access.revoke_token(tx, token_id, of_user=user_id, who=parts.who, now=parts.now())
        return "The token is revoked."

    return _acted(parts, user_id, f"token-{token_id}", {}, act)


def _acted(parts: Parts, user_id: int, form: str, typed: dict[str, str], act: Callable[[Tx, str], str]) -> Template:
    """Does it, and shows the user with what was done or with the refusal."""
    try:
        with parts.db() as db, write_tx(db) as tx:
            done = act(tx, of_id(tx, user_id)["email"])
    except DepotError as error:
        return _one(parts, user_id, form=refused(form, typed, error))
    return _one(parts, user_id, done=done)


def _role(given: str) -> Role:
    if given not in list(Role):
        raise InputError(f"expected one of {', '.join(Role)}", subject="role")
    return Role(given)


def _list(parts: Parts, *, page: int = 1, show: str = "", q: str = "", form: Form | None = None) -> Template:
    groups: dict[str, list[dict[str, Any]]] = {"": [], "waiting": [], "disabled": []}
    with parts.db() as db:
        for row in users.listed(db):
            one = _shown(parts, db, row)
            groups["disabled" if row["disabled_at"] else ""].append(one)
            if one["waiting"] and not row["disabled_at"]:
                groups["waiting"].append(one)
    words = q.casefold().split()
    found = [one for one in groups[show] if all(word in _searched(one["row"]) for word in words)]
    return shell.page(
        parts, "users.html", here="/users", form=form, roles=ROLES,
        listing=Listing("/users", found[offset(page) : offset(page) + ROWS], len(found), page,
                        (("show", show), ("q", q))),
        counts={group: len(members) for group, members in groups.items()},
    )  # fmt: skip


def _one(parts: Parts, user_id: int, *, link: str = "", done: str = "", form: Form | None = None) -> Template:
    now, zone = parts.now(), parts.settings.zone
    with parts.db() as db:
        row = of_id(db, user_id)
        user = _shown(parts, db, row)
        own = api_tokens.listed(db, user_id)
    assert parts.caller is not None
    return shell.page(
        parts, "user.html", here="/users", done=done, form=form, link=link, roles=ROLES, user=user,
        added=cards.moment(parse(row["created_at"]), now, zone), myself=parts.caller.user.id == user_id,
        tokens=[tokens.shown(one, now, zone) for one in reversed(own)],
    )  # fmt: skip


def _shown(parts: Parts, db: Database, row: Row) -> dict[str, Any]:
    """What list and page show of a user: `seen` is the last use of a login that still counts."""
    now, zone = parts.now(), parts.settings.zone
    logins = access.sessions_of(db, row["id"], parts.instant()) if not row["disabled_at"] else []
    seen, disabled = max((parse(one["seen_at"]) for one in logins), default=None), parse_or_none(row["disabled_at"])
    return {
        "row": row,
        "waiting": row["password_hash"] is None,
        "logins": len(logins),
        "seen": cards.moment(seen, now, zone) if seen else None,
        "disabled": cards.moment(disabled, now, zone) if disabled else None,
    }


def _searched(row: Row) -> str:
    return "\n".join((row["name"], row["email"], row["role"])).casefold()


HANDLERS: list[Any] = [
    Router("/users", route_handlers=[
        users_page, user_add, user_page, user_change, user_disable, user_enable, user_link, user_mail,
        user_token_revoke,
    ]),
]  # fmt: skip
