"""`/api/v1/users`: the people who use the pages, and how they come to a password. For administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import Request, get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, RequestBody
from msgspec import Struct
from sqlite_utils import Database

from appliance import people_desk
from appliance.domain.access import Role
from appliance.errors import NotFound
from appliance.people_desk import UserDetails
from appliance.storage import users
from appliance.storage.db import Row, write_tx
from web.api.answers import Page, make
from web.parts import Given, Parts
from web.problems import Problem

LAST = ResponseSpec(Problem, description="It is the last administrator who can log in")


class NewUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user to add, who is mailed a link to choose a password; without `mail` the link is in the answer."""

    email: str
    name: str
    role: Role
    mail: bool = True


class UserRecord(Struct, frozen=True, kw_only=True):
    """A user; `has_password` is false until one is chosen."""

    id: int
    email: str
    name: str
    role: Role
    has_password: bool
    created_at: datetime
    disabled_at: datetime | None
    version: int


class UserChange(UserDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a user. With `version`, its own when it was read, it counts only if nobody else was
    faster."""

    version: int | None = None


class AddedUser(Struct, frozen=True, kw_only=True):
    """`password_link` is told now and never again; null where it went out by mail."""

    user: UserRecord
    password_link: str | None


class PasswordLink(Struct, frozen=True, kw_only=True):
    """A link to choose a password: good once, and for a day. Earlier ones stop to work."""

    password_link: str


@get("/users", sync_to_thread=True, summary="The users by name, the disabled ones too")
def list_users(parts: Given) -> Page[UserRecord]:
    with parts.db() as db:
        found = [_record(row) for row in users.listed(db)]
    return Page(found, len(found))


@get("/users/{user_id:int}", sync_to_thread=True, summary="One user")
def get_user(parts: Given, user_id: FromPath[int]) -> UserRecord:
    with parts.db() as db:
        return _record(of_id(db, user_id))


@post("/users", sync_to_thread=True, summary="Add a user")
def add_user(parts: Given, request: Request[Any, Any, Any], data: RequestBody[NewUser]) -> AddedUser:
    id, token = add(parts, data.email, data.name, data.role, by_mail=data.mail)
    with parts.db() as db:
        return AddedUser(user=_record(of_id(db, id)), password_link=password_address(request, token) if token else None)


@patch(
    "/users/{user_id:int}",
    sync_to_thread=True,
    summary="Change a user; what is left out stays as it is",
    responses={409: ResponseSpec(Problem, description=f"{LAST.description}, or it was changed since it was read")},
)
def change_user(parts: Given, user_id: FromPath[int], data: RequestBody[UserChange]) -> UserRecord:
    """Another role counts from the next request on."""
    with parts.db() as db, write_tx(db) as tx:
        email = of_id(tx, user_id)["email"]
        people_desk.change_user(tx, email, data, version=data.version, who=parts.who, now=parts.now())
        return _record(of_id(tx, user_id))


@post(
    "/users/{user_id:int}/disable",
    sync_to_thread=True,
    status_code=200,
    summary="Shut a user out: sessions end, tokens count no more",
    responses={409: LAST},
)
def disable_user(parts: Given, user_id: FromPath[int]) -> UserRecord:
    with parts.db() as db, write_tx(db) as tx:
        people_desk.disable(tx, of_id(tx, user_id)["email"], who=parts.who, now=parts.now())
        return _record(of_id(tx, user_id))


@post("/users/{user_id:int}/enable", sync_to_thread=True, status_code=200, summary="Let a disabled user in again")
def enable_user(parts: Given, user_id: FromPath[int]) -> UserRecord:
    """Revoked tokens stay revoked."""
    with parts.db() as db, write_tx(db) as tx:
        people_desk.enable(tx, of_id(tx, user_id)["email"], who=parts.who, now=parts.now())
        return _record(of_id(tx, user_id))


@post("/users/{user_id:int}/password-link", sync_to_thread=True, summary="A new link to choose a password")
def make_password_link(parts: Given, request: Request[Any, Any, Any], user_id: FromPath[int]) -> PasswordLink:
    return PasswordLink(password_link=password_address(request, password_link(parts, user_id)))


@post("/users/{user_id:int}/welcome", sync_to_thread=True, status_code=202, summary="Mail the user a new link instead")
def welcome_user(parts: Given, user_id: FromPath[int]) -> UserRecord:
    mail_link(parts, user_id)
    return get_record(parts, user_id)


def add(parts: Parts, email: str, name: str, role: str, *, by_mail: bool) -> tuple[int, str]:
    """Adds a user: the id, and the token of the link where none is mailed."""
    ask, token = None, ""
    with parts.db() as db:
        with write_tx(db) as tx:
            if by_mail:
                ask = people_desk.add_user(tx, email, name, role, who=parts.who, now=parts.now())
            else:
                token = people_desk.add_user_with_link(tx, email, name, role, who=parts.who, now=parts.now())
            added = users.by_email(tx, email.strip())
        assert added is not None
    parts.sender.send([ask] if ask else [])
    return int(added["id"]), token


def password_link(parts: Parts, user_id: int) -> str:
    """The token of a new link. Raises NotFound, and Refused for a disabled user."""
    with parts.db() as db, write_tx(db) as tx:
        return people_desk.password_link(tx, of_id(tx, user_id)["email"], who=parts.who, now=parts.now())


def mail_link(parts: Parts, user_id: int) -> None:
    """Lets a new link go out by mail. Raises like `password_link`."""
    with parts.db() as db, write_tx(db) as tx:
        ask = people_desk.welcome(tx, of_id(tx, user_id)["email"], who=parts.who, now=parts.now())
    parts.sender.send([ask])


def password_address(request: Request[Any, Any, Any], token: str) -> str:
    """The link, at the address by which the box was asked: whoever asks knows that it can be reached there."""
    return f"{request.base_url}password/{token}"


def of_id(db: Database, user_id: int) -> Row:
    """Raises NotFound."""
    found = users.get(db, user_id)
    if found is None:
        raise NotFound("no such user", subject=f"user {user_id}")
    return found


def get_record(parts: Parts, user_id: int) -> UserRecord:
    with parts.db() as db:
        return _record(of_id(db, user_id))


def _record(row: Row) -> UserRecord:
    return make(UserRecord, row, has_password=row["password_hash"] is not None)


HANDLERS: list[Any] = [
    list_users, get_user, add_user, change_user, disable_user, enable_user, make_password_link, welcome_user,
]  # fmt: skip
