"""Fewer fixes for the eye: a trail as a line that is nowhere further from the whole one than a tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from appliance.domain.fix import Fix
from appliance.domain.trail import distance_m

FARTHEST_LEVELS = 32
"""So often in a row a run is split at its farthest fix; below that in its middle. An ordinary trail of 36,000 fixes
needs about 20 levels. It bounds the worst case (a spiral) to (32 + log2 n) n distances, where Douglas and Peucker's
own rule takes n^2 / 2."""


def thinned(fixes: Sequence[Fix], tolerance_m: float) -> list[Fix]:
    """The fixes, in time order, without those that lie within `tolerance_m` of the straight lines between the others.

    The first and the last stay; so does every corner. A tolerance of 0 leaves out only what lies exactly on the line.
    D. H. Douglas and T. K. Peucker, "Algorithms for the reduction of the number of points required to represent a
    digitized line or its caricature", Cartographica 10 (2), 1973, pp. 112-122; with a stack in place of the recursion.
    Distances are those in a plane around the middle latitude of the trail: right within 1 % up to 50 km from there.
    """
    if len(fixes) < 3:
        return list(fixes)
    x, y = _plane(fixes)
    limit = tolerance_m * tolerance_m
    keep = bytearray(len(fixes))
    keep[0] = keep[-1] = 1
    runs = [(0, len(fixes) - 1, 0)]
    while runs:
        first, last, level = runs.pop()
        far, farthest = _farthest(x, y, first, last)
        if not far > limit:  # nothing is, where the tolerance is not a number
            continue
        middle = farthest if level < FARTHEST_LEVELS else (first + last) // 2
        keep[middle] = 1
        runs += [(first, middle, level + 1), (middle, last, level + 1)]
    return [fix for fix, kept in zip(fixes, keep, strict=True) if kept]


def _plane(fixes: Sequence[Fix]) -> tuple[list[float], list[float]]:
    """Metres east and north of the first fix, the short way across the antimeridian."""
    lats = [fix.lat for fix in fixes]
    mid, lon = (min(lats) + max(lats)) / 2, fixes[0].lon
    east_m = distance_m(mid, 0, mid, 0.01) * 100
    north_m = distance_m(mid - 0.005, 0, mid + 0.005, 0) * 100
    return [math.remainder(fix.lon - lon, 360) * east_m for fix in fixes], [(lat - mid) * north_m for lat in lats]


def _farthest(x: Sequence[float], y: Sequence[float], first: int, last: int) -> tuple[float, int]:
    """The greatest squared distance of a fix between two others from the straight way between these, and which fix."""
    x0, y0 = x[first], y[first]
    dx, dy = x[last] - x0, y[last] - y0
    length2 = dx * dx + dy * dy
    far, farthest = -1.0, first
    for index in range(first + 1, last):
        px, py = x[index] - x0, y[index] - y0
        along = px * dx + py * dy
        if along <= 0.0 or length2 == 0.0:
            off = px * px + py * py
        elif along >= length2:
            off = (px - dx) ** 2 + (py - dy) ** 2
        else:
            off = (px * dy - py * dx) ** 2 / length2
        if off > far:
            far, farthest = off, index
    return far, farthest
