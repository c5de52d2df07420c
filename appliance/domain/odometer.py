"""The distance of a ride by the vehicle's own odometer, held against the distance by its fixes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.domain.fix import Fix
from appliance.domain.trip import Event

SHARE = 0.1
LEAST_M = 1000.0
"""A difference is flagged when it is more than both: odometers count whole kilometres, and tyres wear."""

_BEGINS = (Event.on_board, Event.arrived_pickup, Event.en_route)
_ENDS = (Event.arrived_dropoff, Event.completed)


@dataclass(frozen=True, slots=True)
class Driven:
    """Two readings in metres, and who read them: the driver, or the tracker."""

    start_m: float
    end_m: float
    by: str

    @property
    def distance_m(self) -> float:
        return self.end_m - self.start_m


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more (or, below 0, less) the odometer has than the fixes. `share` is of the odometer's distance."""

    metres: float
    share: float
    flagged: bool


def of_buttons(readings: Mapping[Event, float]) -> Driven | None:
    """By the newest reading (km) that the driver gave with each button, over what is billed: from boarding to arrival,
    or the next best buttons. None without two readings that go up."""
    start = next((readings[event] for event in _BEGINS if event in readings), None)
    end = next((readings[event] for event in _ENDS if event in readings), None)
    if start is None or end is None or end < start:
        return None
    return Driven(start * 1000, end * 1000, "driver")


def of_fixes(fixes: Sequence[Fix]) -> Driven | None:
    """By what the tracker read with its first and last fix of the ride; None where it reads none, or went back."""
    readings = [fix.odometer_m for fix in fixes if fix.odometer_m is not None]
    if len(readings) < 2 or _goes_back(readings):
        return None
    return Driven(readings[0], readings[-1], "tracker")


def difference(distance_m: float, driven: Driven) -> Difference:
    metres = driven.distance_m - distance_m
    share = metres / driven.distance_m if driven.distance_m else (0.0 if not metres else -1.0)
    return Difference(metres, share, abs(metres) > LEAST_M and abs(share) > SHARE)


def _goes_back(readings: Iterable[float]) -> bool:
    """Whether another vehicle's odometer, or one that was reset, is among them."""
    highest = 0.0
    for reading in readings:
        if reading < highest:
            return True
        highest = reading
    return False
