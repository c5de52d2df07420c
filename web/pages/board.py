"""`/`: the day's trips on a board, who is at work, and the map beside it."""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from litestar import get
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Response, Template

from appliance import crews
from appliance.domain.trip import LevelOfService
from appliance.storage import board
from appliance.storage.people import drivers
from appliance.storage.vehicles import every
from web import cards, names
from web.api.trips import local_day
from web.pages import shell
from web.parts import Given, Parts

AROUND = timedelta(hours=12)
"""The board of today shows the local day, and at night what is this near on its other side."""

OnDay = Annotated[date | None, QueryParameter(name="day")]
Known = Annotated[str, HeaderParameter(name="If-None-Match")]


@get("/", sync_to_thread=True, include_in_schema=False)
def index(parts: Given, on_day: OnDay = None) -> Template:
    with parts.db() as db:
        vans = [one["code"] for one in every(db) if not one["disabled_at"]]
        people = [(one["code"], one["name"]) for one in drivers(db) if not one["disabled_at"]]
    return shell.page(
        parts,
        "board_page.html",
        here="/",
        vans=vans,
        people=sorted(people, key=lambda one: one[1]),
        levels=[level.value for level in LevelOfService],
        **_board(parts, on_day),
    )


@get("/board", sync_to_thread=True, include_in_schema=False)
def board_fragment(parts: Given, on_day: OnDay = None, known: Known = "") -> Template | Response[None]:
    """204 where the page has this board already: a large one is not sent again for nothing."""
    found = _board(parts, on_day)
    if known == found["state"]:
        return Response(None, status_code=204)
    return Template("board.html", context=found, headers={"ETag": found["state"]})


def _board(parts: Parts, on_day: date | None) -> dict[str, Any]:
    """What the board shows, and its `state`: another one whenever it shows something else."""
    now, zone = parts.now(), parts.settings.zone
    today = now.astimezone(zone).date()
    shown = on_day or today
    begin, end = local_day(parts, shown)
    with parts.db() as db:
        rows = board.cards(db, *span(now, parts)) if shown == today else board.cards_between(db, begin, end)
        at_work = crews.crews(db, begin, end, now)
    rows = [names.of_trip(parts, row) for row in rows]
    shows = {
        "columns": cards.columns(rows, now, zone, parts.settings.depot.units, late_from(parts)),
        "crews": [
            {"crew": crew, "shift": f"{crew.starts_at.astimezone(zone):%H:%M} to {crew.ends_at.astimezone(zone):%H:%M}"
             if crew.starts_at and crew.ends_at else ""}
            for crew in at_work
        ],
        "day": cards.day(shown, today),
    }  # fmt: skip
    return shows | {"state": f'"{hashlib.sha256(repr(shows).encode()).hexdigest()[:32]}"'}


def late_from(parts: Parts) -> timedelta:
    """How long after the pickup or the appointment a trip is late."""
    return timedelta(minutes=parts.settings.limits.late_min)


def span(now: datetime, parts: Parts) -> tuple[datetime, datetime]:
    """The time that the board of today shows: the local day of `now`, widened to `AROUND` on both sides."""
    begin, end = local_day(parts, now.astimezone(parts.settings.zone).date())
    return min(begin, now - AROUND), max(end, now + AROUND)


HANDLERS: list[Any] = [index, board_fragment]
