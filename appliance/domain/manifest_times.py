"""Days and times as brokers write them, in the depot's zone."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time
from types import MappingProxyType
from zoneinfo import ZoneInfo

DATE_FORMATS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "ymd": ("year, month, day", "2026-02-13"),
    "mdy": ("month, day, year", "02/13/2026"),
    "dmy": ("day, month, year", "13/02/2026"),
})  # fmt: skip
"""How a day is written: its name -> the order in words, and an example. What stands between does not matter."""

TIME_FORMATS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "24h": ("of 24 hours", "14:30"),
    "12h": ("of 12 hours, with AM or PM", "2:30 PM"),
})  # fmt: skip

YEARS = range(2000, 2100)
BIRTH_YEARS = range(1890, 2100)

_DAY = re.compile(r"(\d{1,4})[-/. ](\d{1,2})[-/. ](\d{1,4})|(\d{8})")
_TIME = re.compile(r"(\d{1,2})(?:[:.h]?(\d{2}))?(?:[:.](\d{2})(?:\.\d+)?)?\s*(?:([ap])\.?(?:m\.?)?)?", re.IGNORECASE)
_BOTH = re.compile(r"(\S*\d[-/. ]\d{1,2}[-/. ]\d\S*|\d{8})[T ]\s*(\d.*)")


class BadTime(Exception):
    """It cannot be; `expected` says what can."""

    def __init__(self, expected: str) -> None:
        self.expected = expected
        super().__init__(expected)


def day(text: str, order: str, years: Collection[int] = YEARS) -> date:
    """The day that a text says. A year that comes first is never anything else. Raises BadTime."""
    found = _DAY.fullmatch(text.strip())
    expected = f"a day like {DATE_FORMATS[order][1]}"
    if not found:
        raise BadTime(expected)
    parts = [part for part in found.groups()[:3] if part]
    if whole := found[4]:
        parts = [whole[:4], whole[4:6], whole[6:]] if order == "ymd" else [whole[:2], whole[2:4], whole[4:]]
    places = "ymd" if len(parts[0]) == 4 else order
    numbers = {place: int(part) for place, part in zip(places, parts, strict=True)}
    year = numbers["y"]
    if year < 100:
        year += 2000 if 2000 + year in years and years is YEARS else 1900
    try:
        told = date(year, numbers["m"], numbers["d"])
    except ValueError:
        raise BadTime(expected) from None
    if told.year not in years:
        raise BadTime(expected)
    return told


def clock(text: str, hours: str) -> time:
    """The time of day that a text says, to the minute. AM or PM counts wherever it stands. Raises BadTime."""
    found = _TIME.fullmatch(text.strip())
    expected = f"a time like {TIME_FORMATS[hours][1]}"
    if not found:
        raise BadTime(expected)
    hour, minute, half = int(found[1]), int(found[2] or 0), (found[4] or "").lower()
    if not half and found[2] is None:
        raise BadTime(expected)
    if half:
        if not 1 <= hour <= 12:
            raise BadTime(expected)
        hour = hour % 12 + (12 if half == "p" else 0)
    elif hours == "12h" and 1 <= hour <= 12:
        raise BadTime(f"{expected}, for it may be before or after noon")
    if hour > 23 or minute > 59:
        raise BadTime(expected)
    return time(hour, minute)


def divided(text: str) -> tuple[str, str]:
    """The day and the time of a text that says both; else an empty day and the text."""
    found = _BOTH.fullmatch(text.strip())
    return (found[1], found[2]) if found else ("", text.strip())


def aware(text: str) -> datetime | None:
    """The time of a text that says its zone itself."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo is not None and at.year in YEARS else None


def instant(on: date, at: time, zone: ZoneInfo) -> tuple[datetime, bool]:
    """The moment of a local time, in UTC, and whether it comes twice that night: then it is the first of the two, for
    an hour too early is mended by waiting. Raises BadTime for a time that the clocks leave out."""
    local = datetime.combine(on, at, zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise BadTime(f"a time that there is: the clocks go forward on {on.isoformat()} and leave it out")
    twice = local.utcoffset() != local.replace(fold=1).utcoffset()
    return moment, twice


def guess_order(days: Collection[str], births: Collection[str], today: date) -> tuple[str, bool]:
    """In which order these days are written, and whether another order would make other days of them. Of two that fit
    it is the one whose days are nearer to today."""
    fits: list[tuple[int, int, str, list[date]]] = []
    for place, order in enumerate(DATE_FORMATS):
        try:
            told = [day(text, order) for text in days]
            for text in births:
                day(text, order, BIRTH_YEARS)
        except BadTime:
            continue
        fits.append((max((abs((one - today).days) for one in told), default=0), place, order, told))
    if not fits:
        return (guess_order(days, (), today) if births else ("ymd", False)) if days else ("ymd", False)
    fits.sort()
    return fits[0][2], any(told != fits[0][3] for *_, told in fits)


def guess_hours(samples: Collection[str]) -> str:
    return "12h" if any(re.search(r"\d\s*[ap]\.?m?\.?$", text.strip(), re.IGNORECASE) for text in samples) else "24h"
