"""One GPS fix, and what makes it unusable by itself.

`check` looks at one fix alone, so its answer does not depend on what came before it. A speed that is impossible
between two fixes can only be judged when both are there: `appliance.domain.trail.clean` does that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum, auto

from msgspec import Struct
from msgspec.structs import force_setattr

NULL_ISLAND_DEG = 0.0001
"""Closer than this (about 11 m) to 0/0 is a receiver without a position: the spot is open sea."""

OLDEST = datetime(2020, 1, 1, tzinfo=UTC)
"""Before this a receiver has lost its clock (1970, 1980, a GPS week rollover), whatever our own clock says."""

LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""The same of what comes after: no retention would ever delete its day."""


class Fix(Struct, frozen=True, gc=False):
    """Where a vehicle was at one moment, in the box's own units (payloads.md, "canonical").

    `at` is always UTC in whole milliseconds: another zone is converted, finer digits are cut off, and a time without a
    zone raises `ValueError`. Two equal fixes are therefore the same row. `None` means that the device did not say.
    A Struct, because tens of thousands are made in a second: 0.1 us each, a frozen dataclass takes 1.5 us.
    """

    at: datetime
    lat: float
    lon: float
    speed_kmh: float | None = None
    heading_deg: float | None = None
    accuracy_m: float | None = None
    altitude_m: float | None = None
    odometer_m: float | None = None
    ignition: bool | None = None
    battery_pct: float | None = None
    format: str = "native"

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"the time of a fix needs a zone: {self.at.isoformat()}")
        at = self.at if self.at.tzinfo is UTC else self.at.astimezone(UTC)
        finer = at.microsecond % 1000
        if finer or at is not self.at:
            force_setattr(self, "at", at - timedelta(microseconds=finer))


class Reason(StrEnum):
    """Why a fix was rejected. The values stand in the database and on the screen."""

    unparsable = auto()
    no_position = auto()
    null_island = auto()
    out_of_range = auto()
    not_finite = auto()
    future = auto()
    too_old = auto()
    inaccurate = auto()
    implied_speed = auto()
    unknown_vehicle = auto()
    foreign_topic = auto()
    too_large = auto()
    rate_limited = auto()


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a fix was rejected: what was found, and what would have been accepted."""

    reason: Reason
    value: str
    limit: str

    def __str__(self) -> str:
        return f"{self.reason.replace('_', ' ')}: {self.value} (expected {self.limit})"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a depot accepts of a fix."""

    future_s: float = 300
    max_age_days: int = 30
    accuracy_m: float = 200
    implied_speed_kmh: float = 250


def check(fix: Fix, now: datetime, limits: Limits, clock_trusted: bool = True) -> Rejection | None:
    """Say why this fix cannot be used, or `None`.

    Intrinsic checks only: the answer depends on the fix, `now` and the limits, never on other fixes or their order.
    A value that is exactly at a limit is accepted. With a clock that is not trusted `now` is not looked at: too old is
    only what is before `OLDEST`, and in the future what is after `LATEST`.
    """
    return check_position(fix) or _accuracy(fix, limits) or _time(fix, now, limits, clock_trusted)


def check_position(fix: Fix) -> Rejection | None:
    """Say why this fix is no place on Earth at all, whatever its time and accuracy; or `None`."""
    numbers = (
        fix.lat, fix.lon, fix.speed_kmh, fix.heading_deg, fix.accuracy_m, fix.altitude_m, fix.odometer_m,
        fix.battery_pct,
    )  # fmt: skip
    for number in numbers:
        if number is not None and not math.isfinite(number):
            return Rejection(Reason.not_finite, str(number), "finite numbers")
    if abs(fix.lat) > 90:
        return Rejection(Reason.out_of_range, f"latitude {_number(fix.lat)}", "-90 to 90 degrees")
    if abs(fix.lon) > 180:
        return Rejection(Reason.out_of_range, f"longitude {_number(fix.lon)}", "-180 to 180 degrees")
    if abs(fix.lat) < NULL_ISLAND_DEG and abs(fix.lon) < NULL_ISLAND_DEG:
        return Rejection(Reason.null_island, f"{fix.lat:g}/{fix.lon:g}", "a position other than 0/0")
    return None


def _accuracy(fix: Fix, limits: Limits) -> Rejection | None:
    if fix.accuracy_m is not None and fix.accuracy_m > limits.accuracy_m:
        return Rejection(Reason.inaccurate, f"{_number(fix.accuracy_m)} m", f"{_number(limits.accuracy_m)} m or better")
    return None


def _time(fix: Fix, now: datetime, limits: Limits, clock_trusted: bool) -> Rejection | None:
    if clock_trusted and fix.at - now > timedelta(seconds=limits.future_s):
        return Rejection(Reason.future, _stamp(fix.at), f"at most {limits.future_s:g} s after {_stamp(now)}")
    if clock_trusted and now - fix.at > timedelta(days=limits.max_age_days):
        return Rejection(Reason.too_old, _stamp(fix.at), f"at most {limits.max_age_days} days before {_stamp(now)}")
    if fix.at > LATEST:
        return Rejection(Reason.future, _stamp(fix.at), f"{_stamp(LATEST)} or earlier")
    if fix.at < OLDEST:
        return Rejection(Reason.too_old, _stamp(fix.at), f"{_stamp(OLDEST)} or later")
    return None


def _stamp(at: datetime) -> str:
    """To the millisecond: a time and its limit that differ look so."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(value: float) -> str:
    """All its digits, for the same reason."""
    return repr(value).removesuffix(".0")
