"""When a schedule entry runs next, on an interval or by a crontab in a zone, and changing an entry.

The rule for the nights when clocks change (Debian's cron has it, too): a local time that does not exist that night runs
at the first moment after the gap; one that comes twice runs once, the first time. Daily at 02:00 is therefore every
day, once. An entry whose minute or hour begins with `*` (also `*/30`) is one for every hour or minute and runs at what
the clock shows: not in the gap, and in both of the hours that come twice.
"""

from __future__ import annotations

import json
import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from sqlite_utils import Database

from appliance import jobs, versions
from appliance.errors import InputError, NotFound, Refused
from appliance.jobs import Ask
from appliance.storage import audit, schedules
from appliance.storage.db import Tx, write_tx

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SHORTEST_S, LONGEST_S = 1.0, 31_622_400.0
"""A year of 366 days: nobody waits longer for a schedule."""
_NO_PLACES = ("localtime", "posixrules", "Factory")
_FIELDS = "expected minute, hour, day of month, month, day of week"


def after_interval(planned: datetime | None, every_s: float, now: datetime) -> datetime:
    """The next run of an interval entry after `now`: on the grid of its plan, so that it does not drift."""
    every = timedelta(seconds=every_s)
    if planned is None or planned > now + every or planned <= now - every:
        return now + every  # new, the clock has stepped, or the box was off: start afresh
    return planned + every if planned <= now else planned


def after_crontab(crontab: str, zone: str, now: datetime) -> datetime:
    """The first run after `now` (aware), in UTC. Raises InputError for a crontab, zone or date that cannot be."""
    if len(crontab.split()) != 5:  # a sixth would be seconds
        raise InputError("not five fields", subject=f"crontab {crontab!r}", hint=_FIELDS)
    try:
        return next(CronSim(crontab, now.astimezone(ZoneInfo(zone)))).astimezone(UTC)
    except StopIteration:
        raise InputError("this date never comes", subject=f"crontab {crontab!r}") from None
    except CronSimError as error:
        raise InputError(str(error).lower(), subject=f"crontab {crontab!r}", hint=_FIELDS) from error
    except (LookupError, ValueError, OSError) as error:  # a folder of zones, a name too long for a file
        raise _no_zone(zone) from error


def change(
    db: Database,
    name: str,
    *,
    task: str | None,
    every_s: float | None,
    crontab: str | None,
    zone: str | None,
    arguments: str | None,
    version: int | None = None,
    who: str,
    now: datetime,
) -> None:
    """Adds an entry or changes the one of that name; what is None stays as it is. Raises InputError for what is
    wrong, before anything is changed, and Outdated where the entry is not of the `version`."""
    if not NAME.fullmatch(name):
        hint = "up to 64 letters, digits, dots, hyphens and underscores, a letter or digit first"
        raise InputError("this cannot be the name of an entry", subject=f"schedule {name[:80]!r}", hint=hint)
    if (every_s is None) == (crontab is None):
        raise InputError("expected either an interval or a crontab", subject=f"schedule {name}")
    if every_s is not None and not SHORTEST_S <= every_s <= LONGEST_S:
        expected = f"expected {SHORTEST_S:g} to {LONGEST_S:.0f} seconds"
        raise InputError(expected, subject=f"schedule {name}: every {every_s:g} s")
    if zone and (zone in _NO_PLACES or zone not in zoneinfo.available_timezones()):
        raise _no_zone(zone)
    with write_tx(db) as tx:
        known = schedules.get(tx, name)
        if version is not None:
            if known is None:
                raise unknown(name)
            versions.must_be_seen(tx, known, version, "schedule", f"schedule {name}", audited_as=name)
        wire_name = task or (known["task"] if known else None)
        if not wire_name:
            raise InputError("a new entry needs its task", subject=f"schedule {name}")
        jobs.check_name(wire_name)
        if wire_name in jobs.EPHEMERAL:
            raise InputError("it is ephemeral: no job, and nothing to schedule", subject=wire_name)
        given = arguments if arguments is not None else (known["arguments"] if known else "{}")
        kept_zone = zone if zone is not None else (known["zone"] if known else "")
        if crontab is not None:
            after_crontab(crontab, kept_zone or "UTC", now)
        _check_arguments(given)
        schedules.put(tx, name, wire_name, given, every_s, crontab, kept_zone)
        rhythm = f"{crontab} {kept_zone}".rstrip() if crontab is not None else f"every {every_s:g} s"
        _record(tx, "set", name, who, now, f"{wire_name} {rhythm}")


def pause(db: Database, name: str, who: str, now: datetime) -> None:
    """The entry runs no more until it is resumed. Raises NotFound."""
    _enable(db, name, False, "paused", who, now)


def resume(db: Database, name: str, who: str, now: datetime) -> None:
    """The entry goes on, planned anew. Raises NotFound."""
    _enable(db, name, True, "resumed", who, now)


def delete(db: Database, name: str, who: str, now: datetime) -> None:
    """The entry is gone. Raises NotFound, and Refused for one of the box's own, which its next start would add."""
    if name in schedules.DEFAULT_NAMES:
        raise Refused("it is the box's own", subject=f"schedule {name}", hint="pausing it lasts")
    with write_tx(db) as tx:
        if not schedules.delete(tx, name):
            raise unknown(name)
        _record(tx, "deleted", name, who, now)


def run_now(tx: Tx, name: str, who: str, now: datetime) -> Ask:
    """Asks for a run of the entry besides its times; send it after the commit. Raises NotFound."""
    entry = schedules.get(tx, name)
    if entry is None:
        raise unknown(name)
    ask = jobs.enqueue_call(tx, entry["task"], json.loads(entry["arguments"]), now=now)
    _record(tx, "run", name, who, now, f"job {ask.id}")
    return ask


def unknown(name: str) -> NotFound:
    return NotFound("no such schedule entry", subject=name, hint="`depotbox schedule list` shows them")


def _enable(db: Database, name: str, enabled: bool, done: str, who: str, now: datetime) -> None:
    with write_tx(db) as tx:
        if not schedules.enable(tx, name, enabled):
            raise unknown(name)
        _record(tx, done, name, who, now)


def _record(tx: Tx, done: str, name: str, who: str, now: datetime, detail: str = "") -> None:
    audit.record(tx, who, f"schedule.{done}", "schedule", name, now, detail)


def _no_zone(zone: str) -> InputError:
    return InputError("expected a time zone like Europe/London", subject=f"zone {zone[:80]!r}")


def _check_arguments(text: str) -> None:
    try:
        found = json.loads(text, parse_constant=_no_number)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError('expected a JSON object, like {"user_id": 7}', subject=f"arguments {text!r}")


def _no_number(text: str) -> None:
    raise ValueError(text)  # NaN and Infinity, which Python reads and JSON has not
