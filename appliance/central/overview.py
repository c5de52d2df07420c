"""How the centre is: a few figures, each cheap to have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from appliance.central.db import Row, rows, value
from appliance.central.tables import batches, depots, entries
from appliance.storage import times

SILENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Figures:
    depots: int
    silent: int
    waiting: int
    rejected: int
    oldest_s: float


def figures(connection: Connection, now: datetime) -> Figures:
    enrolled = depots.c.enrolled_at.is_not(None)
    silent = depots.c.seen_at < times.text(now - SILENT)
    count = select(func.count())
    waiting = batches.c.applied_at.is_(None)
    oldest = times.parse_or_none(value(connection, select(func.min(batches.c.received_at)).where(waiting)))
    return Figures(
        depots=value(connection, count.select_from(depots).where(enrolled)),
        silent=value(connection, count.select_from(depots).where(enrolled, silent)),
        waiting=value(connection, count.select_from(batches).where(waiting)),
        rejected=value(connection, count.select_from(entries).where(entries.c.rejected_reason.is_not(None))),
        oldest_s=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
    )


def forgotten(connection: Connection, before: datetime, limit: int) -> list[Row]:
    """`id` and `stream` of batches that were received before that and are not applied, the oldest first."""
    query = select(batches.c.id, batches.c.stream).where(
        batches.c.applied_at.is_(None), batches.c.received_at < times.text(before)
    )
    return rows(connection, query.order_by(batches.c.id).limit(limit))
