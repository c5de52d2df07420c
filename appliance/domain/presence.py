"""How a vehicle is doing, from what is known of its newest fix: live, stale, silent, stuck, parked, offline or never.

Pure, like all rules: the bridge, the pages and the metrics ask this one function with their own `now`. A time that the
box took (`received_at`, `repeated_at`, `offline_at`) is compared with the box's clock, a time that the receiver took
(`fix_at`, `standing_since`) with the box's clock only while that is trusted, and else with other fix times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto
from typing import Protocol

from appliance.domain.fix import Fix
from appliance.domain.trail import STOP_RADIUS_M, distance_m

MOVING_KMH = 5.0
"""Faster than this a vehicle moves; a receiver that stands reports up to a few km/h."""


class VehicleState(StrEnum):
    """The states in the order in which the pages name them."""

    live = auto()
    stale = auto()
    silent = auto()
    stuck = auto()
    parked = auto()
    offline = auto()
    never = auto()


OUTAGES = frozenset({VehicleState.silent, VehicleState.stuck, VehicleState.offline})
"""Somebody should look, if the vehicle is at work."""

WELL = frozenset({VehicleState.live, VehicleState.parked})
"""What ends an outage. A stale vehicle is neither: it may be on its way into one, or out of it."""


class Limits(Protocol):
    """The thresholds, seconds; `[limits]` of the configuration has them."""

    @property
    def stale_s(self) -> float: ...
    @property
    def silent_s(self) -> float: ...
    @property
    def stuck_s(self) -> float: ...
    @property
    def parked_s(self) -> float: ...
    @property
    def asleep_s(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What is known of a vehicle that has a fix. None: not known, or it has not happened."""

    fix_at: datetime
    """The time of the newest fix, by the receiver's clock."""
    received_at: datetime | None = None
    """When the box received it first."""
    repeated_at: datetime | None = None
    """When the box last received a fix of that same time again."""
    offline_at: datetime | None = None
    """When the broker said, by the device's last will, that it is offline."""
    ignition: bool | None = None
    speed_kmh: float | None = None
    standing_since: datetime | None = None
    """The fix time from which on it has stood on one spot; None while it moves."""


def state_of(signs: Signs | None, now: datetime, limits: Limits, clock_trusted: bool = True) -> VehicleState:
    """The state by the first rule that holds, from top to bottom:

    | state | rule |
    |---|---|
    | never | there is no fix |
    | offline | its last will came, and no fix after it |
    | parked | the ignition is off in the newest fix, which is younger than `asleep_s`: a sleeping tracker is well |
    | stuck | it has sent the same fix time for `stuck_s` or longer, and last did so within `silent_s` |
    | silent | the newest fix is `silent_s` old or older |
    | stale | the newest fix is `stale_s` old or older |
    | parked | it has stood on one spot for `parked_s` or longer |
    | live | otherwise |
    """
    if signs is None:
        return VehicleState.never
    if signs.offline_at is not None and all(
        heard is None or heard <= signs.offline_at for heard in (signs.received_at, signs.repeated_at)
    ):
        return VehicleState.offline
    if asleep(signs, now, limits, clock_trusted):
        return VehicleState.parked
    if _stuck(signs, now, limits):
        return VehicleState.stuck
    age_s = _age_s(signs, now, clock_trusted)
    if age_s >= limits.silent_s:
        return VehicleState.silent
    if age_s >= limits.stale_s:
        return VehicleState.stale
    if signs.standing_since is not None and _seconds(signs.standing_since, signs.fix_at) >= limits.parked_s:
        return VehicleState.parked
    return VehicleState.live


def asleep(signs: Signs, now: datetime, limits: Limits, clock_trusted: bool = True) -> bool:
    """Whether the vehicle stands with its ignition off, so that its tracker may sleep. A tow or a wrong wire shows as a
    speed, and does not count."""
    stands = signs.speed_kmh is None or signs.speed_kmh <= MOVING_KMH
    return signs.ignition is False and stands and _age_s(signs, now, clock_trusted) < limits.asleep_s


def is_outage(signs: Signs | None, now: datetime, limits: Limits, clock_trusted: bool = True) -> bool:
    """Whether the state is one that somebody should hear of while the vehicle is at work. A tracker that goes to sleep
    with the ignition may drop its connection, which is then no outage."""
    if state_of(signs, now, limits, clock_trusted) not in OUTAGES:
        return False
    return signs is not None and not asleep(signs, now, limits, clock_trusted)


@dataclass(frozen=True, slots=True)
class Standing:
    """A vehicle on one spot: `since` when and up to when it was `seen` there (fix times), and where."""

    since: datetime
    seen: datetime
    lat: float
    lon: float


def stand(was: Standing | None, fix: Fix, gap_s: float) -> Standing | None:
    """What a newer fix makes of it: the same spot (within STOP_RADIUS_M) goes on, another one begins anew, and so does
    one that nothing was heard from for longer than `gap_s`. None while it moves."""
    if fix.speed_kmh is not None and fix.speed_kmh > MOVING_KMH:
        return None
    if (
        was is None
        or not timedelta(0) <= fix.at - was.seen <= timedelta(seconds=gap_s)
        or distance_m(was.lat, was.lon, fix.lat, fix.lon) > STOP_RADIUS_M
    ):
        return Standing(fix.at, fix.at, fix.lat, fix.lon)
    return replace(was, seen=fix.at)


def _age_s(signs: Signs, now: datetime, clock_trusted: bool) -> float:
    """The age of the newest fix by both clocks, whichever is more: one that a device dates ahead, or that was buffered,
    is not younger for it. By a clock that is not trusted only the time since the box has it counts."""
    by_fix_s = _seconds(signs.fix_at, now)
    if signs.received_at is None:
        return by_fix_s
    since_s = _seconds(signs.received_at, now)
    return max(by_fix_s, since_s) if clock_trusted else since_s


def _stuck(signs: Signs, now: datetime, limits: Limits) -> bool:
    if signs.repeated_at is None or signs.received_at is None:
        return False
    for_s = _seconds(signs.received_at, signs.repeated_at)
    return for_s >= limits.stuck_s and _seconds(signs.repeated_at, now) < limits.silent_s


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
