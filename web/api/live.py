"""Server-sent events: `/api/v1/live` for the fleet and `/api/v1/trips/{id}/live` for one trip.

Event names are `vehicle`, `alert`, `trip`, `invoice`, `trip_status`, `inbox` (somebody has a new message),
`trip_position` (of one trip only) and `resync`: something may have been missed, ask for the whole state again. `data`
is the event's data as JSON.
"""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.concurrency import sync_to_thread
from litestar.params import FromPath
from litestar.response import Stream

from appliance.events import Event
from appliance.storage import board
from web.api.trips import unknown
from web.hub import Wants
from web.parts import Given, Parts

FLEET_KINDS = frozenset({"vehicle", "alert", "trip", "invoice", "trip_status", "inbox"})
TRIP_KINDS = frozenset({"trip", "trip_status", "trip_position"})


def fleet(event: Event) -> bool:
    """What the board and the map show."""
    return event.kind in FLEET_KINDS


def of_trip(trip_id: int) -> Wants:
    """What concerns one trip."""
    key = str(trip_id)
    return lambda event: event.kind in TRIP_KINDS and event.key == key


@get("/live", media_type="text/event-stream", summary="Live events of the fleet (SSE)")
async def fleet_live(parts: Given) -> Stream:
    return _answer(parts, fleet)


@get("/trips/{trip_id:int}/live", media_type="text/event-stream", summary="Live events of one trip (SSE)")
async def trip_live(parts: Given, trip_id: FromPath[int]) -> Stream:
    if not await sync_to_thread(_exists, parts, trip_id):
        raise unknown(trip_id)
    return _answer(parts, of_trip(trip_id))


def _exists(parts: Parts, trip_id: int) -> bool:
    with parts.db() as db:
        return board.trip_exists(db, trip_id)


def _answer(parts: Parts, wants: Wants) -> Stream:
    key, user = (parts.caller.key, parts.caller.user.id) if parts.caller else ("", None)
    return Stream(parts.hub.open(wants, key, user), headers={"X-Accel-Buffering": "no"})


HANDLERS: list[Any] = [fleet_live, trip_live]
