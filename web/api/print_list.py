"""`/api/v1/print-list`: invoices and credit notes of payers who get paper."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from litestar import Response, get, post
from litestar.params import RequestBody
from msgspec import Meta, Struct

from appliance import print_desk
from appliance.storage.db import Row, write_tx
from web import names
from web.api.answers import Page, make
from web.parts import Given, Parts

Ids = Annotated[list[int], Meta(max_length=print_desk.AT_ONCE)]


class Paper(Struct, frozen=True, kw_only=True):
    """What waits to be printed: an invoice, or a credit note, whose amount is below zero. `payer` is null where the
    patient pays."""

    kind: Literal["invoice", "credit"]
    id: int
    number: str
    invoice_id: int
    issued_on: date
    payer: str | None
    payer_kind: str
    cents: int
    currency: str


class Printed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ids of what was printed."""

    invoices: Ids = []
    credit_notes: Ids = []


class Marked(Struct, frozen=True):
    """How many left the list."""

    printed: int


@get("/print-list", sync_to_thread=True, summary="What waits to be printed, the oldest first, 100 at most")
def print_list(parts: Given) -> Page[Paper]:
    with parts.db() as db:
        found, total = print_desk.waiting(db)
    return Page([make(Paper, _without_patient(row)) for row in found], total)


@get("/print-list/pdf", sync_to_thread=True, media_type="application/pdf", summary="All of the list as one file")
def print_list_as_pdf(parts: Given) -> Response[bytes]:
    return one_file(parts)


@post("/print-list/printed", sync_to_thread=True, status_code=200, summary="These were printed: they leave the list")
def mark_printed(parts: Given, data: RequestBody[Printed]) -> Marked:
    with parts.db() as db, write_tx(db) as tx:
        count = print_desk.mark_printed(tx, data.invoices, data.credit_notes, parts.who, parts.now())
    return Marked(count)


def one_file(parts: Parts) -> Response[bytes]:
    """The list as a PDF."""
    with parts.db() as db:
        found, _ = print_desk.waiting(db)
    pdf = print_desk.pdf(found, lambda document, kind: names.of_document(parts, document, kind), parts.now())
    headers = {"Content-Disposition": 'inline; filename="print-list.pdf"'}
    return Response(pdf, media_type="application/pdf", headers=headers)


def _without_patient(row: Row) -> Row:
    return {**row, "payer": None} if row["payer_kind"] == "patient" else row


HANDLERS: list[Any] = [print_list, print_list_as_pdf, mark_printed]
