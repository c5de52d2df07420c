"""What a ride costs: effective-dated rates, and the invoice lines they make.

The rounding rule, everywhere here: half up, never the banker's rounding. A quantity is rounded first (distance to 0.1
of its unit, waiting to whole minutes) and then multiplied; each line is rounded to whole minor units; the tax is
reckoned once, on the sum of the lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum, auto
from typing import Literal

from appliance.domain.trip import LevelOfService

Unit = Literal["km", "mile"]

METRES: dict[Unit, Decimal] = {"km": Decimal(1000), "mile": Decimal("1609.344")}
"""Metres in one unit; the mile is the international one of 1959."""

TENTH = Decimal("0.1")
WHOLE = Decimal(1)

LONGEST_MIN = 24 * 60.0
"""No van waits for a patient, or carries one, for longer: a stamp has a wrong date."""


class Blocked(StrEnum):
    """Why a trip cannot be billed (yet)."""

    no_payer = auto()
    no_rate = auto()
    no_distance = auto()
    implausible_times = auto()
    issuer_incomplete = auto()
    clock_untrusted = auto()
    not_finished = auto()
    not_released = auto()
    voided = auto()
    not_recovered = auto()


@dataclass(frozen=True, slots=True)
class Rate:
    """A payer's prices for one level of service, from `valid_from` through `valid_to` (`None`: until further notice).

    Money is in minor units (cents, pence). `per_unit_cents` is for each km or mile beyond `free_units`. After hours is
    from `after_hours_from` up to, not including, `after_hours_to` by the depot's wall clock; it may span midnight, and
    equal times mean never. `tax_bp` is in basis points: 2000 is 20 %.
    """

    level: LevelOfService
    valid_from: date
    valid_to: date | None
    base_cents: int
    per_unit_cents: int
    unit: Unit = "km"
    free_units: float = 0
    wait_per_min_cents: int = 0
    free_wait_min: float = 0
    after_hours_cents: int = 0
    after_hours_from: time = time(0, 0)
    after_hours_to: time = time(0, 0)
    no_show_cents: int = 0
    tax_bp: int = 0


@dataclass(frozen=True, slots=True)
class Ride:
    """What is billed of a trip. `pickup_local` is in the depot's zone; `shared_with` counts the other passengers."""

    level: LevelOfService
    pickup_local: datetime
    distance_m: float | None
    wait_min: float
    no_show: bool
    shared_with: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an invoice: `amount_cents` is `quantity` times `unit_cents`, rounded half up.

    The tax line has the unit "%": its quantity is the percentage, and its `unit_cents` the sum that is taxed.
    """

    kind: str
    text: str
    quantity: Decimal
    unit: str
    unit_cents: int
    amount_cents: int


def pick_rate(rates: Sequence[Rate], level: LevelOfService, day: date) -> Rate | None:
    """The rate for this level that is valid on `day`; of several the one that began last, and then the last given."""
    valid = [rate for rate in rates if rate.level == level and rate.valid_from <= day <= (rate.valid_to or date.max)]
    return max(reversed(valid), key=lambda rate: rate.valid_from, default=None)


def needs_distance(ride: Ride, rate: Rate) -> bool:
    """Whether `price` needs the distance of this ride; without it the trip is blocked as `no_distance`."""
    return rate.per_unit_cents != 0 and not ride.no_show


def is_implausible(wait_min: float, ride_min: float) -> bool:
    """Whether somebody must look at the times before they are billed: the wait at the pickup, and the ride itself."""
    return max(wait_min, ride_min) > LONGEST_MIN


def price(ride: Ride, rate: Rate) -> list[Line]:
    """The lines of a ride, in the order base, distance, wait, after hours, tax; a no-show pays its fee and tax only.

    - Shared ride: the distance is divided by the number of passengers (all who were on board for a part of the ride),
      the base is not. Then the free distance is taken off, then the rest is rounded to 0.1 of the unit.
    - Waiting: the free minutes are taken off, then the rest is rounded to whole minutes. It is not shared.
    - After hours goes by the pickup alone.
    - Base and no-show always have a line, distance where the rate has a price for it, the others where they cost.

    `ValueError` if the rate is for another level, or if the distance is needed and missing.
    """
    if ride.level != rate.level:
        raise ValueError(f"a rate for {rate.level} cannot price a ride by {ride.level}")
    if ride.no_show:
        lines = [_line("no_show", "No-show", WHOLE, "", rate.no_show_cents)]
    else:
        lines = [_line("base", f"Base fare, {ride.level}", WHOLE, "", rate.base_cents)]
        lines += _distance(ride, rate) + _wait(ride, rate) + _after_hours(ride, rate)
    return lines + _tax(total_cents(lines), rate.tax_bp)


def total_cents(lines: Iterable[Line]) -> int:
    """What is to be paid for these lines, tax included where they have a tax line."""
    return sum(line.amount_cents for line in lines)


def _distance(ride: Ride, rate: Rate) -> list[Line]:
    if not needs_distance(ride, rate):
        return []
    if ride.distance_m is None:
        raise ValueError("a ride without a distance has no price at this rate")
    passengers = 1 + ride.shared_with
    share = Decimal(str(ride.distance_m)) / METRES[rate.unit] / passengers
    billed = _beyond(share, rate.free_units, TENTH)
    text = "Distance"
    text += f", shared by {passengers}" if passengers > 1 else ""
    text += f", first {rate.free_units:g} {rate.unit} free" if rate.free_units else ""
    return [_line("distance", text, billed, rate.unit, rate.per_unit_cents)]


def _wait(ride: Ride, rate: Rate) -> list[Line]:
    billed = _beyond(Decimal(str(ride.wait_min)), rate.free_wait_min, WHOLE)
    if not (billed and rate.wait_per_min_cents):
        return []
    text = "Waiting" + (f", first {rate.free_wait_min:g} min free" if rate.free_wait_min else "")
    return [_line("wait", text, billed, "min", rate.wait_per_min_cents)]


def _after_hours(ride: Ride, rate: Rate) -> list[Line]:
    start, end, at = rate.after_hours_from, rate.after_hours_to, ride.pickup_local.time()
    inside = start <= at < end if start <= end else at >= start or at < end
    if not (inside and rate.after_hours_cents):
        return []
    text = f"Pickup after hours ({start:%H:%M} to {end:%H:%M})"
    return [_line("after_hours", text, WHOLE, "", rate.after_hours_cents)]


def _tax(net_cents: int, tax_bp: int) -> list[Line]:
    if not tax_bp:
        return []
    percent = Decimal(tax_bp) / 100
    text = f"Tax {percent.normalize():f} %"
    return [Line("tax", text, percent, "%", net_cents, int(_half_up(percent * net_cents / 100, WHOLE)))]


def _line(kind: str, text: str, quantity: Decimal, unit: str, unit_cents: int) -> Line:
    return Line(kind, text, quantity, unit, unit_cents, int(_half_up(quantity * unit_cents, WHOLE)))


def _beyond(amount: Decimal, free: float, step: Decimal) -> Decimal:
    return _half_up(max(amount - Decimal(str(free)), Decimal(0)), step)


def _half_up(amount: Decimal, step: Decimal) -> Decimal:
    return amount.quantize(step, ROUND_HALF_UP)
