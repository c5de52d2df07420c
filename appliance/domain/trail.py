"""What a vehicle's fixes say about a trip: which of them to believe, how far, how long, how many stops.

Everything here is a function of the set of fixes: the order in which they came, and how often, changes nothing.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, pairwise
from operator import attrgetter
from typing import NamedTuple

from appliance.domain.fix import Fix, Limits, Reason, Rejection

EQUATOR_RADIUS_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY_2 = FLATTENING * (2 - FLATTENING)

POSITION_ERROR_M = 15.0
"""Each end of a step may be off by this, or by its own accuracy if that is worse, before the step counts as a speed."""

LOOK_BACK = 1000
"""So many fixes back `clean` looks for one that the present fix can be reached from."""
SHORT_LOOK_BACK = 100
LONG_LOOKS = 1_000_000
"""So many looks beyond `SHORT_LOOK_BACK` fixes back a whole track has; after them `clean` looks back no further. A jump
of 25 km takes less than half of them at 1 Hz; all of them takes a track that is mostly noise. It bounds the work to 100
looks a fix and a million."""

STANDING_KMH = 3.0
STEP_M = 20.0
DENSE_S = 10.0
"""Movement under `STEP_M` is noise when the vehicle reports that it stands, or when it took under `DENSE_S`."""

STOP_RADIUS_M = 50.0
STOP_S = 120.0
GAP_S = 120.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Where (WGS 84 degrees) and from when to when a vehicle stood: its fix in the middle of that time."""

    lat: float
    lon: float
    start: datetime
    end: datetime

    @property
    def duration_s(self) -> float:
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class Trail:
    """A trip as driven. `completeness` is the share (0..1) of `duration_s` that lies in no gap of over `GAP_S`; `line`
    the fixes that were believed."""

    distance_m: float
    duration_s: float
    stops: int
    fixes: int
    outliers: int
    completeness: float
    line: Sequence[Fix] = field(default=(), repr=False, compare=False)


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Metres along the ground between two WGS 84 positions (degrees), the short way across the antimeridian.

    The ellipsoid is taken as flat around the mid latitude: d = sqrt((M dphi)^2 + (N cos(phi) dlambda)^2), with M and N
    the meridional and the prime-vertical radius of curvature there (47 CFR 73.208(c) has the same as cosine series).
    Against geographiclib it is off by less than 0.04 % up to 100 km between 80 degrees south and north, and by less
    than 0.0001 % up to 1 km (held by tests/domain/test_trail.py). The error grows with the square: not for continents.
    """
    mid = math.radians((lat1 + lat2) / 2)
    root = 1 - ECCENTRICITY_2 * math.sin(mid) ** 2
    prime_vertical = EQUATOR_RADIUS_M / math.sqrt(root)
    meridional = prime_vertical * (1 - ECCENTRICITY_2) / root
    north = meridional * math.radians(lat2 - lat1)
    east = prime_vertical * math.cos(mid) * math.radians(math.remainder(lon2 - lon1, 360))
    return math.hypot(north, east)


def clean(fixes: Sequence[Fix], limits: Limits, overruled: Collection[datetime] = ()) -> tuple[list[Fix], list[Fix]]:
    """Split fixes of one vehicle into those to believe and the outliers; both by time, one fix for each instant.

    Kept is the longest chain in which each fix can be reached from the one before it: the speed between them is at
    most `limits.implied_speed_kmh`, or the later one reports at least half of it itself. So the many outvote the few:
    one bad fix goes whether it is the first, the last or in between. With equal votes the chain that is complete first
    wins. Of several fixes at one instant the most accurate stays; the others are neither kept nor outliers.
    An outlier at an `overruled` time (a person knows better) is kept too; that changes nothing for the others.
    """
    track = _one_per_instant(fixes)
    best = _longest_chain([_Spot.of(fix, limits) for fix in track])
    kept = [fix for index, fix in enumerate(track) if index in best or fix.at in overruled]
    return kept, [fix for index, fix in enumerate(track) if index not in best and fix.at not in overruled]


def why_out(outlier: Fix, kept: Sequence[Fix], limits: Limits) -> Rejection:
    """Why `clean` left a fix out: the implied speed from the kept fix before it, or to the one after it, whichever is
    more above what would do."""
    place = bisect(kept, outlier.at, key=attrgetter("at"))
    spots = [_Spot.of(fix, limits) for fix in (*kept[:place][-1:], outlier, *kept[place:][:1])]
    implied_ms, possible_ms = max(
        ((_implied_ms(*step), step[1].possible_ms) for step in pairwise(spots)), key=lambda each: each[0] / each[1]
    )
    return Rejection(Reason.implied_speed, f"{implied_ms * 3.6:.0f} km/h", f"at most {possible_ms * 3.6:.0f} km/h")


def close(
    fixes: Sequence[Fix], start: datetime, end: datetime, limits: Limits, overruled: Collection[datetime] = ()
) -> Trail:
    """Sum up the trip that ran from `start` to `end` (aware, both included); `ValueError` if it ends before it starts.

    The distance runs straight from fix to fix, across gaps too, and leaves out the wander of a standing receiver (see
    `STEP_M`). A stop is 50 m or less around its first fix for 120 s or more. Without a single fix completeness is 0.
    """
    duration_s = (end - start).total_seconds()
    if duration_s < 0:
        raise ValueError(f"a trip cannot end ({end.isoformat()}) before it starts ({start.isoformat()})")
    kept, outliers = clean([fix for fix in fixes if start <= fix.at <= end], limits, overruled)
    return Trail(
        distance_m=_driven_m(kept),
        duration_s=duration_s,
        stops=len(stops(kept)),
        fixes=len(kept),
        outliers=len(outliers),
        completeness=_completeness(kept, start, end),
        line=kept,
    )


def stops(kept: Sequence[Fix]) -> list[Stop]:
    """The stops of cleaned fixes: 120 s or more within 50 m of the first fix there. The time runs from the first to
    the last fix within; a gap in between counts, for the vehicle was there before and after it."""
    found = []
    first = ahead = out = 0
    while first < len(kept):
        while ahead < len(kept) and _seconds(kept[first], kept[ahead]) < STOP_S:
            ahead += 1
        if ahead == len(kept):
            break
        # Is one of them too far away? First the one that was for the fix before; then from the far end, where a
        # vehicle that moves is. So it takes about one look a fix, at whatever rate they come.
        looks = chain([max(out, first)], range(ahead, first, -1))
        out = next((index for index in looks if _between_m(kept[first], kept[index]) > STOP_RADIUS_M), 0)
        if out:
            first += 1
            continue
        after = ahead + 1
        while after < len(kept) and _between_m(kept[first], kept[after]) <= STOP_RADIUS_M:
            after += 1
        place = kept[(first + after) // 2]
        found.append(Stop(place.lat, place.lon, kept[first].at, kept[after - 1].at))
        first = after
    return found


class _Spot(NamedTuple):
    """What decides whether one fix can be reached from another: when, where (metres from the Earth's centre), how far
    off it may be, and the highest speed that is believed of who arrives here."""

    at_s: float
    place: tuple[float, float, float]
    error_m: float
    possible_ms: float

    @classmethod
    def of(cls, fix: Fix, limits: Limits) -> _Spot:
        """Geographic to geocentric coordinates at height 0 (EPSG method 9602). The straight way through the Earth is
        0.001 % shorter at 100 km than that along the ground."""
        lat, lon = math.radians(fix.lat), math.radians(fix.lon)
        prime_vertical = EQUATOR_RADIUS_M / math.sqrt(1 - ECCENTRICITY_2 * math.sin(lat) ** 2)
        axis_m = prime_vertical * math.cos(lat)
        north_m = prime_vertical * (1 - ECCENTRICITY_2) * math.sin(lat)
        return cls(
            fix.at.timestamp(),
            (axis_m * math.cos(lon), axis_m * math.sin(lon), north_m),
            max(POSITION_ERROR_M, fix.accuracy_m or 0),
            max(limits.implied_speed_kmh, 2 * (fix.speed_kmh or 0)) / 3.6,
        )


def _longest_chain(track: Sequence[_Spot]) -> set[int]:
    """The numbers of the longest chain of fixes, each of which can be reached from the one before."""
    length: list[int] = []  # of the longest chain that ends with this fix
    longest: list[int] = []  # the greatest length so far: what makes it useless to look further back
    before: list[int] = []  # the fix ahead of this one in that chain, or -1
    long_looks = LONG_LOOKS
    for here, spot in enumerate(track):
        best, link, there = 1, -1, here
        look_back = LOOK_BACK if long_looks > 0 else SHORT_LOOK_BACK
        for there in range(here - 1, max(here - 1 - look_back, -1), -1):
            if longest[there] < best:
                break
            if length[there] >= best and _implied_ms(track[there], spot) <= spot.possible_ms:
                best, link = length[there] + 1, there
        long_looks -= max(0, here - there - SHORT_LOOK_BACK)
        length.append(best)
        before.append(link)
        longest.append(max(best, longest[-1] if longest else 0))
    found = set()
    step = length.index(longest[-1]) if track else -1
    while step >= 0:
        found.add(step)
        step = before[step]
    return found


def _implied_ms(earlier: _Spot, later: _Spot) -> float:
    """Metres a second that it takes at least to get from one to the other; below 0 where they may be one place."""
    moved_m = math.dist(earlier.place, later.place) - earlier.error_m - later.error_m
    return moved_m / (later.at_s - earlier.at_s)


def _one_per_instant(fixes: Sequence[Fix]) -> list[Fix]:
    chosen: dict[datetime, Fix] = {}
    for fix in sorted(fixes, key=_order):
        chosen.setdefault(fix.at, fix)
    return list(chosen.values())


def _order(fix: Fix) -> tuple[datetime, float, tuple[tuple[bool, float], ...], str]:
    """By time, then by accuracy, then by every other field, so that no tie is left to the order of arrival."""
    accuracy_m = math.inf if fix.accuracy_m is None else fix.accuracy_m
    rest = (
        fix.lat, fix.lon, fix.speed_kmh, fix.heading_deg, fix.altitude_m, fix.odometer_m, fix.ignition, fix.battery_pct,
    )  # fmt: skip
    return fix.at, accuracy_m, tuple((value is None, value or 0) for value in rest), fix.format


def _driven_m(kept: Sequence[Fix]) -> float:
    """The length of the path from one counted position to the next; see `STEP_M` for what does not count."""
    if not kept:
        return 0.0
    total_m = rest_m = 0.0
    counted = kept[0]
    for fix in kept[1:]:
        step_m = _between_m(counted, fix)
        stands = fix.speed_kmh is not None and fix.speed_kmh <= STANDING_KMH
        if step_m < STEP_M and (stands or _seconds(counted, fix) < DENSE_S):
            rest_m = 0.0 if stands else step_m
            continue
        total_m, rest_m, counted = total_m + step_m, 0.0, fix
    return total_m + rest_m


def _completeness(kept: Sequence[Fix], start: datetime, end: datetime) -> float:
    if not kept or start == end:
        return 1.0 if kept else 0.0
    marks = [start, *(fix.at for fix in kept), end]
    pauses_s = [(later - earlier).total_seconds() for earlier, later in pairwise(marks)]
    return 1 - sum(pause_s for pause_s in pauses_s if pause_s > GAP_S) / (end - start).total_seconds()


def _between_m(one: Fix, other: Fix) -> float:
    return distance_m(one.lat, one.lon, other.lat, other.lon)


def _seconds(earlier: Fix, later: Fix) -> float:
    return (later.at - earlier.at).total_seconds()
