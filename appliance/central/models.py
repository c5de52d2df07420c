"""What a row of a depot becomes in the read models: which table, and which values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import structs
from sqlalchemy import Table

from appliance.central import tables
from appliance.central.db import Row
from appliance.errors import InputError
from appliance.wire import Stream, snapshots

_SUSPICIOUS = re.compile(r"\\u0000|[0-9]{19}|[0-9][eE][0-9+-]")
"""Only where this is found in a snapshot's text there may be what a database cannot keep: a NUL, a huge number. To look
at each value of each row took a quarter of the time."""
MOST = 2**63 - 1
"""What an integer of both databases holds."""


def of(stream: Stream, kind: str, uid: str, text: str) -> tuple[Table, Row]:
    """The table and its values, without depot, epoch, seq and revision. Raises InputError where the snapshot is not
    what its kind says, or could not be kept."""
    found = snapshots.parse(stream, kind, text)
    table, make = _MODELS[type(found)]
    values = make(found, uid)
    if _SUSPICIOUS.search(text) is not None:
        _check(values)
    return table, values


def _check(values: Row) -> None:
    for name, value in values.items():
        if isinstance(value, str):
            if "\x00" in value:
                raise InputError("a NUL character cannot be kept", subject=name)
        elif isinstance(value, int) and not -MOST <= value <= MOST:
            raise InputError("the number is beyond what can be kept", subject=name)


def number(values: Row, table: Table) -> str | None:
    """The number that must be the only one of the centre: an invoice's or a credit note's."""
    return str(values["number"]) if table is tables.invoices or table is tables.credit_notes else None


def _whole(found: Any, _uid: str) -> Row:
    return structs.asdict(found)


def _invoice(found: snapshots.Invoice, _uid: str) -> Row:
    return structs.asdict(found) | {"lines": _json(found.lines)}


def _payment(found: snapshots.Payment, _uid: str) -> Row:
    return structs.asdict(found) | {"origin": "depot", "recorded_by": "", "flag": ""}


def _trail(found: snapshots.Trail, _uid: str) -> Row:
    return structs.asdict(found) | {"points": _json(found.points)}


def _named(found: Any, uid: str) -> Row:
    """Of a thing whose snapshot leaves its uid to the row."""
    return structs.asdict(found) | {"uid": uid}


def _json(found: Any) -> str:
    return msgspec.json.encode(found).decode()


_MODELS: dict[type[Any], tuple[Table, Callable[[Any, str], Row]]] = {
    snapshots.Invoice: (tables.invoices, _invoice),
    snapshots.Payment: (tables.payments, _payment),
    snapshots.Credit: (tables.credit_notes, _whole),
    snapshots.Adjustment: (tables.adjustments, _whole),
    snapshots.Trip: (tables.trips, _whole),
    snapshots.Trail: (tables.trails, _trail),
    snapshots.Vehicle: (tables.vehicles, _named),
    snapshots.Driver: (tables.drivers, _named),
    snapshots.Payer: (tables.payers, _named),
    snapshots.Rate: (tables.rates, _named),
}
TABLES: tuple[Table, ...] = tuple(table for table, _ in _MODELS.values())
"""All read models, in the order in which they are written."""
