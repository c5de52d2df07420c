"""Single values out of a body, in whatever way a device writes them. Numbers may be strings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from appliance.domain.fix import Reason, Rejection

Body = dict[str, Any]

SHOWN = 120
FASTEST_KMH = 300.0

# Epoch seconds reach this in the year 5138, epoch milliseconds passed it in 1973.
_MILLISECONDS_FROM = 1e11
_LARGEST = 1e15  # epoch milliseconds are over 1e12; kilometres of this in metres still are a 64-bit integer
_PLAIN = (float, int, str)  # by `type`, so that True is no number
_DAY_LENGTH = len("2026-01-26")


class Bad(Exception):
    """Why a body has no fix."""

    def __init__(self, reason: Reason, value: str, limit: str) -> None:
        self.rejection = Rejection(reason, value[:SHOWN], limit)
        super().__init__(str(self.rejection))


def number(value: Any) -> float | None:
    """A finite number; anything else about a fix that is not needed is left out."""
    if type(value) not in _PLAIN or _only_python(value):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if -_LARGEST < found < _LARGEST else None


def amount(value: Any, factor: float = 1) -> float | None:
    """What cannot be negative, times `factor` into the box's unit; trackers write -1 for what they do not know."""
    found = number(value)
    return None if found is None or found < 0 else found * factor


def speed(value: Any, factor: float = 1) -> float | None:
    """km/h, once multiplied by `factor`, as far as a road vehicle goes. A trail believes a jump that is not above twice
    the reported speed: an absurd one would vouch for any."""
    found = amount(value, factor)
    return None if found is None or found > FASTEST_KMH else found


def heading(value: Any) -> float | None:
    """Degrees from 0 to 360."""
    found = number(value)
    return None if found is None or not 0 <= found <= 360 else found


def percent(value: Any, factor: float = 1) -> float | None:
    """From 0 to 100, once multiplied by `factor`."""
    found = number(value)
    return None if found is None or not 0 <= found * factor <= 100 else found * factor


def flag(value: Any) -> bool | None:
    """True or false, as JSON has it, as 0 and 1, or as a text of one of these."""
    if type(value) in _PLAIN or type(value) is bool:
        return _FLAGS.get(str(value).lower())
    return None


_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def needed(body: Body, key: str) -> float:
    """A coordinate in degrees, which need not be finite (its own rule rejects that). Raises Bad where it is none."""
    value = body.get(key)
    if type(value) in _PLAIN and not _only_python(value):
        try:
            return float(value)  # type: ignore[arg-type]
        except (ValueError, OverflowError):
            pass
    elif value is None:
        raise Bad(Reason.no_position, f"{key} is missing", "a latitude and a longitude")
    raise Bad(Reason.no_position, said(key, value), "a number")


def _only_python(value: Any) -> bool:
    """A text that only Python takes for a number: `5_3.4`, or digits of other scripts."""
    return type(value) is str and ("_" in value or not value.isascii())


def below(body: Body, key: str) -> Body:
    """The object under a key; an empty one where there is none."""
    found = body.get(key)
    return found if type(found) is dict else {}


def whole(value: Any) -> int | None:
    """A number for the acknowledgement: from 1 to 2^53."""
    if type(value) is not int:
        if type(value) not in _PLAIN or _only_python(value) or (type(value) is float and not value.is_integer()):
            return None
        try:
            value = int(value)
        except (ValueError, OverflowError):
            return None
    return value if 0 < value < 2**53 else None


def time(body: Body, key: str) -> datetime:
    """An aware UTC time, from epoch seconds, epoch milliseconds or ISO 8601 (UTC where unsaid). Raises Bad."""
    value = body.get(key)
    seconds = number(value)
    try:
        if seconds is not None:
            return datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= _MILLISECONDS_FROM else seconds, UTC)
        if type(value) is str and len(value) > _DAY_LENGTH:  # a day is no time
            at = datetime.fromisoformat(value)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    expected = "epoch seconds, epoch milliseconds or ISO 8601"
    raise Bad(Reason.unparsable, said(key, value) if key in body else f"{key} is missing", expected)


def said(key: str, value: Any) -> str:
    """A wrong value as it was sent; of one that is no plain value only its kind: it may be nested without end."""
    return f"{key} is a {type(value).__name__}" if type(value) in (dict, list) else f"{key} = {value!r}"
