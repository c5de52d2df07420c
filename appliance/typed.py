"""What people type about people and things, made tidy. What is wrong raises InputError, which names the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from msgspec import UNSET, Struct

from appliance.errors import InputError
from appliance.storage.vehicles import CODE

_LABEL = r"\w(?:[\w-]{0,61}\w)?"
_EMAIL = re.compile(rf"(?!\.|[^@]*\.[.@])[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")
"""What the relay can be given as one address (RFC 5322, dot-atom): the domain may be of any script."""

LONGEST_EMAIL = 254

FIRST_YEAR, LAST_YEAR = 2000, 2099
"""No day or time outside of them is meant."""

Check = Callable[[Any, str], Any]


def columns(details: Struct, checks: Mapping[str, Check]) -> dict[str, Any]:
    """The columns that `details` sets, each through its check; what is UNSET stays as it is."""
    return {
        name: check(given, name) for name, check in checks.items() if (given := getattr(details, name)) is not UNSET
    }


def changed(details: Struct, checks: Mapping[str, Check], found: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `columns` that are not as they are found."""
    return {name: given for name, given in columns(details, checks).items() if found[name] != given}


def name(given: str, field: str) -> str:
    """One line that is not empty."""
    return _within(" ".join(given.split()), field, 1, 100)


def line(given: str, field: str) -> str:
    """One line, which may be empty."""
    return _within(" ".join(given.split()), field, 0, 100)


def lines(given: str, field: str) -> str:
    """An address: some lines, which may be empty."""
    found = (" ".join(each.split()) for each in given.splitlines())
    return _within("\n".join(each for each in found if each), field, 0, 500)


def address(given: str, field: str) -> str:
    """An e-mail address that must be there."""
    found = email(given, field)
    if not found:
        raise InputError("expected an address like ann@example.org", subject=field)
    return found


def email(given: str, field: str) -> str:
    """An address, or empty."""
    found = given.strip()
    if found and (len(found) > LONGEST_EMAIL or not _EMAIL.fullmatch(found)):
        raise InputError("expected an address like ann@example.org", subject=f"{field} {found[:80]!r}")
    return found


def code(given: str, field: str) -> str:
    if not CODE.fullmatch(given):
        raise InputError("expected 1 to 32 letters, digits, - or _", subject=f"{field} {given[:80]!r}")
    return given


def day(given: date | None, field: str) -> str | None:
    """As it is stored."""
    return given.isoformat() if given else None


def near(field: str, at: datetime | None, now: datetime) -> None:
    """Raises InputError for a time without a zone, and for one that no depot enters or plans for."""
    if at is None:
        return
    if at.tzinfo is None:
        raise InputError("expected a time with its zone, like 2026-01-26T15:57:00Z", subject=field)
    if not FIRST_YEAR <= at.year <= now.year + 2:
        raise InputError(f"expected a time between {FIRST_YEAR} and {now.year + 2}", subject=field)


def of_this_age(field: str, given: date) -> None:
    """Raises InputError for a day, or a time, that nobody asks for: around it there would be days that are none."""
    if not FIRST_YEAR <= given.year <= LAST_YEAR:
        raise InputError(f"expected a day between {FIRST_YEAR} and {LAST_YEAR}", subject=field)


def _within(found: str, field: str, least: int, most: int) -> str:
    if not least <= len(found) <= most or not all(char.isprintable() or char == "\n" for char in found):
        raise InputError(f"expected {least} to {most} characters that can be printed", subject=field)
    return found
