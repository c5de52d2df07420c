"""Times as dispatchers type them while they are on the phone: `14:05`, `1405`, or with a day before it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from appliance.errors import InputError

_CLOCK = re.compile(r"([01]?\d|2[0-3])[:.h ]?([0-5]\d)")
_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]+(\S+)")
EXPECTED = "expected a time like 14:05"
_DAY = timedelta(days=1)


def shown(at: datetime, zone: ZoneInfo) -> str:
    """As it stands in a field."""
    return f"{at.astimezone(zone):%H:%M}"


def nearest(typed: str, near: datetime, zone: ZoneInfo, field: str) -> datetime:
    """The time in the depot's zone that is nearest to `near`, or on the day that was typed with it. Raises InputError
    by the field."""
    if found := _DATED.fullmatch(typed.strip()):
        return on(day(found[1], field), found[2], zone, field)
    today = near.astimezone(zone).date()
    return min((on(today + each * _DAY, typed, zone, field) for each in (-1, 0, 1)), key=lambda at: abs(at - near))


def after(typed: str, earlier: datetime, zone: ZoneInfo, field: str) -> datetime:
    """The first such time from `earlier` on. Raises InputError by the field."""
    if _DATED.fullmatch(typed.strip()):
        return nearest(typed, earlier, zone, field)
    today = earlier.astimezone(zone).date()
    at = on(today, typed, zone, field)
    return at if at >= earlier else on(today + _DAY, typed, zone, field)


def on(day: date, typed: str, zone: ZoneInfo, field: str) -> datetime:
    """That time of that day, in UTC. Raises InputError by the field."""
    found = _CLOCK.fullmatch(typed.strip())
    if found is None:
        raise InputError(EXPECTED, subject=field)
    try:
        return datetime.combine(day, time(int(found[1]), int(found[2])), zone).astimezone(UTC)
    except OverflowError as error:
        raise InputError(EXPECTED, subject=field) from error


def day(typed: str, field: str) -> date:
    """A calendar day. Raises InputError by the field."""
    try:
        return date.fromisoformat(typed.strip())
    except ValueError as error:
        raise InputError("expected a day like 2026-01-26", subject=field) from error
