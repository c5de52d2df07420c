"""A believable drive from one place to another: along two streets, with a speed that varies."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from appliance.domain.trail import distance_m

Point = tuple[float, float]
"""(latitude, longitude), degrees."""

STREETS_DEG = 28.0  # the grid is turned against north, as in an old town
CRUISE_KMH = 42.0


@dataclass(slots=True)
class Drive:
    """Where a vehicle is on its way; `step` moves it."""

    way: list[Point]
    dice: random.Random
    done_m: float = 0.0
    speed_kmh: float = 0.0

    @classmethod
    def between(cls, start: Point, end: Point, dice: random.Random) -> Drive:
        """A way with two corners, along the streets' two directions."""
        turn = math.radians(STREETS_DEG)
        shrink = math.cos(math.radians(start[0]))
        east, north = (end[1] - start[1]) * shrink, end[0] - start[0]
        along = east * math.cos(turn) + north * math.sin(turn)
        share = dice.uniform(0.3, 0.7)
        first = (start[0] + along * share * math.sin(turn), start[1] + along * share * math.cos(turn) / shrink)
        rest = along * (1 - share)
        second = (end[0] - rest * math.sin(turn), end[1] - rest * math.cos(turn) / shrink)
        return cls([start, first, second, end], dice)

    @property
    def length_m(self) -> float:
        return sum(distance_m(*a, *b) for a, b in zip(self.way, self.way[1:], strict=False))

    @property
    def arrived(self) -> bool:
        return self.done_m >= self.length_m

    def step(self, seconds: float) -> None:
        """Moves on for so long: speeds up, slows down for the end, and for other people."""
        left = self.length_m - self.done_m
        wish = min(CRUISE_KMH * self.dice.uniform(0.75, 1.1), 8 + left / 4)
        self.speed_kmh += max(-12.0, min(8.0, wish - self.speed_kmh))
        self.done_m = min(self.length_m, self.done_m + self.speed_kmh / 3.6 * seconds)

    def position(self) -> tuple[Point, float]:
        """(where, heading in degrees clockwise from north)."""
        left = self.done_m
        for a, b in zip(self.way, self.way[1:], strict=False):
            leg = distance_m(*a, *b)
            if left <= leg and leg > 0:
                share = left / leg
                point = (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)
                return point, _heading(a, b)
            left -= leg
        return self.way[-1], _heading(self.way[-2], self.way[-1])


def _heading(a: Point, b: Point) -> float:
    east = (b[1] - a[1]) * math.cos(math.radians(a[0]))
    return math.degrees(math.atan2(east, b[0] - a[0])) % 360
