"""What the charts of work are drawn from: how many jobs ended when, and how many waited when."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import queues, times
from appliance.storage.db import Tx, rows

ENDED = ("done", "failed")

# Whole milliseconds: what ended exactly at the beginning of a part must not fall into the one before.
_SLOT = "(CAST(round((julianday({}) - julianday(?1)) * 86400000) AS INTEGER) / 1000) / ?3 AS slot"


def ended(db: Database, begin: datetime, end: datetime, step_s: int) -> dict[str, dict[int, int]]:
    """How many jobs were done, and how many failed, in each part of `step_s` seconds since `begin`; parts without any
    are left out."""
    found: dict[str, dict[int, int]] = {state: {} for state in ENDED}
    for row in rows(
        db,
        f"SELECT state, {_SLOT.format('finished_at')}, count(*) AS ended FROM jobs"
        " WHERE state IN ('done', 'failed') AND finished_at >= ?1 AND finished_at < ?2 GROUP BY state, slot",
        times.text(begin),
        times.text(end),
        step_s,
    ):
        found[row["state"]][row["slot"]] = row["ended"]
    return found


def waiting(db: Database, begin: datetime, end: datetime, step_s: int) -> dict[str, dict[int, int]]:
    """For each queue, the most jobs that were seen waiting in each part; parts in which nobody looked are left out."""
    found: dict[str, dict[int, int]] = {}
    for row in rows(
        db,
        f"SELECT queue, {_SLOT.format('at')}, max(waiting) AS waiting FROM queue_samples"
        " WHERE at >= ?1 AND at < ?2 GROUP BY queue, slot",
        times.text(begin),
        times.text(end),
        step_s,
    ):
        found.setdefault(row["queue"], {})[row["slot"]] = row["waiting"]
    return found


def sample(tx: Tx, names: tuple[str, ...], now: datetime) -> None:
    """Notes how many jobs of each of these queues wait and run."""
    backlog = queues.backlog(tx, now)
    tx.conn.executemany(
        "INSERT OR REPLACE INTO queue_samples (at, queue, waiting, running) VALUES (?, ?, ?, ?)",
        [
            (times.text(now), name, backlog.get(name, {}).get("waiting", 0), backlog.get(name, {}).get("running", 0))
            for name in names
        ],
    )


def forget(tx: Tx, before: datetime) -> None:
    """Forgets the samples from before then."""
    tx.conn.execute("DELETE FROM queue_samples WHERE at < ?", (times.text(before),))
