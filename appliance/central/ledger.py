"""What the accounting system reads: lists that page by a cursor which misses nothing, however late a depot sends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, select, tuple_

from appliance.central import tables
from appliance.central.db import Row, each, rows, settled
from appliance.central.tables import depots, receipts
from appliance.errors import InputError

Name = Literal["invoices", "payments", "credits", "trips"]
CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Which:
    """Of one depot; from one day through another: of issue, of payment, of pickup."""

    depot: str | None = None
    first: date | None = None
    last: date | None = None
    number: str | None = None


_LISTS: dict[Name, tuple[Any, str]] = {
    "invoices": (tables.invoices, "issued_on"),
    "payments": (tables.payments, "paid_on"),
    "credits": (tables.credit_notes, "issued_on"),
    "trips": (tables.trips, "pickup_at"),
}
_HIDDEN = ("depot_id", "epoch", "seq")


def page(connection: Connection, name: Name, which: Which, after: str, limit: int) -> tuple[list[Row], str, bool]:
    """Things in the order of their last change, each with its `depot`; the cursor behind the last of them; and whether
    there are more now. With that cursor comes, later, what was new or changed since; a thing that changed comes again.
    Raises InputError for what is no cursor."""
    table, _ = _LISTS[name]
    order = (table.c.revision, table.c.depot_id, table.c.uid)
    query = _filtered(name, which).add_columns(table.c.depot_id).where(table.c.revision < settled(connection))
    if after:
        query = query.where(tuple_(*order) > tuple_(*_cursor(after)))
    found = rows(connection, query.order_by(*order).limit(limit + 1))
    more = len(found) > limit
    found = found[:limit]
    if found:
        after = "{revision}-{depot_id}-{uid}".format(**found[-1])
    for one in found:
        del one["depot_id"], one["revision"]
    return found, after, more


def export(connection: Connection, name: Name, which: Which) -> Iterator[Row]:
    """All of them by depot and day, for a file."""
    table, day = _LISTS[name]
    query = _filtered(name, which).order_by(depots.c.code, table.c[day], table.c.uid)
    for found in each(connection, query, yield_per=CHUNK):
        del found["revision"]
        yield found


def headings(name: Name) -> list[str]:
    """The columns of a file."""
    return [column.name for column in _filtered(name, Which()).selected_columns if column.name != "revision"]


def receipts_after(connection: Connection, which: Which, after: int, limit: int) -> tuple[list[Row], bool]:
    """Receipts in the order in which they were made, each with its `depot`, and whether there are more."""
    query = select(receipts, depots.c.code.label("depot")).join(depots).where(receipts.c.id > after)
    query = query.where(*_of(which, receipts.c.night)).order_by(receipts.c.id).limit(limit + 1)
    found = rows(connection, query)
    return found[:limit], len(found) > limit


def _filtered(name: Name, which: Which) -> Select[Any]:
    table, day = _LISTS[name]
    columns = [column for column in table.c if column.name not in _HIDDEN]
    query = select(depots.c.code.label("depot"), *columns).select_from(table).join(depots)
    if which.number is not None:
        query = query.where(table.c.number == which.number)
    return query.where(*_of(which, table.c[day]))


def _of(which: Which, day: ColumnElement[str]) -> list[ColumnElement[bool]]:
    where = []
    if which.depot is not None:
        where.append(depots.c.code == which.depot)
    if which.first is not None:
        where.append(day >= which.first.isoformat())
    if which.last is not None:
        where.append(day < f"{which.last.isoformat()}U")  # behind any time of that day, which begins with a T
    return where


def _cursor(given: str) -> tuple[int, int, str]:
    try:
        revision, depot_id, uid = given.split("-")
        found = int(revision), int(depot_id), uid
    except ValueError:
        found = -1, -1, ""
    if not (0 <= found[0] < 2**63 and 0 <= found[1] < 2**63 and found[2].isalnum() and found[2].isascii()):
        raise InputError("expected the `next` of an answer", subject="after")
    return found
