"""The protocol between a box and the central office, as both ends speak it: docs/protocol.md in code.

Bytes in, checked structures out, and the other way round; no database, no network, no clock.
"""

from __future__ import annotations

from typing import Literal, get_args

Stream = Literal["invoices", "trips", "trails", "reference"]
STREAMS: tuple[Stream, ...] = get_args(Stream)
"""In the order in which a box sends them, money first."""

MAX_ROWS = 500
MAX_BYTES = 256 * 1024
"""The most that a batch holds: rows, and bytes of NDJSON before compression. A single row may be larger than that, up
to MAX_ROW_BYTES."""
MAX_ROW_BYTES = 192 * 1024

ENROL = "/depot/v1/enrol"
KEYS = "/depot/v1/{depot}/keys"
BATCHES = "/depot/v1/{depot}/batches"
POSITIONS = "/depot/v1/{depot}/positions"
ROWS = "/depot/v1/{depot}/rows"
RECONCILIATIONS = "/depot/v1/{depot}/reconciliations"
