"""`/api/v1/fixes/rejected`: fixes that a rule spoke against, and restoring one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from appliance import fix_desk
from appliance.domain.fix import Reason
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


HANDLERS: list[Any] = [list_rejected, restore_rejected]
