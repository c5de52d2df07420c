"""Fixes that a rule spoke against: `/api/v1/fixes/rejected`, and restoring one; a trip's outliers, and keeping one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter, RequestBody
from msgspec import Meta, Struct

from appliance import fix_desk, trails
from appliance.domain.fix import Reason
from appliance.fix_desk import RejectedOfTrip
from appliance.trails import Outlier
from web.api.answers import Page, make
from web.api.trips import Limit, Offset
from web.parts import Given
from web.problems import Problem

SHOWN_BYTES = 1000

Owner = Annotated[str | None, QueryParameter(description="code of the vehicle, where no known device sent the fix")]


class RejectedFix(Struct, frozen=True, kw_only=True):
    """A rejected fix. `vehicle` is the code in its topic; `bound` is what would have been accepted; `payload` is how
    the message began, as text."""

    id: str
    received_at: datetime
    vehicle: str
    reason: Reason
    value: str
    bound: str
    payload: str
    restored_at: datetime | None


class Overruling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fix time of an outlier; with `undo` it is left out again."""

    at: Annotated[datetime, Meta(tz=True)]
    undo: bool = False


class Overruled(Struct, frozen=True, kw_only=True):
    """`changed` is false where it was so before."""

    changed: bool


class Restored(Struct, frozen=True, kw_only=True):
    """`restored` is false where it was done before."""

    id: str
    restored: bool


@get("/fixes/rejected", sync_to_thread=True, summary="Rejected fixes, newest first")
def list_rejected(
    parts: Given,
    vehicle: FromQuery[str | None] = None,
    reason: FromQuery[Reason | None] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> Page[RejectedFix]:
    found, total = parts.store.rejected(limit, offset, vehicle=vehicle, reason=reason)
    items = [make(RejectedFix, row, payload=row["payload"][:SHOWN_BYTES].decode(errors="replace")) for row in found]
    return Page(items, total)


@post(
    "/fixes/rejected/{fix_id:str}/restore",
    sync_to_thread=True,
    status_code=200,
    summary="Store a rejected fix after all",
    responses={409: ResponseSpec(Problem, description="It has no usable position, or its day is not kept any more")},
)
def restore_rejected(parts: Given, fix_id: FromPath[str], vehicle: Owner = None) -> Restored:
    """Trips that it belongs to are measured again; an invoice that would change gets an adjustment."""
    with parts.db() as db:
        new = fix_desk.restore(db, parts.settings, fix_id, parts.who, parts.now(), vehicle=vehicle)
    return Restored(id=fix_id, restored=new)


@get("/trips/{trip_id:int}/rejected", sync_to_thread=True, summary="Rejected fixes of a trip's vehicle and time")
def list_trip_rejected(parts: Given, trip_id: FromPath[int]) -> Page[RejectedOfTrip]:
    """Those that were taken, or came, while it was driven: the first 200, in the order in which they came."""
    with parts.db() as db:
        found = fix_desk.of_trip(db, parts.settings, trip_id, parts.now())
    return Page(found, len(found))


@get("/trips/{trip_id:int}/outliers", sync_to_thread=True, summary="Fixes that the others of the trip contradict")
def list_outliers(parts: Given, trip_id: FromPath[int], limit: Limit = 100, offset: Offset = 0) -> Page[Outlier]:
    """They are in neither its trail nor its distance, unless a person overruled that."""
    with parts.db() as db:
        found = trails.outliers(db, parts.store, parts.settings, trip_id, parts.now())
    return Page(found[offset : offset + limit], len(found))


@post(
    "/trips/{trip_id:int}/outliers/overrule",
    sync_to_thread=True,
    status_code=200,
    summary="Keep an outlier in trail and distance after all, or leave it out again",
)
def overrule_outlier(parts: Given, trip_id: FromPath[int], data: RequestBody[Overruling]) -> Overruled:
    """Trips that it belongs to are measured again; an invoice that would change gets an adjustment."""
    with parts.db() as db:
        asks = fix_desk.overrule(db, parts.settings, trip_id, data.at, parts.who, parts.now(), undo=data.undo)
    parts.sender.send(asks or ())
    return Overruled(changed=asks is not None)


HANDLERS: list[Any] = [list_rejected, restore_rejected, list_trip_rejected, list_outliers, overrule_outlier]
