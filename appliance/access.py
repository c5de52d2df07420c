"""Who is asking: logins of people in browsers, and API tokens of programs. Random tokens of 256 bits, kept as hashes.

A session ends at logout, after 12 h without a request, after 7 days, when its user is disabled or gets another
password. An API token ends when it is revoked, at its day, or when its user is disabled. The user's role is read at
each request.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance import clock, keys, passwords, people_desk
from appliance.domain.access import Instant, Role, Scope, User, is_over
from appliance.errors import Busy, DiskFull, InputError, NotFound, Refused
from appliance.paths import Paths
from appliance.storage import api_tokens, audit, identity, sessions, times, users
from appliance.storage.db import Row, Tx, write_tx

TOKEN_BEGIN = "depot_"  # noqa: S105  how a token is told from other secrets, by people and by scanners
MARK_KEY = "browsers"
DEMONSTRATION = "demonstration"
"""The key in `identity` that marks a demonstration's data folder."""
LINK_VALID = timedelta(hours=1)
TOKEN_DAYS = 3660
"""The longest that a token that ends by itself may last."""
NOTED_EVERY = timedelta(minutes=1)
"""That a session or a token is in use is written down at most so often."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever a request comes from. `key` is the hash of the session's or token's secret; `csrf` is what a page of the
    session must send with every change, empty for a token."""

    user: User
    key: str
    csrf: str = ""


def instant(at: datetime) -> Instant:
    """This moment, which the wall clock calls `at`."""
    return Instant(at, clock.boot(), clock.uptime_s())


def begin_session(tx: Tx, user_id: int, now: Instant, browser: str = "") -> str:
    """A new session of the user, in a browser that is called so: its token, which nobody had before."""
    token = secrets.token_urlsafe(32)
    sessions.add(tx, passwords.token_hash(token), user_id, now, browser)
    return token


def end_session(tx: Tx, token: str) -> None:
    sessions.delete(tx, passwords.token_hash(token))


def sessions_of(db: Database, user_id: int, now: Instant) -> list[Row]:
    """The user's sessions that count, the newest first: `token_hash` (a caller's `key`), `browser`, `created_at`,
    `seen_at`."""
    return [found for found in sessions.of_user(db, user_id) if not is_over(*_age(found, now))]


def end_other_sessions(tx: Tx, caller: Caller, *, now: datetime) -> int:
    """Ends all of the caller's sessions but the one that asks; returns how many."""
    ended = sessions.delete_of_user(tx, caller.user.id, but=caller.key)
    user = users.get(tx, caller.user.id)
    assert user is not None
    audit.record(tx, caller.user.who, "user.sessions_ended", "user", user["uid"], now)
    return ended


def _age(session: Row, now: Instant) -> tuple[timedelta, timedelta]:
    """How old it is, and for how long nobody has asked with it."""
    idle = now.since(sessions.seen(session))
    return timedelta(seconds=session["age_s"]) + idle, idle


def of_session(db: Database, token: str, now: Instant) -> Caller | None:
    """Whose session that is; None where it is unknown or over, or its user disabled."""
    key = passwords.token_hash(token)
    found = sessions.get(db, key)
    if found is None:
        return None
    age, idle = _age(found, now)
    if is_over(age, idle):
        return None
    if idle >= NOTED_EVERY or now.boot != found["seen_boot"]:
        _note(db, lambda tx: sessions.touch(tx, found["id"], age, now))
    user = User(found["user_id"], found["email"], found["name"], Role(found["role"]))
    return Caller(user, key, csrf_token(token))


def csrf_token(session_token: str) -> str:
    """Follows from the session's token, which does not follow from it."""
    return hmac.new(session_token.encode(), b"csrf", hashlib.sha256).hexdigest()


def sign_in_link(tx: Tx, user_id: int, now: datetime) -> str:
    """A token for `/sign-in/<token>`, good once and for an hour. Only for a demonstration, whose users have no
    password: raises Refused elsewhere."""
    if not is_demonstration(tx):
        raise Refused("only a demonstration has links that log in")
    token = secrets.token_hex(16)
    sessions.add_link(tx, passwords.token_hash(token), user_id, now + LINK_VALID)
    return token


def use_sign_in_link(tx: Tx, token: str, now: Instant, browser: str = "") -> str:
    """A new session for whom the link is for; it is used up. Raises NotFound."""
    user_id = sessions.use_link(tx, passwords.token_hash(token), now.at) if is_demonstration(tx) else None
    if user_id is None:
        raise NotFound("this link works no more", hint="it can be used once, for an hour; start the box again")
    return begin_session(tx, user_id, now, browser)


def is_demonstration(db: Database) -> bool:
    """Whether the depot is the invented one of `depotbox run --demo`."""
    return identity.get(db, DEMONSTRATION, "") != ""


def browser_mark(paths: Paths, user_uid: str) -> str:
    """For a browser in which the user has logged in: it is told from others by it, and opens nothing."""
    nonce = secrets.token_hex(8)
    return f"{nonce}.{_signature(paths, user_uid, nonce)}"


def is_browser_mark(paths: Paths, user_uid: str, mark: str) -> bool:
    nonce, _, signature = mark.partition(".")
    return hmac.compare_digest(signature.encode(), _signature(paths, user_uid, nonce).encode())


def _signature(paths: Paths, user_uid: str, nonce: str) -> str:
    return hmac.new(keys.own(paths, MARK_KEY).encode(), f"{user_uid} {nonce}".encode(), hashlib.sha256).hexdigest()


def create_token(
    tx: Tx, email: str, name: str, scope: str, *, days: int | None = None, who: str, now: datetime
) -> tuple[int, str]:
    """A new API token in a user's name, for so many days or until it is revoked: its id, and the token itself, which is
    nowhere else. Raises NotFound and InputError, and Refused for a disabled user."""
    user = people_desk.active(tx, email)
    name = " ".join(name.split())
    if not 1 <= len(name) <= 50 or not name.isprintable():
        raise InputError("expected 1 to 50 characters", subject="name")
    if scope not in list(Scope):
        raise InputError(f"expected one of {', '.join(Scope)}", subject="scope")
    if days is not None and not 1 <= days <= TOKEN_DAYS:
        raise InputError(f"expected 1 to {TOKEN_DAYS}", subject="days")
    token, expires_at = TOKEN_BEGIN + secrets.token_urlsafe(32), now + timedelta(days=days) if days else None
    id = api_tokens.add(tx, user["id"], name, Scope(scope), passwords.token_hash(token), now, expires_at)
    until = f", until {times.text(expires_at)}" if expires_at else ""
    audit.record(tx, who, "token.created", "user", user["uid"], now, f"{name}: {scope}{until}")
    return id, token


def revoke_token(tx: Tx, id: int, *, of_user: int | None = None, who: str, now: datetime) -> None:
    """The token counts no more, from the next request on. Raises NotFound, also where it is not that user's, if one is
    named; and Refused where that has happened."""
    found = api_tokens.get(tx, id)
    if found is None or of_user not in (None, found["user_id"]):
        raise NotFound("no such token", subject=f"token {id}", hint="`depotbox token list` shows them")
    if not api_tokens.revoke(tx, id, now):
        raise Refused("it is revoked already", subject=f"token {id}")
    user = users.get(tx, found["user_id"])
    assert user is not None
    audit.record(tx, who, "token.revoked", "user", user["uid"], now, found["name"])


def of_token(db: Database, token: str, now: datetime) -> Caller | None:
    """In whose name that API token asks; None where it is unknown, revoked or over, or its user is disabled."""
    if not token.startswith(TOKEN_BEGIN):
        return None
    key = passwords.token_hash(token)
    found = api_tokens.of_hash(db, key, now)
    if found is None:
        return None
    last = times.parse_or_none(found["last_used_at"])
    if last is None or abs(now - last) >= NOTED_EVERY:
        _note(db, lambda tx: api_tokens.used(tx, found["id"], now))
    scope, role = Scope(found["scope"]), Role(found["role"])
    return Caller(User(found["user_id"], found["email"], found["user_name"], role, scope, found["name"]), key)


def ended(db: Database, keys: set[str], now: Instant) -> set[str]:
    """Those of the keys whose session or token counts no more."""
    living = {one["token_hash"] for one in sessions.existing(db, keys) if not is_over(*_age(one, now))}
    return keys - living - api_tokens.existing(db, keys, now.at)


def _note(db: Database, write: Callable[[Tx], None]) -> None:
    """What may as well not be written: nobody is turned away because the disk is full or another writer is slow."""
    with contextlib.suppress(Busy, DiskFull), write_tx(db, synced=False) as tx:
        write(tx)
