"""`/api/v1/invoices`."""

from __future__ import annotations

import json
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter, RequestBody
from msgspec import Meta, Struct

from appliance import invoice_desk, invoice_pdf
from appliance.errors import NotFound
from appliance.storage import board
from appliance.storage.db import Row, write_tx
from web.api.answers import Invoice, InvoiceLine, InvoiceState, InvoiceWithLines, Page, make
from web.api.trips import Limit, Offset
from web.parts import WHO, Given, Parts
from web.problems import Problem

ByState = Annotated[InvoiceState | None, QueryParameter(name="state")]


class Voiding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an invoice becomes void, and whether the trip gets another one."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    replace: bool = False


@get("/invoices", sync_to_thread=True, summary="Invoices, newest first")
def list_invoices(parts: Given, with_state: ByState = None, limit: Limit = 100, offset: Offset = 0) -> Page[Invoice]:
    with parts.db() as db:
        found, total = board.invoices(db, with_state, limit, offset)
    return Page([make(Invoice, _without_patient(row)) for row in found], total)


@get("/invoices/{invoice_id:int}", sync_to_thread=True, summary="One invoice with its lines")
def get_invoice(parts: Given, invoice_id: FromPath[int]) -> InvoiceWithLines:
    return read(parts, invoice_id)


@get(
    "/invoices/{invoice_id:int}/pdf",
    sync_to_thread=True,
    media_type="application/pdf",
    summary="The invoice as PDF, the same at every call",
)
def invoice_as_pdf(parts: Given, invoice_id: FromPath[int]) -> Response[bytes]:
    with parts.db() as db:
        found = board.invoice_document(db, invoice_id)
    if found is None:
        raise unknown(invoice_id)
    number, document = found
    headers = {"Content-Disposition": f'inline; filename="{number}.pdf"'}
    return Response(invoice_pdf.render(json.loads(document)), media_type="application/pdf", headers=headers)


@post(
    "/invoices/{invoice_id:int}/void",
    sync_to_thread=True,
    status_code=200,
    summary="Make an invoice void, and ask for one that replaces it",
    responses={409: ResponseSpec(Problem, description="It is void already, or something was paid on it")},
)
def void_invoice(parts: Given, invoice_id: FromPath[int], data: RequestBody[Voiding]) -> InvoiceWithLines:
    """Its number stays taken. The next invoice of the trip names it; without `replace` there is none until a person
    asks for one (`POST /trips/{id}/invoice`)."""
    with parts.db() as db, write_tx(db) as tx:
        asks, events = invoice_desk.void(tx, invoice_id, data.reason, replace=data.replace, who=WHO, now=parts.now())
    parts.sender.send(asks)
    parts.publisher.publish(*events)
    return read(parts, invoice_id)


def read(parts: Parts, invoice_id: int) -> InvoiceWithLines:
    """The invoice as it stands now. Raises NotFound."""
    with parts.db() as db:
        row = board.invoice(db, invoice_id)
        if row is None:
            raise unknown(invoice_id)
        lines = [make(InvoiceLine, found) for found in board.invoice_lines(db, invoice_id)]
    return make(InvoiceWithLines, _without_patient(row), lines=lines)


def unknown(invoice_id: int) -> NotFound:
    return NotFound("no such invoice", subject=f"invoice {invoice_id}")


def _without_patient(row: Row) -> Row:
    return {**row, "payer": None} if row["payer_kind"] == "patient" else row


HANDLERS: list[Any] = [list_invoices, get_invoice, invoice_as_pdf, void_invoice]
