"""A batch: gzip NDJSON, the envelope in its first line and a row in each line after it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from appliance.errors import InputError
from appliance.wire import MAX_BYTES, MAX_ROW_BYTES, MAX_ROWS, Stream

DepotCode = Annotated[str, Meta(pattern="^[A-Z0-9]{2,8}$", description="the depot's code")]
Seq = Annotated[int, Meta(ge=1, le=2**53 - 1, description="sequence number in its epoch and stream: 1, 2, 3, ...")]
Epoch = Annotated[int, Meta(ge=1, le=2**31 - 1, description="1, and one more at each restore of the box")]
Hex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Uid = Annotated[str, Meta(pattern="^[0-9A-HJKMNP-TV-Z]{26}$", description="ULID")]
At = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="UTC, milliseconds")]

MAX_UNPACKED = MAX_ROW_BYTES * 2 + MAX_BYTES
"""The longest text of a batch that is read: twice a row, for quotes in its snapshot are escaped."""


class Envelope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a batch holds: the rows `first_seq` to `last_seq` of one stream."""

    depot: DepotCode
    epoch: Epoch
    stream: Stream
    first_seq: Seq
    last_seq: Seq
    news_after: Annotated[int, Meta(ge=0, description="id of the last news from the centre that the box applied")] = 0
    again: Annotated[int, Meta(ge=0, description="how often a person had these rows sent again")] = 0


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row. `snapshot` is canonical JSON, as a string: what is hashed are its bytes. `chain` includes this row."""

    seq: Seq
    kind: Annotated[str, Meta(pattern="^[a-z_]{1,32}$", description="what happened")]
    uid: Annotated[Uid, Meta(description="of what it happened to")]
    created_at: At
    snapshot: Annotated[str, Meta(max_length=MAX_ROW_BYTES)]
    chain: Hex


def pack(envelope: Envelope, rows: Sequence[Row]) -> bytes:
    """The body of a request. The same batch gives the same bytes."""
    lines = [msgspec.json.encode(part) for part in (envelope, *rows)]
    return gzip.compress(b"\n".join(lines) + b"\n", compresslevel=6, mtime=0)


def unpack(body: bytes) -> tuple[Envelope, list[Row]]:
    """Reads a body of no more than the limits allow. Raises InputError: not gzip, too long, a line that is no row, rows
    that are not `first_seq` to `last_seq` one after another."""
    lines = _text(body).split(b"\n")
    if lines.pop():
        raise InputError("it does not end with a line end", subject="batch")
    if not 2 <= len(lines) <= MAX_ROWS + 1:
        raise InputError(f"expected an envelope and 1 to {MAX_ROWS} rows, each in a line", subject="batch")
    envelope = _decode(_envelopes, lines[0], 1)
    rows = [_decode(_rows, line, number) for number, line in enumerate(lines[1:], 2)]
    expected = range(envelope.first_seq, envelope.last_seq + 1)
    if len(expected) != len(rows) or any(row.seq != seq for row, seq in zip(rows, expected, strict=True)):
        raise InputError("its rows are not first_seq to last_seq, one after another", subject="batch")
    return envelope, rows


_T = TypeVar("_T")
_envelopes = msgspec.json.Decoder(Envelope)
_rows = msgspec.json.Decoder(Row)


def _text(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = unpacker.decompress(body, MAX_UNPACKED)
    except zlib.error as error:
        raise InputError("expected gzip", subject="batch") from error
    if unpacker.unconsumed_tail or not unpacker.eof or unpacker.unused_data:
        raise InputError(f"expected one whole gzip of at most {MAX_UNPACKED} bytes", subject="batch")
    return text


def _decode(decoder: msgspec.json.Decoder[_T], line: bytes, number: int) -> _T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(str(error), subject=f"batch, line {number}") from error
