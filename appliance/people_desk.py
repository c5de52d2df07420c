"""What is decided about the people who use the pages: who is one, in which role, and how they come to a password.

There is always an active administrator once there was one: the last cannot be disabled or get another role. One who has
not chosen a password yet does not count beside one who has: nobody might ever use the link.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from msgspec import UNSET, Struct, UnsetType

from appliance import jobs, passwords, typed, versions
from appliance.domain.access import Role
from appliance.errors import InputError, NotFound, Refused
from appliance.jobs import Ask
from appliance.storage import api_tokens, audit, sessions, users
from appliance.storage.db import Row, Tx

LINK_VALID = timedelta(days=1)
"""Of a link that somebody hands over by hand."""


class UserDetails(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a user; what is left out stays as it is."""

    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET


_CHECKS: dict[str, typed.Check] = {"name": typed.name, "email": typed.address}


def add_user(tx: Tx, email: str, name: str, role: str, *, who: str, now: datetime) -> Ask:
    """Adds a user and asks for the welcome mail. Raises InputError, naming what is wrong."""
    return _welcome(tx, _add(tx, email, name, role, now), "user.added", who, now, role)


def add_user_with_link(tx: Tx, email: str, name: str, role: str, *, who: str, now: datetime) -> str:
    """Adds a user without a mail and returns a token as `password_link` does. Raises InputError like `add_user`."""
    found = users.get(tx, _add(tx, email, name, role, now))
    assert found is not None
    audit.record(tx, who, "user.added", "user", found["uid"], now, role)
    return password_link(tx, found["email"], who=who, now=now)


def change_user(
    tx: Tx, email: str, details: UserDetails, *, version: int | None = None, who: str, now: datetime
) -> None:
    """Changes what `details` gives. With another address earlier links to choose a password stop to work: they went to
    the old one. Raises NotFound, InputError, Refused like `set_role`, and Outdated where the user is not of the
    `version`."""
    found = _user(tx, email)
    versions.must_be_seen(tx, found, version, "user", f"user {email}")
    changed = typed.changed(details, _CHECKS, found)
    if changed:
        users.change(tx, found["id"], **changed)
        if "email" in changed:
            users.drop_password_links(tx, found["id"])
        audit.record(tx, who, "user.changed", "user", found["uid"], now, ", ".join(sorted(changed)))
    if details.role is not UNSET:
        set_role(tx, changed.get("email", email), details.role, who=who, now=now)


def welcome(tx: Tx, email: str, *, who: str, now: datetime) -> Ask:
    """Asks for one more welcome mail, with a new link. Raises NotFound, and Refused for a disabled user."""
    return _welcome(tx, active(tx, email)["id"], "user.welcomed", who, now, "")


def password_link(tx: Tx, email: str, *, who: str, now: datetime) -> str:
    """A token for `/password/<token>`, to be handed over by hand; earlier links stop to work. Raises NotFound, and
    Refused for a disabled user."""
    found = active(tx, email)
    token = secrets.token_hex(32)
    users.add_password_link(tx, found["id"], passwords.token_hash(token), now, LINK_VALID)
    audit.record(tx, who, "user.password_link", "user", found["uid"], now)
    return token


def set_role(tx: Tx, email: str, role: str, *, who: str, now: datetime) -> None:
    """Gives the user another role, from the next request on. Raises NotFound, InputError for an unknown role, and
    Refused for the last administrator."""
    found = _user(tx, email)
    if role not in users.ROLES:
        raise InputError(f"expected one of {', '.join(users.ROLES)}", subject=f"role {role!r}")
    if role == found["role"]:
        return
    users.set_role(tx, found["id"], role)
    _keep_an_administrator(tx, found)
    audit.record(tx, who, "user.role_set", "user", found["uid"], now, f"{found['role']} to {role}")


def disable(tx: Tx, email: str, *, who: str, now: datetime) -> None:
    """The user may not log in any more; what they had open ends, and their tokens count no more. Raises NotFound, and
    Refused where that has happened, and for the last administrator."""
    found = _user(tx, email)
    if found["disabled_at"]:
        raise Refused("the user is disabled already", subject=email)
    users.set_disabled(tx, found["id"], now)
    _keep_an_administrator(tx, found)
    users.drop_password_links(tx, found["id"])
    sessions.delete_of_user(tx, found["id"])
    api_tokens.revoke_of_user(tx, found["id"], now)
    audit.record(tx, who, "user.disabled", "user", found["uid"], now)


def enable(tx: Tx, email: str, *, who: str, now: datetime) -> None:
    """The user may log in again, with the old password; revoked tokens stay revoked. Raises NotFound and Refused."""
    found = _user(tx, email)
    if not found["disabled_at"]:
        raise Refused("the user is not disabled", subject=email)
    users.set_disabled(tx, found["id"], None)
    audit.record(tx, who, "user.enabled", "user", found["uid"], now)


def _keep_an_administrator(tx: Tx, before: Row) -> None:
    """Undoes (by raising, in the caller's transaction) what would leave the depot without an administrator, or without
    one who can log in where there was one."""
    if before["role"] != Role.administrator or before["disabled_at"]:
        return
    if not users.any_administrator(tx, with_password=before["password_hash"] is not None):
        raise Refused(
            "this is the last administrator",
            subject=before["email"],
            hint="make another user administrator first, one who has chosen a password",
        )


def _user(tx: Tx, email: str) -> Row:
    found = users.by_email(tx, email)
    if found is None:
        raise NotFound("no such user", subject=email, hint="`depotbox user list` shows them")
    return found


def active(tx: Tx, email: str) -> Row:
    """The user with this address. Raises NotFound, and Refused for a disabled one."""
    found = _user(tx, email)
    if found["disabled_at"]:
        raise Refused("the user is disabled", subject=email)
    return found


def _add(tx: Tx, email: str, name: str, role: str, now: datetime) -> int:
    return users.add(tx, typed.address(email, "email"), typed.name(name, "name"), role, now)


def _welcome(tx: Tx, id: int, action: str, who: str, now: datetime, detail: str) -> Ask:
    found = users.get(tx, id)
    assert found is not None
    audit.record(tx, who, action, "user", found["uid"], now, detail)
    return jobs.enqueue(tx, "users.tasks.send_welcome_email", now=now, user_id=id)
