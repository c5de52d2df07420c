"""API tokens of programs, such as an accounting system. Random, 256 bits; only their hashes are kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, or_, select, update

from appliance.central import audit
from appliance.central.db import Row, Tx, insert_id, row, rows
from appliance.central.tables import api_tokens
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import times

BEGIN = "centre_"
"""How a token is told from other secrets, by people and by scanners."""
SCOPES = ("read", "write")
"""`write` records payments and disputes, too."""
NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Token:
    id: int
    name: str
    scope: str
    last_used_at: str | None

    @property
    def who(self) -> str:
        """For the audit log."""
        return f"token {self.name}"


def create(tx: Tx, name: str, scope: str, *, days: int | None, who: str, now: datetime) -> tuple[int, str]:
    """Its number and the token itself, this once. Raises InputError."""
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= 100 or not tidy.isprintable():
        raise InputError("expected 1 to 100 characters that can be printed", subject="name")
    made = BEGIN + secrets.token_urlsafe(32)
    ends = times.text(now + timedelta(days=days)) if days else None
    id = insert_id(
        tx, api_tokens, name=tidy, scope=scope, token_hash=_hash(made), created_by=who, created_at=times.text(now),
        expires_at=ends,
    )  # fmt: skip
    audit.record(tx, who, "token.created", "token", str(id), now, f"{tidy} {scope}")
    return id, made


def find(connection: Connection, given: str, now: datetime) -> Token | None:
    """None where it is unknown, revoked or has ended."""
    lasts = or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > times.text(now))
    query = select(*api_tokens.c["id", "name", "scope", "last_used_at"])
    here = (api_tokens.c.token_hash == _hash(given), api_tokens.c.revoked_at.is_(None), lasts)
    found = row(connection, query.where(*here))
    return Token(**found) if found else None


def should_note(token: Token, now: datetime) -> bool:
    """Whether it is time to write down that it is in use."""
    used = times.parse_or_none(token.last_used_at)
    return used is None or now - used >= NOTED_EVERY


def note(tx: Tx, token: Token, now: datetime) -> None:
    tx.execute(update(api_tokens).where(api_tokens.c.id == token.id).values(last_used_at=times.text(now)))


def listed(connection: Connection) -> list[Row]:
    """All, never their hashes."""
    columns = [column for column in api_tokens.c if column.name != "token_hash"]
    return rows(connection, select(*columns).order_by(api_tokens.c.id))


def revoke(tx: Tx, id: int, *, who: str, now: datetime) -> None:
    """At once and for good. Raises NotFound, Refused."""
    found = row(tx, select(api_tokens).where(api_tokens.c.id == id))
    if found is None:
        raise NotFound("no such token", subject=str(id))
    if found["revoked_at"]:
        raise Refused("it was revoked before", subject=f"token {id}")
    tx.execute(update(api_tokens).where(api_tokens.c.id == id).values(revoked_at=times.text(now)))
    audit.record(tx, who, "token.revoked", "token", str(id), now)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
