"""What a driver's trips were like before somebody else got them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, Tx, insert, row, update


def add(tx: Tx, driver_id: int, to_driver_id: int | None, before: list[dict[str, Any]], now: datetime, who: str) -> int:
    return insert(
        tx,
        "handovers",
        driver_id=driver_id,
        to_driver_id=to_driver_id,
        trips=json.dumps(before),
        at=times.text(now),
        who=who,
    )


def get(db: Database, id: int) -> Row | None:
    """One handover, `trips` as a list of what each was before."""
    found = row(db, "SELECT * FROM handovers WHERE id = ?", id)
    return found and {**found, "trips": json.loads(found["trips"])}


def last_of(db: Database, driver_id: int) -> Row | None:
    """The last handover of a driver, unless it was undone; as `get` gives it."""
    found = row(db, "SELECT id, undone_at FROM handovers WHERE driver_id = ? ORDER BY id DESC LIMIT 1", driver_id)
    return get(db, found["id"]) if found and not found["undone_at"] else None


def mark_undone(tx: Tx, id: int, now: datetime) -> None:
    update(tx, "handovers", id, undone_at=times.text(now))
