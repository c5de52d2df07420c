"""`/api/v1/adjustments`: invoices whose trips were measured again at another price."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter, RequestBody
from msgspec import Struct

from appliance import invoice_desk
from appliance.domain.invoice import AdjustmentState
from appliance.storage import adjustments
from appliance.storage.db import write_tx
from web.api.answers import InvoiceWithLines, Page, make
from web.api.invoices import read
from web.api.trips import Limit, Offset
from web.parts import Given
from web.problems import Problem

ByState = Annotated[AdjustmentState | None, QueryParameter(name="state")]


class Adjustment(Struct, frozen=True, kw_only=True):
    """`old_*` is what the invoice has, `new_*` what it would have by the newest measure. `decided_by` is null where it
    lapsed."""

    id: int
    invoice_id: int
    number: str
    trip_id: int
    state: AdjustmentState
    old_distance_m: float
    new_distance_m: float
    old_total_cents: int
    new_total_cents: int
    currency: str
    raised_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class Decision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new price that the person who decides has seen: a late batch of fixes may have changed it since."""

    new_total_cents: int


@get("/adjustments", sync_to_thread=True, summary="Adjustments of invoices, newest first")
def list_adjustments(
    parts: Given, with_state: ByState = None, limit: Limit = 100, offset: Offset = 0
) -> Page[Adjustment]:
    with parts.db() as db:
        found, total = adjustments.page(db, with_state, limit, offset)
    return Page([make(Adjustment, row) for row in found], total)


@post(
    "/adjustments/{adjustment_id:int}/accept",
    sync_to_thread=True,
    status_code=200,
    summary="Make the invoice void, and ask for one by the newest measure",
    responses={
        409: ResponseSpec(
            Problem, description="It is decided already, has another price by now, or something was paid on the invoice"
        )
    },
)
def accept_adjustment(parts: Given, adjustment_id: FromPath[int], data: RequestBody[Decision]) -> InvoiceWithLines:
    """The answer is the void invoice; the next one of the trip names it."""
    with parts.db() as db, write_tx(db) as tx:
        asks, events = invoice_desk.accept_adjustment(tx, adjustment_id, data.new_total_cents, parts.who, parts.now())
    parts.sender.send(asks)
    parts.publisher.publish(*events)
    return read(parts, events[0].data["id"])


@post(
    "/adjustments/{adjustment_id:int}/dismiss",
    sync_to_thread=True,
    status_code=200,
    summary="Leave the invoice as it is",
    responses={409: ResponseSpec(Problem, description="It is decided already, or has another price by now")},
)
def dismiss_adjustment(parts: Given, adjustment_id: FromPath[int], data: RequestBody[Decision]) -> InvoiceWithLines:
    with parts.db() as db, write_tx(db) as tx:
        event = invoice_desk.dismiss_adjustment(tx, adjustment_id, data.new_total_cents, parts.who, parts.now())
    parts.publisher.publish(event)
    return read(parts, event.data["id"])


HANDLERS: list[Any] = [list_adjustments, accept_adjustment, dismiss_adjustment]
