"""What the fields of forms hold, as the core takes it. What is wrong raises InputError, which names the field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from litestar.enums import RequestEncodingType
from litestar.params import Body

from appliance.errors import InputError
from appliance.typed import FIRST_YEAR, LAST_YEAR

LARGEST = 2**53
"""No number that a person means is beyond it, and every program can count to it."""

Fields = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
"""A form that a page sent."""


def text(typed: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Those of the fields that the form had."""
    return {name: typed[name] for name in names if name in typed}


def number(typed: Mapping[str, str], name: str) -> int | None:
    """A whole number, None where the field is empty."""
    given = typed.get(name, "").strip()
    with _expected("a whole number", name):
        found = int(given) if given else None
        if found is not None and abs(found) > LARGEST:
            raise ValueError
    return found


def version(typed: Mapping[str, str]) -> int:
    """Which version of a thing the form was opened with. Raises InputError where it does not say."""
    try:
        return int(typed.get("version", ""))
    except ValueError as error:
        raise InputError("the page is out of date; load it again") from error


def day(typed: Mapping[str, str], name: str) -> date | None:
    """A day, None where the field is empty."""
    given = typed.get(name, "").strip()
    if not given:
        return None
    with _expected("a day such as 2027-03-31", name):
        found = date.fromisoformat(given)
        _bounded(found)
    return found


def moment(typed: Mapping[str, str], name: str, zone: ZoneInfo) -> datetime | None:
    """A time in the depot's zone, None where the field is empty."""
    given = typed.get(name, "").strip()
    if not given:
        return None
    with _expected("a time such as 2026-01-26T18:00", name):
        found = datetime.strptime(given[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=zone)  # seconds are nobody's
        _bounded(found)
    return found


def needed_moment(typed: Mapping[str, str], name: str, zone: ZoneInfo) -> datetime:
    found = moment(typed, name, zone)
    if found is None:
        raise InputError("expected a time", subject=name)
    return found


@contextmanager
def _expected(what: str, name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InputError(f"expected {what}", subject=name) from error


def _bounded(found: date) -> None:
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError
