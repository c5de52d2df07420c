"""`/trips/{id}`: all about one trip."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import get
from litestar.params import FromPath
from litestar.response import Template

from appliance.storage import board
from appliance.storage.times import parse
from web import cards, names
from web.api.trips import unknown
from web.pages import shell
from web.pages.board import late_from
from web.parts import Given


@get("/trips/{trip_id:int}", sync_to_thread=True, include_in_schema=False)
def trip_page(parts: Given, trip_id: FromPath[int]) -> Template:
    now, zone = parts.now(), parts.settings.zone
    with parts.db() as db:
        row = board.trip(db, trip_id)
        if row is None:
            raise unknown(trip_id)
        row = names.of_trip(parts, row)
        events = board.trip_events(db, trip_id)
    timeline = [
        {**event, "moment": cards.moment(parse(event["at"]), now, zone), "title": cards.event_title(event["event"])}
        for event in events
    ]
    context: dict[str, Any] = {
        "card": cards.card(row, now, zone, parts.settings.depot.units, late_from(parts)),
        "trip": row,
        "duration": cards.minutes(timedelta(seconds=row["duration_s"])) if row["duration_s"] is not None else "",
        "timeline": timeline,
    }
    return shell.page(parts, "trip_page.html", here="/", **context)


HANDLERS: list[Any] = [trip_page]
