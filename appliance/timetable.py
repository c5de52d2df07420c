"""When a schedule entry runs next, on an interval or by a crontab in a zone, and changing an entry.

The rule for the nights when clocks change (Debian's cron has it, too): a local time that does not exist that night runs
at the first moment after the gap; one that comes twice runs once, the first time. An entry that runs in every hour or
every minute runs at what the clock shows. Daily at 02:00 is therefore every day, once.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from sqlite_utils import Database

from appliance import jobs
from appliance.errors import InputError, NotFound
from appliance.jobs import Ask
from appliance.storage import schedules
from appliance.storage.db import Tx, write_tx


def after_interval(planned: datetime | None, every_s: float, now: datetime) -> datetime:
    """The next run of an interval entry after `now`: on the grid of its plan, so that it does not drift."""
    every = timedelta(seconds=every_s)
    if planned is None or planned > now + every or planned <= now - every:
        return now + every  # new, the clock has stepped, or the box was off: start afresh
    return planned + every if planned <= now else planned


def after_crontab(crontab: str, zone: str, now: datetime) -> datetime:
    """The first run after `now` (aware), in UTC. Raises InputError for a crontab, zone or date that cannot be."""
    try:
        return next(CronSim(crontab, now.astimezone(ZoneInfo(zone)))).astimezone(UTC)
    except StopIteration:
        raise InputError("this date never comes", subject=f"crontab {crontab!r}") from None
    except CronSimError as error:
        hint = "expected minute, hour, day of month, month, day of week"
        raise InputError(str(error).lower(), subject=f"crontab {crontab!r}", hint=hint) from error
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InputError("expected a time zone like Europe/London", subject=f"zone {zone!r}") from error


def change(
    db: Database,
    name: str,
    *,
    task: str | None,
    every_s: float | None,
    crontab: str | None,
    zone: str | None,
    arguments: str | None,
    now: datetime,
) -> None:
    """Adds an entry or changes the one of that name; what is None stays as it is. Raises InputError for what is
    wrong, before anything is changed."""
    if (every_s is None) == (crontab is None):
        raise InputError("expected either an interval or a crontab", subject=f"schedule {name}")
    with write_tx(db) as tx:
        known = schedules.get(tx, name)
        wire_name = task or (known["task"] if known else None)
        if not wire_name:
            raise InputError("a new entry needs its task", subject=f"schedule {name}")
        given = arguments if arguments is not None else (known["arguments"] if known else "{}")
        kept_zone = zone if zone is not None else (known["zone"] if known else "")
        if crontab is not None:
            after_crontab(crontab, kept_zone or "UTC", now)
        _check_arguments(given)
        schedules.put(tx, name, wire_name, given, every_s, crontab, kept_zone)


def pause(db: Database, name: str) -> None:
    """The entry runs no more until it is resumed. Raises NotFound."""
    _enable(db, name, False)


def resume(db: Database, name: str) -> None:
    """The entry goes on, planned anew. Raises NotFound."""
    _enable(db, name, True)


def run_now(tx: Tx, name: str, now: datetime) -> Ask:
    """Asks for a run of the entry besides its times; send it after the commit. Raises NotFound."""
    entry = schedules.get(tx, name)
    if entry is None:
        raise unknown(name)
    return jobs.enqueue_call(tx, entry["task"], json.loads(entry["arguments"]), now=now)


def unknown(name: str) -> NotFound:
    return NotFound("no such schedule entry", subject=name, hint="`depotbox schedule list` shows them")


def _enable(db: Database, name: str, enabled: bool) -> None:
    with write_tx(db) as tx:
        if not schedules.enable(tx, name, enabled):
            raise unknown(name)


def _check_arguments(text: str) -> None:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError('expected a JSON object, like {"user_id": 7}', subject=f"arguments {text!r}")
