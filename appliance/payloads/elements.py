"""The elements of a GPS message, whatever its format: a fix or a named rejection each, and the device's numbering.

Any bytes at all give a list of elements; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from appliance.domain.fix import Fix, Reason, Rejection
from appliance.payloads import flespi, hfp, native, owntracks, teltonika, traccar_client, traccar_forward
from appliance.payloads.values import SHOWN, Bad, Body, whole

_Format = tuple[Callable[[Body], bool], Callable[[Body], Fix | str]]

_FORMATS: tuple[_Format, ...] = (
    *(
        (format.fits, format.read)
        for format in (owntracks, native, teltonika, flespi, hfp, traccar_client, traccar_forward)
    ),
    (native.almost_fits, native.read),
)
"""The most frequent first; the first that fits reads the body."""


class _Numbers(msgspec.Struct):
    """Of a body that is too large to be read, what its acknowledgement needs."""

    seq: Any = None
    epoch: Any = None


_body = msgspec.json.Decoder()
_parts = msgspec.json.Decoder(list[msgspec.Raw])
_numbers = msgspec.json.Decoder(_Numbers)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Element(msgspec.Struct, frozen=True, gc=False):
    """One element of a message: its fix or why it has none, its own bytes, and its numbering if it carries one.

    Neither fix nor rejection: it is known to be no new fix, `kind` says what it is, and only its number counts.
    """

    fix: Fix | None
    rejection: Rejection | None
    raw: bytes
    epoch: int = 0
    seq: int | None = None
    kind: str = ""


def decode(payload: bytes, limit_bytes: int) -> list[Element]:
    """The elements of a message, in its order, at least one. The limit is for each fix: an array is as large as the
    broker lets through."""
    if not payload:
        return [Element(None, None, payload, kind="empty")]
    if not _is_array(payload):
        return [_read(payload, limit_bytes)]
    try:
        parts = _parts.decode(payload)
    except _UNREADABLE as error:
        return [_unreadable(error, payload) if len(payload) <= limit_bytes else _too_large(payload, limit_bytes)]
    return [_read(bytes(part), limit_bytes) for part in parts] or [Element(None, None, payload, kind="empty array")]


def decode_one(raw: bytes) -> Element:
    """The element whose bytes were kept."""
    return _read(raw, len(raw))


def _read(raw: bytes, limit_bytes: int) -> Element:
    if len(raw) > limit_bytes:
        return _too_large(raw, limit_bytes)
    try:
        body = _body.decode(raw)
    except _UNREADABLE as error:
        return _unreadable(error, raw)
    if type(body) is not dict:
        return Element(None, Rejection(Reason.unparsable, type(body).__name__, "a JSON object"), raw)
    epoch, seq = _numbering(body.get("seq"), body.get("epoch"))
    try:
        for fits, read in _FORMATS:
            if fits(body):
                found = read(body)
                if isinstance(found, Fix):
                    return Element(found, None, raw, epoch, seq)
                return Element(None, None, raw, epoch, seq, found)
        raise Bad(Reason.no_position, ", ".join(sorted(body)), "a known format")
    except Bad as bad:
        return Element(None, bad.rejection, raw, epoch, seq)  # a rejected fix keeps its number


def _too_large(raw: bytes, limit_bytes: int) -> Element:
    """Rejected, but with its number: a device that waits for it would never go on."""
    rejection = Rejection(Reason.too_large, f"{len(raw)} bytes", f"{limit_bytes} bytes")
    try:
        numbers = _numbers.decode(raw)
    except _UNREADABLE:
        numbers = _Numbers()
    return Element(None, rejection, raw[:limit_bytes], *_numbering(numbers.seq, numbers.epoch))


def _numbering(seq: Any, epoch: Any) -> tuple[int, int | None]:
    """(epoch, number). Without a number that can be acknowledged where the epoch is none: two that are merged into one
    would acknowledge what was never sent."""
    if epoch is None:
        return 0, whole(seq)
    found = whole(epoch)
    return (0, None) if found is None and epoch not in (0, "0") else (found or 0, whole(seq))


def _is_array(payload: bytes) -> bool:
    return payload.lstrip()[:1] == b"["


def _unreadable(error: Exception, raw: bytes) -> Element:
    return Element(None, Rejection(Reason.unparsable, str(error)[:SHOWN], "JSON"), raw)
