"""`/api/v1/tokens`: everybody's API tokens, for administrators; `/api/v1/account`: a person's own tokens and logins.

A token is made by a person who is logged in, for themselves: no token makes another.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter, RequestBody
from msgspec import Meta, Struct

from appliance import access
from appliance.access import TOKEN_DAYS, Caller
from appliance.domain.access import Scope
from appliance.storage import api_tokens
from appliance.storage.db import Row, write_tx
from web.api.answers import Page, make
from web.parts import Given, Parts
from web.problems import Problem

REVOKED = ResponseSpec(Problem, description="It is revoked already")
OfUser = Annotated[
    int | None, QueryParameter(name="user", ge=1, le=2**53, description="only those of the user with this id")
]


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make. It ends by itself after `days`, or never where that is null."""

    name: Annotated[str, Meta(min_length=1, max_length=50)]
    scope: Scope
    days: Annotated[int, Meta(ge=1, le=TOKEN_DAYS)] | None = None


class Token(Struct, frozen=True, kw_only=True):
    """A token without its secret; `email` is its user's. That it was used is noted at most once a minute."""

    id: int
    email: str
    name: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class MadeToken(Struct, frozen=True, kw_only=True):
    """`token` is told now and never again."""

    id: int
    token: str


class Session(Struct, frozen=True, kw_only=True):
    """A login in one browser; `current`: the one that asks."""

    browser: str
    created_at: datetime
    seen_at: datetime
    current: bool


class Ended(Struct, frozen=True, kw_only=True):
    """How many sessions ended."""

    ended: int


@get("/tokens", sync_to_thread=True, summary="API tokens, the revoked ones too; never the secrets")
def list_tokens(parts: Given, of_user: OfUser = None) -> Page[Token]:
    with parts.db() as db:
        return _page(api_tokens.listed(db, of_user))


@post(
    "/tokens/{token_id:int}/revoke",
    sync_to_thread=True,
    status_code=204,
    summary="A token counts no more, at once and for good",
    responses={409: REVOKED},
)
def revoke_token(parts: Given, token_id: FromPath[int]) -> None:
    with parts.db() as db, write_tx(db) as tx:
        access.revoke_token(tx, token_id, who=parts.who, now=parts.now())


@get("/account/tokens", sync_to_thread=True, summary="One's own API tokens")
def list_own_tokens(parts: Given) -> Page[Token]:
    with parts.db() as db:
        return _page(api_tokens.listed(db, person(parts).user.id))


@post("/account/tokens", sync_to_thread=True, summary="Make an API token in one's own name")
def make_own_token(parts: Given, data: RequestBody[NewToken]) -> MadeToken:
    """It may what its user may, as far as its scope goes: `read` changes nothing, `write` may all but administer."""
    id, token = create(parts, data.name, data.scope, data.days)
    return MadeToken(id=id, token=token)


@post(
    "/account/tokens/{token_id:int}/revoke",
    sync_to_thread=True,
    status_code=204,
    summary="One's own token counts no more",
    responses={409: REVOKED},
)
def revoke_own_token(parts: Given, token_id: FromPath[int]) -> None:
    revoke_own(parts, token_id)


@get("/account/sessions", sync_to_thread=True, summary="One's own logins, the newest first")
def list_own_sessions(parts: Given) -> Page[Session]:
    caller = person(parts)
    with parts.db() as db:
        found = access.sessions_of(db, caller.user.id, parts.instant())
    return Page([make(Session, row, current=row["token_hash"] == caller.key) for row in found], len(found))


@post("/account/sessions/end-others", sync_to_thread=True, status_code=200, summary="Log oneself out elsewhere")
def end_own_sessions(parts: Given) -> Ended:
    return Ended(ended=end_others(parts))


def person(parts: Parts) -> Caller:
    """Who asks about themselves."""
    if parts.caller is None:
        raise RuntimeError("nobody is logged in here")
    return parts.caller


def create(parts: Parts, name: str, scope: str, days: int | None) -> tuple[int, str]:
    """A token in the caller's own name: its id and itself. Raises InputError."""
    with parts.db() as db, write_tx(db) as tx:
        return access.create_token(tx, person(parts).user.email, name, scope, days=days, who=parts.who, now=parts.now())


def revoke_own(parts: Parts, token_id: int) -> None:
    """Raises NotFound for a token that is not the caller's, and Refused for one that is revoked."""
    with parts.db() as db, write_tx(db) as tx:
        access.revoke_token(tx, token_id, of_user=person(parts).user.id, who=parts.who, now=parts.now())


def end_others(parts: Parts) -> int:
    """Ends the caller's other sessions; returns how many."""
    with parts.db() as db, write_tx(db) as tx:
        return access.end_other_sessions(tx, person(parts), now=parts.now())


def _page(found: list[Row]) -> Page[Token]:
    return Page([make(Token, row) for row in found], len(found))


HANDLERS: list[Any] = [
    list_tokens, revoke_token, list_own_tokens, make_own_token, revoke_own_token, list_own_sessions, end_own_sessions,
]  # fmt: skip
