"""When a schedule entry runs next: plain arithmetic on an interval or a crontab in a zone.

The rule for the nights when clocks change: a local time that does not exist that night runs at the first moment after
the gap; one that comes twice runs once, the first time it comes. Daily at 02:00 is therefore every day, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab_parser

from appliance.errors import InputError

_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_LONGEST = timedelta(days=366 * 5)  # a 29 February is at most eight years away only around a century


@dataclass(frozen=True, slots=True)
class Crontab:
    """The five fields of a crontab as sets of numbers; Sunday is 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Crontab:
        """Reads `minute hour day-of-month month day-of-week`, as crontab(5) writes them. Raises InputError."""
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise InputError(f"expected five fields ({', '.join(_FIELDS)})", subject=f"crontab {text!r}")
        ranges = ((60, 0), (24, 0), (31, 1), (12, 1), (7, 0))
        found = []
        for name, field, (count, first) in zip(_FIELDS, fields, ranges, strict=True):
            try:
                found.append(frozenset(crontab_parser(count, first).parse(field)))
            except (ParseException, ValueError) as error:
                raise InputError(f"{name} {field!r}: {error}", subject=f"crontab {text!r}") from error
        return cls(*found)

    def matches(self, day: date) -> bool:
        """Whether the crontab runs on that day: day of month and day of week must both fit, as in Celery."""
        return day.month in self.months and day.day in self.days and (day.isoweekday() % 7) in self.weekdays


def after_interval(planned: datetime | None, every_s: float, now: datetime) -> datetime:
    """The next run of an interval entry after `now`: on the grid of its plan, so that it does not drift."""
    every = timedelta(seconds=every_s)
    if planned is None or planned > now + every or planned <= now - every:
        return now + every  # new, the clock has stepped, or the box was off: start afresh
    return planned + every if planned <= now else planned


def after_crontab(crontab: Crontab, zone: ZoneInfo, now: datetime) -> datetime:
    """The first run after `now` (aware), in UTC. Raises InputError for a date that never comes."""
    day = now.astimezone(zone).date()
    # The day before, too: what a gap moved may run after midnight.
    for offset in range(-1, _LONGEST.days):
        candidate = day + timedelta(days=offset)
        if crontab.matches(candidate):
            runs = sorted({_instant(candidate, h, m, zone) for h in crontab.hours for m in crontab.minutes})
            for run in runs:
                if run > now:
                    return run
    raise InputError("this date never comes", subject="crontab")


def _instant(day: date, hour: int, minute: int, zone: ZoneInfo) -> datetime:
    """The moment of a local time: the first of two, or the end of the gap where there is none."""
    local = datetime.combine(day, time(hour, minute), zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    # In a gap, fold=0 reads the clock as it was before it and fold=1 as after it: between them lies the change.
    before, after = local.replace(fold=1).astimezone(UTC), moment
    while after - before > timedelta(minutes=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset():
            before = middle
        else:
            after = middle
    return after.replace(second=0, microsecond=0)
