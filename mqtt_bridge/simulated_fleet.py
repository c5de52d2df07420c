"""The vehicles of `depotbox simulate`: SIM-001, SIM-002, ... in the depot's own database, made when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.config import Settings
from appliance.servers import access, accounts
from appliance.storage import devices, vehicles
from appliance.storage.db import write_tx

PREFIX = "SIM-"


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated vehicle. `password` is its device's, new with each run; empty where the box's own account speaks."""

    id: int
    code: str
    username: str
    password: str


def prepare(db: Database, settings: Settings, count: int, now: datetime, *, own_sessions: bool) -> list[Simulated]:
    """The first `count` simulated vehicles with their position sources; the broker knows them when it returns."""
    found = []
    changed = own_sessions
    with write_tx(db) as tx:
        for number in range(1, count + 1):
            code = f"{PREFIX}{number:03d}"
            known = vehicles.by_code(tx, code)
            id = known["id"] if known else vehicles.add(tx, code, now, name=f"Simulated {number}")
            password = accounts.new_password() if own_sessions else ""
            hashed = accounts.password_hash(password or accounts.new_password())
            source = devices.position_source(tx, id)
            if source is None:
                username = devices.add(tx, id, code, hashed, now)
                changed = True
            else:
                username = source["username"]
                if own_sessions:
                    devices.set_password(tx, username, hashed)
            found.append(Simulated(id, code, username, password))
    if changed:
        access.refresh(settings)
    return found
