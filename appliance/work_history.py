"""The history of work in parts of equal length, as charts draw it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlite_utils import Database

from appliance.jobs import QUEUES
from appliance.storage import work_history as rows
from appliance.storage.db import Tx

Span = Literal["hour", "day", "week", "month"]
SPANS: dict[Span, tuple[int, int]] = {"hour": (60, 60), "day": (900, 96), "week": (3600, 168), "month": (14_400, 180)}
"""For each span the seconds of one part, and how many parts it has."""
SAMPLE_S = 60
"""How often beat notes what waits."""
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class History:
    """What happened in each part of `step_s` seconds since `begin`: jobs that were done, that failed, and the most that
    waited in each queue. None where nothing is known: finished jobs are forgotten after a while, and a box that is off
    looks at no queue."""

    begin: datetime
    step_s: int
    done: list[int | None]
    failed: list[int | None]
    waiting: dict[str, list[int | None]]


def history(db: Database, span: Span, jobs_kept: timedelta, now: datetime) -> History:
    """The last hour, day, week or month; its parts begin at whole multiples of their length, and `now` is in the last.

    `jobs_kept`: for how long finished jobs stay in the table.
    """
    step_s, count = SPANS[span]
    end_s = (int(now.timestamp()) // step_s + 1) * step_s
    begin, end = (datetime.fromtimestamp(at, UTC) for at in (end_s - count * step_s, end_s))
    known_from = int((now - jobs_kept - begin).total_seconds() // step_s) + 1
    ended, waiting = rows.ended(db, begin, end, step_s), rows.waiting(db, begin, end, step_s)
    done, failed = ([found.get(at, 0) if at >= known_from else None for at in range(count)] for found in ended.values())
    return History(
        begin,
        step_s,
        done,
        failed,
        {queue: [waiting.get(queue, {}).get(at) for at in range(count)] for queue in QUEUES},
    )


def sample(tx: Tx, now: datetime) -> None:
    """Notes what waits now, for the charts; forgets what is older than KEPT."""
    rows.sample(tx, QUEUES, now)
    rows.forget(tx, now - KEPT)
