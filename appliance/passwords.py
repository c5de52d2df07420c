"""Passwords of the people who use the pages, and the one-time links with which they set them.

Hashed with argon2id by OWASP's parameters for a small machine (Password Storage Cheat Sheet: 19 MiB, two passes, one
lane). At most two are hashed at a time, or a flood of logins takes the memory.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import threading
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlite_utils import Database

from appliance.errors import InputError, NotFound, Refused
from appliance.storage import api_tokens, audit, sessions, users
from appliance.storage.db import Row, Tx

SHORTEST, LONGEST = 12, 256
"""Characters. Long instead of complicated (NIST SP 800-63B): nothing is said about digits and signs."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_A_TIME = threading.BoundedSemaphore(2)


def hashed(password: str) -> str:
    """The argon2id hash with its parameters and salt."""
    with _AT_A_TIME:
        return _HASHER.hash(password)


def fits(password_hash: str | None, password: str) -> bool:
    """Whether it is the password. Without a hash (no such user, none chosen yet) it takes as long to say no."""
    known = password_hash is not None and len(password) <= LONGEST
    with _AT_A_TIME:
        try:
            return (
                _HASHER.verify(password_hash if known and password_hash else _nobodys(), password[:LONGEST]) and known
            )
        except (VerificationError, InvalidHashError):
            return False


@functools.cache
def _nobodys() -> str:
    return _HASHER.hash(secrets.token_urlsafe(32))


def token_hash(token: str) -> str:
    """What the database keeps of a link's token."""
    return hashlib.sha256(token.encode()).hexdigest()


def linked_user(db: Database, token: str, now: datetime) -> Row:
    """The user whom the link is for. Raises NotFound for a link that is unknown, used, expired, or of a disabled user:
    all the same, so that nothing can be learned from it."""
    found = users.of_password_link(db, token_hash(token), now)
    if found is None:
        raise NotFound("this link works no more", hint="it can be used once, for seven days; ask for a new one")
    return found


def check(user: Row, password: str, again: str) -> None:
    """Raises InputError, with the line for the person, where this cannot be the user's new password."""
    if password != again:
        raise InputError("the two passwords are not the same")
    if not SHORTEST <= len(password) <= LONGEST:
        raise InputError(f"expected {SHORTEST} to {LONGEST} characters; a few words make a good password")
    known = {user["email"].casefold(), user["name"].casefold(), user["email"].partition("@")[0].casefold()}
    if password.casefold() in known or len(set(password)) < 4:
        raise InputError("that is too easy to guess")


def set_by_link(tx: Tx, token: str, password_hash: str, now: datetime) -> int:
    """Sets the password; the link is used up. Sessions of the old password are over, and the user's API tokens count no
    more: whoever needs a link may have lost the account to somebody. `password_hash` is made before, outside the
    transaction. Returns how many tokens were revoked. Raises NotFound where the link has been used meanwhile."""
    user = linked_user(tx, token, now)
    users.use_password_link(tx, token_hash(token), now)
    _set(tx, user, password_hash, now)
    revoked = api_tokens.revoke_of_user(tx, user["id"], now)
    if revoked:
        audit.record(tx, user["email"], "user.tokens_revoked", "user", user["uid"], now, str(revoked))
    return revoked


def change(tx: Tx, user_id: int, old_hash: str | None, password_hash: str, now: datetime) -> None:
    """Sets the password of a user who has just given the old one, and ends all their sessions. Raises Refused where it
    was changed meanwhile."""
    user = users.get(tx, user_id)
    if user is None or user["disabled_at"] or user["password_hash"] != old_hash:
        raise Refused("the password was changed meanwhile")
    _set(tx, user, password_hash, now)


def _set(tx: Tx, user: Row, password_hash: str, now: datetime) -> None:
    users.set_password(tx, user["id"], password_hash)
    users.drop_password_links(tx, user["id"])
    sessions.delete_of_user(tx, user["id"])
    audit.record(tx, user["email"], "user.password_set", "user", user["uid"], now)
