"""Devices (trackers, tablets, phones): credentials belong to them, not to vehicles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance.storage import times, uids
from appliance.storage.db import Row, Tx, insert, row, rows, value

_MS = timedelta(milliseconds=1)  # fix times are whole ones


@dataclass(frozen=True, slots=True)
class Source:
    """The device that was a vehicle's position source from `start` to `end`, both included."""

    device: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """What the broker must know of a device: its login, its vehicle's code, and whether it is the vehicle's first
    device. One without a password logs in with a certificate."""

    username: str
    password_hash: str | None
    vehicle: str
    first: bool


# A vehicle's plain topics are those of the first device that it ever had, revoked or not (ADR 0016).
_FIRST = "devices.id IN (SELECT min(id) FROM devices GROUP BY vehicle_id) AS first"
# The last one that it had where it has none now, as in `sources`.
_SOURCE = (
    "devices.id IN (SELECT device_id FROM position_sources"
    " WHERE id IN (SELECT max(id) FROM position_sources GROUP BY vehicle_id)) AS source"
)


def accounts(db: Database) -> list[Account]:
    """The accounts of all devices that are not revoked."""
    found = rows(
        db,
        f"SELECT username, password_hash, code, {_FIRST} FROM devices JOIN vehicles ON vehicles.id = vehicle_id"
        " WHERE revoked_at IS NULL AND disabled_at IS NULL ORDER BY username",
    )
    return [Account(r["username"], r["password_hash"], r["code"], bool(r["first"])) for r in found]


def revoked_certificates(db: Database) -> list[int]:
    """The serial numbers of the certificates that let nobody in any more."""
    found = rows(
        db,
        "SELECT certificate_serial FROM devices JOIN vehicles ON vehicles.id = vehicle_id"
        " WHERE certificate_serial IS NOT NULL AND (revoked_at IS NOT NULL OR disabled_at IS NOT NULL)"
        " ORDER BY devices.id",
    )
    return [int(r["certificate_serial"], 16) for r in found]


def add(
    tx: Tx,
    vehicle_id: int,
    code: str,
    password_hash: str | None,
    now: datetime,
    *,
    certificate_serial: int | None = None,
) -> str:
    """Adds a device to a vehicle and returns its username; the first one becomes the position source. It has either a
    password or a certificate."""
    count = value(tx, "SELECT count(*) FROM devices WHERE vehicle_id = ?", vehicle_id)
    username = f"{code}-{count + 1}"
    while value(tx, "SELECT 1 FROM devices WHERE username = ?", username):
        count += 1
        username = f"{code}-{count + 1}"
    first = position_source(tx, vehicle_id) is None
    id = insert(
        tx,
        "devices",
        uid=uids.new(),
        vehicle_id=vehicle_id,
        username=username,
        password_hash=password_hash,
        certificate_serial=None if certificate_serial is None else f"{certificate_serial:x}",
        position_source=int(first),
        created_at=times.text(now),
    )
    if first:
        _note_source(tx, vehicle_id, id, now)
    return username


def set_password(tx: Tx, username: str, password_hash: str) -> None:
    """Gives a device with a password another one; the broker has to be told."""
    tx.conn.execute(
        "UPDATE devices SET password_hash = ? WHERE username = ? AND password_hash IS NOT NULL",
        (password_hash, username),
    )


def position_source(db: Database, vehicle_id: int) -> Row | None:
    """The device whose fixes are the vehicle's trail; None while it has no device."""
    return row(
        db, "SELECT * FROM devices WHERE vehicle_id = ? AND position_source = 1 AND revoked_at IS NULL", vehicle_id
    )


def position_sources(db: Database, vehicle_id: int, start: datetime, end: datetime) -> list[Source]:
    """The devices that were the vehicle's position source in [start, end], revoked since or not, in the order of time;
    before the first one, the first one. A replaced tracker takes nothing from the trips that it measured."""
    changes = rows(db, "SELECT device_id, since FROM position_sources WHERE vehicle_id = ? ORDER BY id", vehicle_id)
    found: list[Source] = []
    for change in changes:
        since = max(start, times.parse(change["since"])) if change is not changes[0] else start
        while found and found[-1].start >= since:  # as good as never, or the clock has gone back
            found.pop()
        if found:
            found[-1] = replace(found[-1], end=min(end, since - _MS))
        if since <= end:
            found.append(Source(change["device_id"], since, end))
    return found


def position_source_at(db: Database, vehicle_id: int, at: datetime) -> int | None:
    """The id of the device that was the vehicle's position source then."""
    return next((source.device for source in position_sources(db, vehicle_id, at, at)), None)


def make_source(tx: Tx, username: str, now: datetime) -> Row | None:
    """Makes a device its vehicle's position source, from `now` on, and returns its row with the vehicle's code; None
    where no such device is in use. One that is it already stays it."""
    found = in_use(tx, username)
    if found is not None and not found["position_source"]:
        tx.conn.execute(
            "UPDATE devices SET position_source = 0 WHERE vehicle_id = ? AND revoked_at IS NULL", (found["vehicle_id"],)
        )
        tx.conn.execute("UPDATE devices SET position_source = 1 WHERE id = ?", (found["id"],))
        _note_source(tx, found["vehicle_id"], found["id"], now)
    return found


def in_use(db: Database, username: str) -> Row | None:
    """The device with its vehicle's `code`; None where it is unknown or revoked."""
    return row(
        db,
        "SELECT devices.*, code FROM devices JOIN vehicles ON vehicles.id = vehicle_id"
        " WHERE username = ? AND revoked_at IS NULL",
        username,
    )


def sources(db: Database) -> dict[int, int]:
    """Vehicle id -> the id of the device that is its position source, or was the last one that it had."""
    found = rows(
        db,
        "SELECT vehicle_id, device_id FROM position_sources"
        " WHERE id IN (SELECT max(id) FROM position_sources GROUP BY vehicle_id)",
    )
    return {row["vehicle_id"]: row["device_id"] for row in found}


def _note_source(tx: Tx, vehicle_id: int, device_id: int, now: datetime) -> None:
    insert(tx, "position_sources", vehicle_id=vehicle_id, device_id=device_id, since=times.text(now))


def by_username(db: Database, username: str) -> Row | None:
    return row(db, "SELECT * FROM devices WHERE username = ?", username)


def directory(db: Database) -> list[Row]:
    """Every device of which a message may come: id, username, vehicle_id, vehicle code, whether it is the vehicle's
    position source and whether its first device. Also a revoked one, and one of a vehicle out of service: what it had
    published may still wait."""
    return rows(
        db,
        f"SELECT devices.id, username, vehicle_id, code, {_SOURCE}, {_FIRST} FROM devices"
        " JOIN vehicles ON vehicles.id = vehicle_id",
    )


def version(db: Database) -> int:
    """Another number whenever another connection has changed the database (SQLite, `PRAGMA data_version`)."""
    return int(value(db, "PRAGMA data_version"))


def revoke(tx: Tx, username: str, now: datetime) -> Row | None:
    """Revokes a device for good and returns its row with the vehicle's code; None where no such device is in use.

    When it was the position source, the oldest device that its vehicle still has becomes it.
    """
    found = in_use(tx, username)
    if found is None:
        return None
    tx.conn.execute("UPDATE devices SET revoked_at = ? WHERE id = ?", (times.text(now), found["id"]))
    if found["position_source"]:
        tx.conn.execute(
            "UPDATE devices SET position_source = 1"
            " WHERE id = (SELECT min(id) FROM devices WHERE vehicle_id = ? AND revoked_at IS NULL)",
            (found["vehicle_id"],),
        )
        if follower := position_source(tx, found["vehicle_id"]):
            _note_source(tx, found["vehicle_id"], follower["id"], now)
    return found


def listed(db: Database) -> list[Row]:
    """All devices with their vehicle's id, the revoked ones too; nothing secret."""
    return rows(
        db,
        "SELECT id, uid, vehicle_id, username, position_source, created_at, revoked_at FROM devices"
        " ORDER BY vehicle_id, id",
    )
