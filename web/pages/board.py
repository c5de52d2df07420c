"""`/`: the day's trips on a board, with the map beside it."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from litestar import get
from litestar.response import Template

from appliance.storage import board
from web import cards, names
from web.pages import shell
from web.parts import Given, Parts

AROUND = timedelta(hours=12)
"""The board shows the local day, and at night what is this near on its other side."""


@get("/", sync_to_thread=True, include_in_schema=False)
def index(parts: Given) -> Template:
    return shell.page(parts, "board_page.html", here="/", columns=_columns(parts))


@get("/board", sync_to_thread=True, include_in_schema=False)
def board_fragment(parts: Given) -> Template:
    return Template("board.html", context={"columns": _columns(parts)})


def _columns(parts: Parts) -> dict[str, list[cards.Card]]:
    now, zone = parts.now(), parts.settings.zone
    since, until = span(now, parts)
    with parts.db() as db:
        rows = [names.of_trip(parts, row) for row in board.cards(db, since, until)]
    return cards.columns(rows, now, zone, parts.settings.depot.units, late_from(parts))


def late_from(parts: Parts) -> timedelta:
    """How long after the pickup or the appointment a trip is late."""
    return timedelta(minutes=parts.settings.limits.late_min)


def span(now: datetime, parts: Parts) -> tuple[datetime, datetime]:
    """The time that the board shows: the local day of `now`, widened to `AROUND` on both sides."""
    zone = parts.settings.zone
    today = now.astimezone(zone).date()
    begin, end = (datetime.combine(today + timedelta(days=days), time(), zone) for days in (0, 1))
    return min(begin, now - AROUND), max(end, now + AROUND)


HANDLERS: list[Any] = [index, board_fragment]
