"""`/login`, `/sign-in`, `/logout` and `/account`: who comes in, who goes, and one's own password, logins and tokens."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from litestar import Request, Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect, Template
from msgspec import Meta, Struct

from appliance import access, log, passwords
from appliance.domain.access import LONGEST
from appliance.errors import DepotError, InputError
from appliance.storage import api_tokens, times, users
from appliance.storage.db import Row, write_tx
from web import browsers, cards, forms, tokens
from web.api.tokens import create, end_others, person, revoke_own
from web.forms import Form
from web.gate import COOKIE, SECURE_COOKIE, local_path, session_token
from web.pages import shell
from web.parts import Given, Parts
from web.throttle import Throttle
from web.typed import Fields, number

MARK, SECURE_MARK = "depot-known", "__Host-depot-known"
"""The cookie by which a browser that has logged in before is told from others at the same address."""
MARK_S = 365 * 24 * 3600
CHANGED = "Your password is changed. Wherever else you were logged in, you are not any more."
AT_ONCE = 4
"""Attempts of one address that are looked at at a time."""

_log = log.get(__name__)
_Typed = Annotated[str, Meta(max_length=4 * passwords.LONGEST)]
_FORM = Body(media_type=RequestEncodingType.URL_ENCODED)
_Found = TypeVar("_Found")


class Login(Struct, frozen=True):
    """What the login form sends."""

    email: _Typed = ""
    password: _Typed = ""
    next: Annotated[str, Meta(max_length=2000)] = "/"


class Change(Struct, frozen=True):
    """What the form for another password sends."""

    current: _Typed = ""
    password: _Typed = ""
    again: _Typed = ""


class Door:
    """Tries passwords, at a pace that no guesser likes. Two at a time in threads of its own, so that a flood of logins
    holds nobody else up."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._throttle = Throttle()
        self._clock = clock
        self._hashing = ThreadPoolExecutor(2, thread_name_prefix="argon2")
        self._open: Counter[str] = Counter()

    async def fits(
        self, parts: Parts, request: Request[Any, Any, Any], user: Row | None, email: str, password: str
    ) -> float | bool:
        """Whether it is the user's password; or the seconds to wait before the next attempt, without a look at it."""
        account = user["uid"] if user else hashlib.sha256(email.casefold().encode()).hexdigest()
        address = request.client.host if request.client else ""
        mark = request.cookies.get(SECURE_MARK if _secure(request) else MARK, "")
        known = user is not None and access.is_browser_mark(parts.settings.paths, user["uid"], mark)
        place = mark if known else address
        if not known and self._open[address] >= AT_ONCE:
            return 1.0
        wait_s = self._throttle.attempt(account, place, self._clock(), known=known)
        if wait_s > 0:
            return wait_s
        self._open[address] += 1
        try:
            digest = user["password_hash"] if user and not user["disabled_at"] else None
            right = await self.hashing(lambda: passwords.fits(digest, password))
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
        if right:
            self._throttle.succeeded(account, place)
        return right

    async def hashing(self, run: Callable[[], _Found]) -> _Found:
        """Runs what hashes a password."""
        return await asyncio.get_running_loop().run_in_executor(self._hashing, run)


def handlers(door: Door) -> list[Any]:
    """The routes, over one door."""

    @get("/login", sync_to_thread=False, include_in_schema=False)
    def login_page(next: FromQuery[str | None] = None) -> Template:
        return _login_page("", local_path(next), "")

    @post("/login", status_code=200, include_in_schema=False)
    async def log_in(parts: Given, request: Request[Any, Any, Any], data: Annotated[Login, _FORM]) -> Response[Any]:
        """A new session, whatever the browser sent; what it had is over."""
        email, place = data.email.strip(), local_path(data.next)
        user = await sync_to_thread(_user, parts, email)
        right = await door.fits(parts, request, user, email, data.password)
        if right is not True or user is None:
            wait_s = 0.0 if right is False else float(right)
            _log.warning("web.login_refused", user=user["id"] if user else None, wait_s=round(wait_s, 1))
            return _login_page(
                email, place, _waiting(wait_s) if wait_s else "E-mail address or password is wrong", bool(wait_s)
            )
        token = await sync_to_thread(_begin, parts, user, session_token(request), _browser(request))
        _log.info("web.logged_in", user=user["id"])
        return Redirect(place, status_code=303, cookies=[_cookie(request, token), _mark(parts, request, user)])

    @get("/sign-in/{token:str}", sync_to_thread=True, status_code=303, include_in_schema=False)
    def sign_in(parts: Given, request: Request[Any, Any, Any], token: FromPath[str]) -> Redirect:
        """Behind the links that a demonstration prints."""
        with parts.db() as db, write_tx(db) as tx:
            session = access.use_sign_in_link(tx, token, parts.instant(), _browser(request))
        return Redirect("/", status_code=303, cookies=[_cookie(request, session)])

    @post("/logout", sync_to_thread=True, status_code=303, include_in_schema=False)
    def log_out(parts: Given, request: Request[Any, Any, Any]) -> Redirect:
        with parts.db() as db, write_tx(db) as tx:
            access.end_session(tx, session_token(request) or "")
        return Redirect("/login", status_code=303, cookies=[_cookie(request, "", max_age=0)])

    @get("/account", sync_to_thread=True, include_in_schema=False)
    def account_page(parts: Given, changed: FromQuery[bool] = False) -> Template:
        return _account_page(parts, done=CHANGED if changed else "")

    @post("/account/password", status_code=200, include_in_schema=False)
    async def change_password(
        parts: Given, request: Request[Any, Any, Any], data: Annotated[Change, _FORM]
    ) -> Response[Any]:
        """Ends every session of the user, and begins a new one here."""

        async def refused(field: str, said: str) -> Template:
            form = Form("password", {}, {field: f"{said[:1].upper()}{said[1:]}."})
            return await sync_to_thread(_account_page, parts, form=form)

        user = await sync_to_thread(_user, parts, person(parts).user.email)
        assert user is not None
        right = await door.fits(parts, request, user, user["email"], data.current)
        if right is not True:
            return await refused("current", "That is not your password" if right is False else _waiting(right))
        try:
            passwords.check(user, data.password, data.again)
        except InputError as error:
            return await refused("password", error.what)
        digest = await door.hashing(lambda: passwords.hashed(data.password))
        token = await sync_to_thread(_change, parts, user, digest, _browser(request))
        return Redirect("/account?changed=true", status_code=303, cookies=[_cookie(request, token)])

    @post("/account/sessions/end-others", sync_to_thread=True, status_code=200, include_in_schema=False)
    def sessions_end(parts: Given) -> Template:
        ended = end_others(parts)
        return _account_page(parts, done=f"You are logged out in {ended} other browser{'' if ended == 1 else 's'}.")

    @post("/account/tokens", sync_to_thread=True, status_code=200, include_in_schema=False)
    def token_make(parts: Given, data: Fields) -> Template:
        try:
            days = number(data, "days")
            _, token = create(parts, data.get("name", ""), data.get("scope", ""), days)
        except DepotError as error:
            return _account_page(parts, form=forms.refused("token", data, error))
        return _account_page(parts, done="The token is made.", token=token)

    @post("/account/tokens/{token_id:int}/revoke", sync_to_thread=True, status_code=200, include_in_schema=False)
    def token_revoke(parts: Given, token_id: FromPath[int]) -> Template:
        try:
            revoke_own(parts, token_id)
        except DepotError as error:
            return _account_page(parts, form=forms.refused(f"token-{token_id}", {}, error))
        return _account_page(parts, done="The token is revoked.")

    return [
        login_page, log_in, sign_in, log_out, account_page, change_password, sessions_end, token_make, token_revoke,
    ]  # fmt: skip


def _user(parts: Parts, email: str) -> Row | None:
    with parts.db() as db:
        return users.by_email(db, email)


def _browser(request: Request[Any, Any, Any]) -> str:
    return browsers.name(request.headers.get("user-agent", ""))


def _begin(parts: Parts, user: Row, before: str | None, browser: str) -> str:
    with parts.db() as db, write_tx(db) as tx:
        if before:
            access.end_session(tx, before)
        return access.begin_session(tx, user["id"], parts.instant(), browser)


def _change(parts: Parts, user: Row, digest: str, browser: str) -> str:
    with parts.db() as db, write_tx(db) as tx:
        passwords.change(tx, user["id"], user["password_hash"], digest, parts.now())
        return access.begin_session(tx, user["id"], parts.instant(), browser)


def _login_page(email: str, place: str, complaint: str, waits: bool = False) -> Template:
    status = HTTPStatus.TOO_MANY_REQUESTS if waits else HTTPStatus.BAD_REQUEST if complaint else HTTPStatus.OK
    context = {"email": email, "next": place, "complaint": complaint}
    return Template("login.html", context=context, status_code=status)


def _account_page(parts: Parts, *, done: str = "", form: Form | None = None, token: str = "") -> Template:
    caller, now, zone = person(parts), parts.now(), parts.settings.zone
    with parts.db() as db:
        sessions = access.sessions_of(db, caller.user.id, parts.instant())
        own = api_tokens.listed(db, caller.user.id)
    return shell.page(
        parts, "account.html", here="/account", done=done, form=form, token=token, shortest=passwords.SHORTEST,
        sessions=[_session(row, caller.key, now, zone) for row in sessions],
        tokens=[tokens.shown(row, now, zone) for row in reversed(own)],
        scopes=tokens.scopes(caller.user.role), ends=tokens.ENDS,
    )  # fmt: skip


def _session(row: Row, current: str, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "browser": row["browser"],
        "current": row["token_hash"] == current,
        "since": cards.moment(times.parse(row["created_at"]), now, zone),
        "seen": cards.moment(times.parse(row["seen_at"]), now, zone),
    }


def _waiting(wait_s: float) -> str:
    return f"Too many attempts; try again in {max(1, round(wait_s))} s"


def _secure(request: Request[Any, Any, Any]) -> bool:
    return request.scope.get("scheme") == "https"


def _cookie(request: Request[Any, Any, Any], token: str, max_age: int = int(LONGEST.total_seconds())) -> Cookie:
    """Lax: a link in a mail arrives logged in, and no GET changes anything."""
    name = SECURE_COOKIE if _secure(request) else COOKIE
    return Cookie(name, value=token, path="/", max_age=max_age, secure=_secure(request), httponly=True, samesite="lax")


def _mark(parts: Parts, request: Request[Any, Any, Any], user: Row) -> Cookie:
    """Says that this user has logged in with this browser. It opens nothing."""
    name = SECURE_MARK if _secure(request) else MARK
    value = access.browser_mark(parts.settings.paths, user["uid"])
    return Cookie(
        name, value=value, path="/", max_age=MARK_S, secure=_secure(request), httponly=True, samesite="strict"
    )
