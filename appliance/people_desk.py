"""What is decided about the people who use the pages: adding one, and sending a new link to set the password."""

from __future__ import annotations

import re
from datetime import datetime

from appliance import jobs
from appliance.errors import InputError, NotFound, Refused
from appliance.jobs import Ask
from appliance.storage import audit, users
from appliance.storage.db import Tx

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def add_user(tx: Tx, email: str, name: str, role: str, *, who: str, now: datetime) -> Ask:
    """Adds a user and asks for the welcome mail. Raises InputError, naming what is wrong."""
    email, name = email.strip(), " ".join(name.split())
    if not _EMAIL.fullmatch(email):
        raise InputError("expected an address like ann@example.org", subject=f"email {email!r}")
    if not 1 <= len(name) <= 100:
        raise InputError("expected 1 to 100 characters", subject="name")
    id = users.add(tx, email, name, role, now)
    return _welcome(tx, id, "user.added", who, now, role)


def welcome(tx: Tx, email: str, *, who: str, now: datetime) -> Ask:
    """Asks for one more welcome mail, with a new link. Raises NotFound, and Refused for a disabled user."""
    found = users.by_email(tx, email)
    if found is None:
        raise NotFound("no such user", subject=email, hint="`depotbox user list` shows them")
    if found["disabled_at"]:
        raise Refused("the user is disabled", subject=email)
    return _welcome(tx, found["id"], "user.welcomed", who, now, "")


def _welcome(tx: Tx, id: int, action: str, who: str, now: datetime, detail: str) -> Ask:
    found = users.get(tx, id)
    assert found is not None
    audit.record(tx, who, action, "user", found["uid"], now, detail)
    return jobs.enqueue(tx, "users.tasks.send_welcome_email", now=now, user_id=id)
