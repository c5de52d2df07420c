"""Which depots there are, and by which keys they are believed. Moments are the centre's own."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, update

from appliance import log
from appliance.central import audit, identity
from appliance.central.config import Settings
from appliance.central.db import Row, Tx, insert_id, row, rows
from appliance.central.refusals import Refusal
from appliance.central.tables import depot_keys, depots, entries
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import times
from appliance.wire import signing
from appliance.wire.answers import Enrol, Enrolled

_log = log.get(__name__)

_SIGNS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # without those that look alike
_GROUPS, _GROUP = 4, 5
_CODE = re.compile("[A-Z0-9]{2,8}")


@dataclass(frozen=True, slots=True)
class Key:
    """A depot's key, and whose it is."""

    key_id: str
    public_key: str
    depot_id: int
    depot: str
    expires_at: str | None
    revoked_at: str | None
    replaced_by: str | None

    def ended(self, now: datetime) -> str:
        """Why it counts no more; empty where it counts."""
        if self.revoked_at is not None:
            return "the key was revoked"
        if self.expires_at is not None and self.expires_at <= times.text(now):
            return "the key has ended"
        return ""


def key(connection: Connection, key_id: str) -> Key | None:
    names = ("key_id", "public_key", "depot_id", "expires_at", "revoked_at", "replaced_by")
    query = select(*(depot_keys.c[name] for name in names), depots.c.code.label("depot")).join(depots)
    found = row(connection, query.where(depot_keys.c.key_id == key_id))
    return Key(**found) if found else None


def lock(tx: Tx, depot_id: int) -> Row:
    """The depot's row, held until the transaction ends: what is a depot's changes one after another. Not against those
    who only refer to it: whoever applies its batches would wait for a reconciliation, which waits for them."""
    found = row(tx, select(depots).where(depots.c.id == depot_id).with_for_update(key_share=True))
    assert found is not None
    return found


def by_code(connection: Connection, code: str) -> Row:
    """Raises NotFound."""
    found = row(connection, select(depots).where(depots.c.code == code))
    if found is None:
        raise NotFound("no such depot", subject=code[:80], hint="depotbox central depot list")
    return found


def listed(connection: Connection, now: datetime) -> list[Row]:
    """The depots by their codes, each with how many of its keys count (`keys`) and of its rows are `rejected`."""
    lasts = depot_keys.c.expires_at.is_(None) | (depot_keys.c.expires_at > times.text(now))
    keys = select(func.count()).where(depot_keys.c.depot_id == depots.c.id, depot_keys.c.revoked_at.is_(None), lasts)
    rejected = select(func.count()).where(entries.c.depot_id == depots.c.id, entries.c.rejected_reason.is_not(None))
    query = select(depots, keys.scalar_subquery().label("keys"), rejected.scalar_subquery().label("rejected"))
    return rows(connection, query.order_by(depots.c.code))


def add(tx: Tx, code: str, name: str, settings: Settings, *, who: str, now: datetime) -> str:
    """A new depot. Returns its one-time code, which is kept as a hash alone. Raises InputError, Refused."""
    if not _CODE.fullmatch(code):
        raise InputError("expected 2 to 8 capital letters and digits", subject=f"depot {code[:80]!r}")
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= 200 or not tidy.isprintable():
        raise InputError("expected 1 to 200 characters that can be printed", subject="name")
    if row(tx, select(depots.c.id).where(depots.c.code == code)):
        raise Refused("there is one already", subject=f"depot {code}", hint="depotbox central depot code")
    insert_id(tx, depots, code=code, name=tidy, created_at=times.text(now))
    audit.record(tx, who, "depot.added", "depot", code, now, tidy)
    return new_code(tx, code, settings, who=who, now=now)


def new_code(tx: Tx, depot: str, settings: Settings, *, who: str, now: datetime) -> str:
    """Another one-time code, in the place of any before. Raises NotFound."""
    found = by_code(tx, depot)
    made = "-".join("".join(secrets.choice(_SIGNS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    expires_at = times.text(now + timedelta(hours=settings.central.code_h))
    tx.execute(
        update(depots).where(depots.c.id == found["id"]).values(code_hash=_hash(made), code_expires_at=expires_at)
    )
    audit.record(tx, who, "depot.code_made", "depot", depot, now)
    return made


def revoke(tx: Tx, depot: str, *, who: str, now: datetime) -> int:
    """Ends all keys of a depot and its one-time code, at once and for good; returns how many keys that were."""
    found = by_code(tx, depot)
    tx.execute(update(depots).where(depots.c.id == found["id"]).values(code_hash=None, code_expires_at=None))
    ended = _revoke_all(tx, found["id"], now)
    audit.record(tx, who, "depot.revoked", "depot", depot, now, f"{ended} keys")
    _log.warning("centre.revoked", depot=depot, keys=ended)
    return ended


def enrol(tx: Tx, given: Enrol, settings: Settings, centre_key: str, now: datetime) -> Enrolled:
    """A depot with its one-time code and the key that signed the request. Whoever asks again with the same key, because
    no answer came, is answered the same. An earlier key of the depot ends. Raises Refusal."""
    found = row(tx, select(depots).where(depots.c.code == given.depot).with_for_update(key_share=True))
    key_id = signing.key_id(given.depot, given.public_key)
    if (known := key(tx, key_id)) is not None:
        if why := known.ended(now):
            raise Refusal("unsigned", f"{why}: a depot enrols with a new one")
        return _enrolled(tx, known.key_id, known.expires_at, settings, centre_key)
    if found is None or not _fits(found, given.code, now):
        raise Refusal("bad_code", "the one-time code is wrong, used or ended")
    _revoke_all(tx, found["id"], now)
    tx.execute(
        update(depots)
        .where(depots.c.id == found["id"])
        .values(code_hash=None, code_expires_at=None, enrolled_at=times.text(now), seen_at=times.text(now))
    )
    expires_at = _add_key(tx, found["id"], key_id, given.public_key, settings, now)
    audit.record(tx, f"depot {given.depot}", "depot.enrolled", "depot", given.depot, now, key_id)
    _log.info("centre.enrolled", depot=given.depot, key=key_id)
    return _enrolled(tx, key_id, expires_at, settings, centre_key)


def rotate(tx: Tx, signer: Key, public_key: str, settings: Settings, centre_key: str, now: datetime) -> Enrolled:
    """Puts a key in the place of the one that signed. Whoever asks again, signed by either, is answered the same.
    Raises Refusal."""
    lock(tx, signer.depot_id)
    key_id = signing.key_id(signer.depot, public_key)
    if (known := key(tx, key_id)) is not None:
        if known.ended(now) or key_id not in (signer.key_id, signer.replaced_by):
            raise Refusal("unsigned", "the new key was used before")
        return _enrolled(tx, key_id, known.expires_at, settings, centre_key)
    current = key(tx, signer.key_id)
    if current is None or current.ended(now):  # since it was looked at
        raise Refusal("unsigned", "the key was revoked")
    expires_at = _add_key(tx, signer.depot_id, key_id, public_key, settings, now)
    tx.execute(
        update(depot_keys)
        .where(depot_keys.c.key_id == signer.key_id)
        .values(revoked_at=times.text(now), replaced_by=key_id)
    )
    audit.record(tx, f"depot {signer.depot}", "depot.key_rotated", "depot", signer.depot, now, key_id)
    _log.info("centre.key_rotated", depot=signer.depot, key=key_id)
    return _enrolled(tx, key_id, expires_at, settings, centre_key)


def _enrolled(tx: Tx, key_id: str, expires_at: str | None, settings: Settings, centre_key: str) -> Enrolled:
    return Enrolled(
        instance=identity.instance(tx),
        name=settings.central.name,
        key_id=key_id,
        centre_key=centre_key,
        expires_at=expires_at,
    )


def _add_key(tx: Tx, depot_id: int, key_id: str, public_key: str, settings: Settings, now: datetime) -> str | None:
    days = settings.central.key_days
    expires_at = times.text(now + timedelta(days=days)) if days else None
    tx.execute(
        depot_keys.insert().values(
            key_id=key_id, depot_id=depot_id, public_key=public_key, created_at=times.text(now), expires_at=expires_at
        )
    )
    return expires_at


def _revoke_all(tx: Tx, depot_id: int, now: datetime) -> int:
    counting = (depot_keys.c.depot_id == depot_id) & depot_keys.c.revoked_at.is_(None)
    return tx.execute(update(depot_keys).where(counting).values(revoked_at=times.text(now))).rowcount


def _fits(depot: Row, code: str, now: datetime) -> bool:
    """Whether it is the one-time code that the depot has now."""
    if depot["code_hash"] is None or depot["code_expires_at"] <= times.text(now):
        return False
    return hmac.compare_digest(depot["code_hash"], _hash(code))


def _hash(code: str) -> str:
    """Of what a person typed: case, spaces and dashes do not count. 98 random bits need no salt."""
    tidy = "".join(char for char in code.upper() if char.isalnum())
    return hashlib.sha256(tidy.encode()).hexdigest()
