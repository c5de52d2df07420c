"""Invoice numbers, due dates, reminder stages, aging, and how an amount is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum, auto

from appliance.errors import InputError

DEPOT_CODE = re.compile(r"[A-Z0-9]{2,8}")
SERIES = re.compile(r"[A-Z]{1,2}")
NUMBER = re.compile(r"([A-Z0-9]{2,8})-([0-9]{4})-([A-Z]{1,2})([0-9]{6}|[1-9][0-9]{6,})")

STAGES = (0, 30, 60, 90)
"""The reminder stages, named by the days past the due date from which they are due; 0 begins on the first such day."""

MINOR_DIGITS = dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3) | dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0
)
"""Digits after the point of the currencies that do not have two (ISO 4217)."""


class State(StrEnum):
    """Where an invoice is in its life. Nothing is owed on one that is `paid`, or `credited`: taken back in whole by
    credit notes before anything was paid."""

    issued = auto()
    paid = auto()
    credited = auto()
    disputed = auto()
    void = auto()


class AdjustmentState(StrEnum):
    """What became of an adjustment; `lapsed`: a later measure, or its invoice made void, left nothing to adjust."""

    open = auto()
    accepted = auto()
    dismissed = auto()
    lapsed = auto()


class Bucket(StrEnum):
    """A column of the aging list, by days past the due date."""

    current = "current"
    days_1_30 = "1-30"
    days_31_60 = "31-60"
    days_61_90 = "61-90"
    over_90 = "90+"


_OVERDUE_DAYS: dict[Bucket, tuple[int | None, int | None]] = {
    Bucket.current: (None, 0),
    Bucket.days_1_30: (1, 30),
    Bucket.days_31_60: (31, 60),
    Bucket.days_61_90: (61, 90),
    Bucket.over_90: (91, None),
}
"""The fewest and the most days past the due date of a bucket; None where there is no end."""


@dataclass(frozen=True, slots=True)
class Number:
    """The parts of an invoice number."""

    depot: str
    year: int
    series: str
    count: int


def number(depot: str, year: int, series: str, count: int) -> str:
    """`<DEPOT>-<YEAR>-<SERIES><000001>`: `number("LIV", 2026, "A", 12)` is `LIV-2026-A000012`.

    Different parts never make the same number. Beyond 999999 the count grows a digit. `ValueError` for a part that
    does not fit.
    """
    if not DEPOT_CODE.fullmatch(depot):
        raise ValueError(f"a depot code is 2 to 8 of A-Z and 0-9, not {depot!r}")
    if not 1000 <= year <= 9999:
        raise ValueError(f"a year has four digits, not {year}")
    if not SERIES.fullmatch(series):
        raise ValueError(f"a series is one or two of A-Z, not {series!r}")
    if count < 1:
        raise ValueError(f"invoices are counted from 1, not {count}")
    return f"{depot}-{year}-{series}{count:06d}"


def credit_number(depot: str, year: int, series: str, count: int) -> str:
    """The number of a credit note: `LIV-2026-CN-A000003`. They are counted beside the invoices, and no invoice has such
    a number."""
    found = number(depot, year, series, count)
    return f"{depot}-{year}-CN-{found.removeprefix(f'{depot}-{year}-')}"


def parse(text: str) -> Number:
    """The parts of a number that `number` made; `ValueError` for any other text."""
    match = NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"not an invoice number: {text!r}")
    depot, year, series, count = match.groups()
    parts = Number(depot, int(year), series, int(count))
    number(parts.depot, parts.year, parts.series, parts.count)  # year 0999 and count 0 have the shape only
    return parts


def next_series(series: str) -> str:
    """The series after this one, for a restored box: A to B, Z to AA, AZ to BA. `ValueError` after ZZ."""
    if not SERIES.fullmatch(series):
        raise ValueError(f"a series is one or two of A-Z, not {series!r}")
    if series == "ZZ":
        raise ValueError("there is no series after ZZ")
    head, last = series[:-1], series[-1]
    if last != "Z":
        return head + chr(ord(last) + 1)
    return (chr(ord(head) + 1) if head else "A") + "A"


def due_on(issued: date, terms_days: int) -> date:
    """The last day on which a payment is in time. `ValueError` for terms below zero."""
    if terms_days < 0:
        raise ValueError(f"terms are 0 days or more, not {terms_days}")
    return issued + timedelta(days=terms_days)


def credit_tax(total_cents: int, tax_cents: int, credited_cents: int, amount_cents: int) -> int:
    """The tax in a credit of `amount_cents`, after credits of `credited_cents` in all, on an invoice of this total with
    this tax: its share, rounded half up so that credits of the whole total take back the whole tax, not a cent more."""

    def share(cents: int) -> int:
        return (2 * tax_cents * cents + total_cents) // (2 * total_cents)

    return share(credited_cents + amount_cents) - share(credited_cents)


def stage_due(due: date, today: date) -> int | None:
    """The highest reminder stage reached (0, 30, 60 or 90), `None` up to and on the due date.

    Only the highest: after weeks without power one reminder is due, not the ones in between.
    """
    overdue_days = (today - due).days
    if overdue_days < 1:
        return None
    return max(stage for stage in STAGES if stage <= overdue_days)


def aging_bucket(due: date, today: date) -> Bucket:
    """The column of the aging list in which an unpaid invoice stands."""
    return next(bucket for bucket in Bucket if due >= due_between(bucket, today)[0])


def due_between(bucket: Bucket, today: date) -> tuple[date, date]:
    """The first and the last due date of the invoices in this column of the aging list."""
    youngest, oldest = _OVERDUE_DAYS[bucket]
    return (
        date.min if oldest is None else today - timedelta(days=oldest),
        date.max if youngest is None else today - timedelta(days=youngest),
    )


def money(cents: int, currency: str) -> str:
    """An amount in minor units as text: `GBP 1,234.50`, `GBP -0.05`, `JPY 1,234`. The currency is its ISO 4217 code."""
    digits = MINOR_DIGITS.get(currency, 2)
    whole, minor = divmod(abs(cents), 10**digits)
    fraction = f".{minor:0{digits}d}" if digits else ""
    return f"{currency} {'-' if cents < 0 else ''}{whole:,}{fraction}"


def plural(quantity: str) -> str:
    """`12.3 mile` as people write it."""
    return quantity + "s" if quantity.endswith(" mile") and quantity not in ("1 mile", "1.0 mile") else quantity


def day(iso: str) -> str:
    """`2026-01-26...` as people write it: `26 January 2026`."""
    found = date.fromisoformat(iso[:10])
    return f"{found.day} {found:%B} {found.year}"


def minor_units(amount: str, currency: str) -> int:
    """An amount as people write it (`120.50`, `-3`) in minor units. Raises InputError for what is no amount, or has
    finer fractions than the currency."""
    digits = MINOR_DIGITS.get(currency, 2)
    fraction = rf"(\.[0-9]{{1,{digits}}})?" if digits else ""
    if not re.fullmatch(rf"-?[0-9]{{1,9}}{fraction}", amount):
        raise InputError(f"expected an amount in {currency} like {'120.50' if digits else '120'}", subject=amount)
    return int(Decimal(amount).scaleb(digits))
