"""Two people who change the same thing: the second is told what the first did, and nothing is lost without a word.

What people edit has a `version`, which moves on with each change. Whoever changes it may say which one they saw.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlite_utils import Database

from appliance.errors import Outdated
from appliance.storage import audit
from appliance.storage.db import Row


def must_be(found: Row, version: int | None, subject: str, happened: Callable[[], str]) -> None:
    """Raises Outdated, with what happened, where the row is not of that version. `None`: they did not say."""
    if version is not None and found["version"] != version:
        raise outdated(subject, happened())


def must_be_seen(
    db: Database, found: Row, version: int | None, kind: str, subject: str, *, audited_as: str | None = None
) -> None:
    """The same for a record whose changes are audited as those of a `kind` and its uid: says who did what to it last.
    `audited_as`: another uid, where the record has none in the audit log."""
    must_be(found, version, subject, lambda: last_change(db, kind, audited_as or found["uid"]))


def outdated(subject: str, happened: str) -> Outdated:
    """For who was slower than somebody else."""
    return Outdated(happened, subject=subject, hint="look at what happened to it, then decide again")


def last_change(db: Database, kind: str, uid: str) -> str:
    """`changed meanwhile by ann@depot.example (phone)`, from the audit log."""
    done = audit.last_decision(db, kind, uid)
    if done is None:
        return "changed meanwhile"
    verb = done["action"].rpartition(".")[2].replace("_", " ")
    return f"{verb} meanwhile by {done['who']}" + (f" ({done['detail']})" if done["detail"] else "")
