"""`/api/v1/drivers/{code}/unavailable` and `/api/v1/handovers`: who cannot drive today, and where the trips went."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, RequestBody
from msgspec import Meta, Struct

from appliance import handover
from appliance.handover import HandedOver
from appliance.storage.db import write_tx
from web.parts import Given, Parts
from web.problems import Problem


class Unavailable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`to` is the code of the driver who gets the trips; null: nobody. Then those under way stay with their
    vehicle, and the others are unassigned."""

    to: Annotated[str, Meta(min_length=1, max_length=32)] | None = None


class Handover(Struct, frozen=True, kw_only=True):
    """Trips that changed hands. `left` are those that did not: under way, with nobody to take over; or, of an undoing,
    changed since."""

    id: int
    trips: list[int]
    left: list[int]


class Available(Struct, frozen=True, kw_only=True):
    code: str


REFUSED = {
    409: ResponseSpec(Problem, description="It is so already, or a trip cannot be given on; the detail names it")
}


@post(
    "/drivers/{code:str}/unavailable",
    sync_to_thread=True,
    status_code=200,
    summary="A driver cannot drive today: all their trips go to another, or to nobody",
    responses=REFUSED,
)
def driver_unavailable(parts: Given, code: FromPath[str], data: RequestBody[Unavailable]) -> Handover:
    """At once: all that can be given on, or none. `/handovers/{id}/undo` takes it back."""
    with parts.db() as db, write_tx(db) as tx:
        done = handover.unavailable(tx, code, data.to, now=parts.now(), who=parts.who)
    return tell(parts, done)


@post(
    "/drivers/{code:str}/available",
    sync_to_thread=True,
    status_code=200,
    summary="A driver can be given trips again",
    responses=REFUSED,
)
def driver_available(parts: Given, code: FromPath[str]) -> Available:
    with parts.db() as db, write_tx(db) as tx:
        handover.available(tx, code, now=parts.now(), who=parts.who)
    return Available(code=code)


@post(
    "/handovers/{handover_id:int}/undo",
    sync_to_thread=True,
    status_code=200,
    summary="The driver is available again and has the trips back",
    responses=REFUSED,
)
def undo_handover(parts: Given, handover_id: FromPath[int]) -> Handover:
    with parts.db() as db, write_tx(db) as tx:
        done = handover.undo(tx, handover_id, now=parts.now(), who=parts.who)
    return tell(parts, done)


def tell(parts: Parts, done: HandedOver) -> Handover:
    """What follows, after the commit."""
    parts.sender.send(done.jobs)
    parts.publisher.publish(*done.events)
    return Handover(id=done.id, trips=done.trips, left=done.left)


HANDLERS: list[Any] = [driver_unavailable, driver_available, undo_handover]
