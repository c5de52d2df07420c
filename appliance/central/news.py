"""What the centre has to say to a depot: numbered 1, 2, 3, ... in each, kept for good."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, select, update

from appliance.central import tables
from appliance.central.db import Row, Tx, rows
from appliance.central.tables import depots
from appliance.storage import times
from appliance.wire.answers import News

MOST = 100
"""In one answer."""


def add(
    tx: Tx,
    depot: Row,
    kind: Literal["payment", "dispute", "dispute_resolved"],
    number: str,
    uid: str,
    now: datetime,
    *,
    amount_cents: int = 0,
    paid_on: str | None = None,
    reference: str = "",
) -> int:
    """Its id. `depot` is locked (enrol.lock), so that whoever has read up to one id has missed none below it."""
    id = int(depot["news_last"]) + 1
    tx.execute(
        tables.news.insert().values(
            depot_id=depot["id"], id=id, kind=kind, number=number, at=times.text(now), uid=uid,
            amount_cents=amount_cents, paid_on=paid_on, reference=reference,
        )
    )  # fmt: skip
    tx.execute(update(depots).where(depots.c.id == depot["id"]).values(news_last=id))
    depot["news_last"] = id
    return id


def after(connection: Connection, depot_id: int, id: int) -> tuple[list[News], bool]:
    """The news after that one, the oldest first, and whether there are more."""
    columns = [column for column in tables.news.c if column.name != "depot_id"]
    query = select(*columns).where(tables.news.c.depot_id == depot_id, tables.news.c.id > id)
    found = rows(connection, query.order_by(tables.news.c.id).limit(MOST + 1))
    return [News(**one) for one in found[:MOST]], len(found) > MOST
