"""`/api/v1/replay`: a past hour of the fleet, to be shown again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from litestar import get
from litestar.params import FromQuery, QueryParameter

from appliance import past_hour
from appliance.past_hour import PastHour
from web.parts import Given

Start = Annotated[datetime, QueryParameter(description="RFC 3339 with a zone, such as 2026-01-26T15:00:00Z")]
Minutes = Annotated[int, QueryParameter(ge=1, le=60)]


@get("/replay", sync_to_thread=True, summary="Where the vehicles were in a past hour, thinned in time")
def read_replay(parts: Given, start: Start, minutes: Minutes = 60, vehicle: FromQuery[str | None] = None) -> PastHour:
    """All vehicles in service, or the one with that code. The more vehicles, the further apart are the positions."""
    length = timedelta(minutes=minutes)
    with parts.db() as db:
        return past_hour.read(db, parts.store, parts.settings, start, length, vehicle, parts.now())


HANDLERS: list[Any] = [read_replay]
