"""How much stands in `depot.db`, and in what shape: numbers and names of the program's own, never what a row says."""

from __future__ import annotations

import re
from collections import Counter

from sqlite_utils import Database

from appliance.storage.db import Row, value
from appliance.storage.db import rows as all_rows

_KIND = re.compile(r"[A-Za-z_]+(?=:|$)")
"""How an error begins: with the name of its class."""


def rows(db: Database) -> dict[str, int]:
    """Table -> rows."""
    return {name: int(value(db, f"SELECT count(*) FROM [{name}]")) for name in sorted(db.table_names())}


def migrations(db: Database) -> list[str]:
    """The migrations that were applied, in order."""
    return [str(row["name"]) for row in all_rows(db, "SELECT name FROM _sqlite_migrations ORDER BY id")]


def check(db: Database) -> str:
    """What SQLite finds wrong with the file; `ok` where nothing is."""
    return str(value(db, "PRAGMA quick_check(1)"))


def jobs(db: Database) -> list[Row]:
    """Jobs by task and state, and by the kind of their last error."""
    found: Counter[tuple[str, str, str]] = Counter()
    for row in all_rows(db, "SELECT name, state, error FROM jobs"):
        kind = _KIND.match(row["error"] or "")
        found[row["name"], row["state"], kind.group() if kind else ""] += 1
    return [
        {"name": name, "state": state, "error_type": kind, "jobs": number}
        for (name, state, kind), number in sorted(found.items())
    ]


def schedules(db: Database) -> list[Row]:
    """What runs by itself, and when it last and next does."""
    return all_rows(
        db,
        "SELECT name, task, every_s, crontab, zone, enabled, last_run_at, next_run_at, missed FROM schedules"
        " ORDER BY name",
    )
