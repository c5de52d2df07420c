"""`/api/v1/invoices`."""

from __future__ import annotations

import json
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from appliance import invoice_pdf
from appliance.errors import NotFound
from appliance.storage import board
from appliance.storage.db import Row
from web.api.answers import Invoice, InvoiceLine, InvoiceState, InvoiceWithLines, Page, make
from web.api.trips import Limit, Offset
from web.parts import Given

ByState = Annotated[InvoiceState | None, QueryParameter(name="state")]


@get("/invoices", sync_to_thread=True, summary="Invoices, newest first")
def list_invoices(parts: Given, with_state: ByState = None, limit: Limit = 100, offset: Offset = 0) -> Page[Invoice]:
    with parts.db() as db:
        found, total = board.invoices(db, with_state, limit, offset)
    return Page([make(Invoice, _without_patient(row)) for row in found], total)


@get("/invoices/{invoice_id:int}", sync_to_thread=True, summary="One invoice with its lines")
def get_invoice(parts: Given, invoice_id: FromPath[int]) -> InvoiceWithLines:
    with parts.db() as db:
        row = board.invoice(db, invoice_id)
        if row is None:
            raise unknown(invoice_id)
        lines = [make(InvoiceLine, found) for found in board.invoice_lines(db, invoice_id)]
    return make(InvoiceWithLines, _without_patient(row), lines=lines)


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


def unknown(invoice_id: int) -> NotFound:
    return NotFound("no such invoice", subject=f"invoice {invoice_id}")


def _without_patient(row: Row) -> Row:
    return {**row, "payer": None} if row["payer_kind"] == "patient" else row


HANDLERS: list[Any] = [list_invoices, get_invoice, invoice_as_pdf]
