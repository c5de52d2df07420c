"""`/password/<token>`: the page behind the one-time link of the welcome mail, where a person sets a password."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, Router, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Template
from msgspec import Meta, Struct

from appliance import passwords
from appliance.errors import InputError
from appliance.storage.db import write_tx
from web.parts import Given

_Typed = Annotated[str, Meta(max_length=4 * passwords.LONGEST)]


class Chosen(Struct, frozen=True):
    """What the form sends."""

    password: _Typed = ""
    again: _Typed = ""


@get("/{token:str}", sync_to_thread=True, include_in_schema=False)
def password_page(parts: Given, token: FromPath[str]) -> Template:
    with parts.db() as db:
        user = passwords.linked_user(db, token, parts.now())
    return _page(user["name"], "")


@post("/{token:str}", sync_to_thread=True, status_code=200, include_in_schema=False)
def set_password(
    parts: Given, token: FromPath[str], data: Annotated[Chosen, Body(media_type=RequestEncodingType.URL_ENCODED)]
) -> Template | Response[Any]:
    """Sets the password, once. What is wrong with it is said on the page, and the link stays good."""
    with parts.db() as db:
        user = passwords.linked_user(db, token, parts.now())
        try:
            passwords.check(user, data.password, data.again)
        except InputError as error:
            return _page(user["name"], error.what)
    digest = passwords.hashed(data.password)  # takes its time, and no transaction waits for it
    with parts.db() as db, write_tx(db) as tx:
        revoked = passwords.set_by_link(tx, token, digest, parts.now())
    context = {"name": user["name"], "done": True, "complaint": "", "shortest": 0, "revoked": revoked}
    return Template("password.html", context=context)


def _page(name: str, complaint: str) -> Template:
    context = {"name": name, "done": False, "complaint": complaint, "shortest": passwords.SHORTEST}
    return Template("password.html", context=context, status_code=400 if complaint else 200)


# A router, because Litestar 2.25 registers a path's first handler twice when a second is added to the application
# itself, and then takes the first for one that is not to be awaited.
HANDLERS: list[Any] = [Router("/password", route_handlers=[password_page, set_password])]
