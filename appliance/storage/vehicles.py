"""Vehicles."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.errors import InputError
from appliance.storage import sync_log, times, uids
from appliance.storage.db import Row, Tx, insert, revise, row, rows, value

CODE = re.compile(r"[A-Za-z0-9_-]{1,32}")  # of vehicles it is a level of an MQTT topic


def add(
    tx: Tx, code: str, now: datetime, *, name: str = "", plate: str = "", levels: Collection[str] = ("ambulatory",)
) -> int:
    """Adds a vehicle and returns its id. Raises InputError where the code is taken or cannot stand in a topic."""
    if not CODE.fullmatch(code):
        raise InputError("expected 1 to 32 letters, digits, - or _", subject=f"code {code[:80]!r}")
    if by_code(tx, code):
        raise InputError("there is already a vehicle with this code", subject=f"code {code!r}")
    columns = {"code": code, "name": name or code, "plate": plate, "levels": levels_text(levels)}
    id = insert(tx, "vehicles", uid=uids.new(), created_at=times.text(now), **columns)
    _log(tx, id, now)
    return id


def change(tx: Tx, id: int, now: datetime, **columns: Any) -> None:
    """Sets columns, and logs the vehicle for the central office."""
    revise(tx, "vehicles", id, **columns)
    _log(tx, id, now)


def _log(tx: Tx, id: int, now: datetime) -> None:
    found = row(tx, "SELECT uid, code, name, plate, levels, disabled_at FROM vehicles WHERE id = ?", id)
    assert found is not None
    found["plate"] = sync_log.code(found["plate"])
    sync_log.append(tx, "reference", "vehicle", found.pop("uid"), found, now)


def levels_text(levels: Iterable[str]) -> str:
    """The levels of service as they are stored, each once."""
    return " ".join(dict.fromkeys(levels))


def by_code(db: Database, code: str) -> Row | None:
    return row(db, "SELECT * FROM vehicles WHERE code = ?", code)


def every(db: Database) -> list[Row]:
    return rows(db, "SELECT * FROM vehicles ORDER BY code")


def code_of(db: Database, id: int | None) -> str | None:
    found = value(db, "SELECT code FROM vehicles WHERE id = ?", id)
    return None if found is None else str(found)
