"""From the bytes of a message to fixes: each format is recognised by its shape, never by configuration.

Any bytes at all give a list of elements, each with a fix or a named rejection. Sources: OwnTracks booklet (tech/json)
for `_type: location`; the native format is the box's own (docs/protocol-mqtt.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from appliance.domain.fix import Fix, Reason, Rejection

# Epoch seconds reach this in the year 5138, epoch milliseconds passed it in 1973.
_MILLISECONDS_FROM = 1e11
_LARGEST = 1e15  # epoch milliseconds are over 1e12; ten times this still is a 64-bit integer
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a message: its fix or why it has none, its numbering if it carries one, its own bytes."""

    fix: Fix | None
    rejection: Rejection | None
    raw: bytes
    epoch: int = 0
    seq: int | None = None


def decode(payload: bytes, limit_bytes: int) -> list[Element]:
    """The elements of a message, in its order. An OwnTracks message that is no location has none."""
    if len(payload) > limit_bytes:
        return [_refused(Reason.too_large, f"{len(payload)} bytes", f"{limit_bytes} bytes", payload[:limit_bytes])]
    try:
        body = msgspec.json.decode(payload)
        parts = [(item, msgspec.json.encode(item)) for item in body] if isinstance(body, list) else [(body, payload)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [_refused(Reason.unparsable, str(error)[:_SHOWN], "JSON", payload)]
    return [element for item, raw in parts for element in _decode_one(item, raw)]


def _decode_one(body: Any, raw: bytes) -> list[Element]:
    if not isinstance(body, dict):
        return [_refused(Reason.unparsable, type(body).__name__, "a JSON object", raw)]
    if "_type" in body:
        return [_numbered(body, _owntracks, raw)] if body["_type"] == "location" else []
    if "lat" in body or "lon" in body or "t" in body:
        return [_numbered(body, _native, raw)]
    return [_numbered(body, _unknown, raw)]


def _numbered(body: dict[str, Any], read: Callable[[dict[str, Any]], Fix], raw: bytes) -> Element:
    """The fix of a body with the numbering that the device gave it; a rejected fix keeps its number."""
    seq, epoch = _whole(body.get("seq")), _whole(body.get("epoch")) or 0
    try:
        return Element(read(body), None, raw, epoch, seq)
    except _Bad as bad:
        return Element(None, bad.rejection, raw, epoch, seq)


def _unknown(body: dict[str, Any]) -> Fix:
    raise _Bad(Reason.no_position, ", ".join(sorted(body)), "a known format")


def _native(body: dict[str, Any]) -> Fix:
    return Fix(
        at=_time(body, "t"),
        lat=_needed(body, "lat"),
        lon=_needed(body, "lon"),
        speed_kmh=_number(body.get("speed_kmh")),
        heading_deg=_number(body.get("heading")),
        accuracy_m=_number(body.get("accuracy_m")),
        altitude_m=_number(body.get("altitude_m")),
        odometer_m=_number(body.get("odometer_m")),
        ignition=body["ignition"] if isinstance(body.get("ignition"), bool) else None,
        battery_pct=_number(body.get("battery_pct")),
        format="native",
    )


def _owntracks(body: dict[str, Any]) -> Fix:
    """`vel` is km/h; `tst` is the time of the fix in epoch seconds, `created_at` only that of the message."""
    return Fix(
        at=_time(body, "tst"),
        lat=_needed(body, "lat"),
        lon=_needed(body, "lon"),
        speed_kmh=_number(body.get("vel", 0)),  # left out when 0
        heading_deg=_number(body.get("cog")),
        accuracy_m=_number(body.get("acc")),
        altitude_m=_number(body.get("alt")),
        battery_pct=_number(body.get("batt")),
        format="owntracks",
    )


class _Bad(Exception):
    def __init__(self, reason: Reason, value: str, limit: str) -> None:
        self.rejection = Rejection(reason, value[:_SHOWN], limit)
        super().__init__(str(self.rejection))


def _refused(reason: Reason, value: str, limit: str, raw: bytes) -> Element:
    return Element(None, Rejection(reason, value, limit), raw)


def _number(value: Any) -> float | None:
    """A finite number, also from a string; anything else about a fix that is not needed is left out."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < _LARGEST else None


def _needed(body: dict[str, Any], key: str) -> float:
    value = body.get(key)
    if value is None:
        raise _Bad(Reason.no_position, f"{key} is missing", "lat and lon")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _Bad(Reason.no_position, _said(key, value), "a number")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise _Bad(Reason.no_position, _said(key, value), "a number") from None


def _said(key: str, value: Any) -> str:
    """A wrong value as it was sent; of one that is no plain value only its kind: it may be nested without end."""
    return f"{key} is a {type(value).__name__}" if isinstance(value, (dict, list)) else f"{key} = {value!r}"


def _whole(value: Any) -> int | None:
    """A number for the acknowledgement: from 1 to 2^53."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        return None
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 0 < found < 2**53 else None


def _time(body: dict[str, Any], key: str) -> datetime:
    """An aware UTC time, from epoch seconds, epoch milliseconds or ISO 8601 (UTC where unsaid)."""
    value = body.get(key)
    expected = "epoch seconds, epoch milliseconds or ISO 8601"
    number = _number(value)
    try:
        if number is not None:
            seconds = number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise _Bad(Reason.unparsable, _said(key, value) if key in body else f"{key} is missing", expected)
