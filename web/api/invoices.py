"""`/api/v1/invoices`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter, RequestBody
from msgspec import Meta, Struct

from appliance import accounts_export, credit_desk, invoice_desk, reminders
from appliance.domain.invoice import Bucket, due_between
from appliance.errors import NotFound
from appliance.events import Event
from appliance.storage import credit_notes, ledger
from appliance.storage.db import Row, Tx, write_tx
from web import names
from web.api.answers import CreditNote, Invoice, InvoiceLine, InvoiceState, InvoiceWithLines, Page, Payment, make
from web.api.trips import Limit, Offset
from web.lists import Search
from web.parts import Given, Parts
from web.problems import Problem

Delivery = Literal["mailed", "print", "printed", "none"]
OfPayer = Annotated[int | None, QueryParameter(name="payer", ge=1, le=2**53)]
Since = Annotated[date, QueryParameter(description="the first day, in the depot's zone")]
Until = Annotated[date, QueryParameter(description="the last day")]
ByAging = Annotated[Bucket | None, QueryParameter(name="aging")]
ByState = Annotated[InvoiceState | None, QueryParameter(name="state")]


class NewPayment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Minor units, and the day of the payment, today by default. With `overpaid` it may be more than is owed. A `key`
    that the program chooses makes it safe to send twice: the same one again is the same payment."""

    amount_cents: Annotated[int, Meta(gt=-1_000_000_000_000, lt=1_000_000_000_000)]
    paid_on: date | None = None
    reference: Annotated[str, Meta(max_length=100)] = ""
    overpaid: bool = False
    key: Annotated[str, Meta(max_length=100)] = ""


class Dispute(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the payer says."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class Credit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of an invoice is taken back, in minor units with the tax in it, and why."""

    amount_cents: Annotated[int, Meta(ge=1, lt=1_000_000_000_000)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


class Aging(Struct, frozen=True, kw_only=True):
    """Unpaid invoices by days past the due date: `current`, `1-30`, `31-60`, `61-90`, `90+`."""

    days: str
    invoices: int
    owed_cents: int


class Voiding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an invoice becomes void, and whether the trip gets another one."""

    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    replace: bool = False


@get("/invoices", sync_to_thread=True, summary="Invoices, newest first")
def list_invoices(
    parts: Given,
    with_state: ByState = None,
    delivery: FromQuery[Delivery | None] = None,
    payer: OfPayer = None,
    aging: ByAging = None,
    q: Search = "",
    limit: Limit = 100,
    offset: Offset = 0,
) -> Page[Invoice]:
    """`delivery=print` is the print list, `none` what has not gone out (yet). `aging` has unpaid ones only, the longest
    overdue first. `q` stands in the number, begins the trip's ref, or stands in the name of a broker or a facility."""
    which = ledger.Which(state=with_state, delivery=delivery, payer_id=payer, due=due_of(parts, aging), q=q.strip())
    with parts.db() as db:
        found, total = ledger.invoices(db, which, limit, offset)
    return Page([make(Invoice, _shown(parts, row)) for row in found], total)


@get("/invoices/{invoice_id:int}", sync_to_thread=True, summary="One invoice with its lines")
def get_invoice(parts: Given, invoice_id: FromPath[int]) -> InvoiceWithLines:
    return read(parts, invoice_id)


@get(
    "/invoices/{invoice_id:int}/pdf",
    sync_to_thread=True,
    media_type="application/pdf",
    summary="The invoice as PDF, the same at every call; without patients' names for who may not see them",
)
def invoice_as_pdf(parts: Given, invoice_id: FromPath[int]) -> Response[bytes]:
    from appliance import invoice_pdf  # here: what draws takes 30 MB, and most of the time nobody asks

    with parts.db() as db:
        found, row = ledger.invoice_document(db, invoice_id), ledger.invoice(db, invoice_id)
    if found is None or row is None:
        raise unknown(invoice_id)
    number, document = found
    headers = {"Content-Disposition": f'inline; filename="{number}.pdf"'}
    return Response(
        invoice_pdf.render(names.of_document(parts, json.loads(document), row["payer_kind"])),
        media_type="application/pdf",
        headers=headers,
    )


@get(
    "/invoices/export",
    sync_to_thread=True,
    media_type="text/csv",
    summary="What was invoiced, as CSV for the accounts",
)
def export_invoices(parts: Given, since: Since, until: Until) -> Response[str]:
    """A row a booking: an invoice on its day, and what takes it back (`void`, `credit`) as a row of its own below zero
    on the day of that. A month that was exported does not change any more, but for `state`, `paid`, `credited` and
    `balance`, which are of now."""
    with parts.db() as db:
        found = accounts_export.rows(db, parts.settings, since, until, lambda row: names.of_payer(parts, row))
        text = accounts_export.text(found)
    file = f"{parts.settings.depot.code}-{since}-{until}.csv"
    return Response(
        text, media_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{file}"'}
    )


@post(
    "/invoices/{invoice_id:int}/credit-notes",
    sync_to_thread=True,
    summary="Take back a part of an invoice, or all of it, by a credit note",
    responses={409: ResponseSpec(Problem, description="It is void, or credited in whole")},
)
def credit_invoice(parts: Given, invoice_id: FromPath[int], data: RequestBody[Credit]) -> InvoiceWithLines:
    """The invoice stays as it is; what is owed on it is less. The credit note has a number of its own, and goes out as
    an invoice does."""
    with parts.db() as db, write_tx(db) as tx:
        _, asks, events = credit_desk.issue(
            tx, invoice_id, data.amount_cents, data.reason, parts.settings, who=parts.who, now=parts.now()
        )
    parts.sender.send(asks)
    parts.publisher.publish(*events)
    return read(parts, invoice_id)


@get(
    "/credit-notes/{credit_note_id:int}/pdf",
    sync_to_thread=True,
    media_type="application/pdf",
    summary="The credit note as PDF, the same at every call; without patients' names for who may not see them",
)
def credit_note_as_pdf(parts: Given, credit_note_id: FromPath[int]) -> Response[bytes]:
    from appliance import credit_pdf  # here: what draws takes 30 MB, and most of the time nobody asks

    with parts.db() as db:
        found = credit_notes.get(db, credit_note_id)
        billed = ledger.invoice(db, found["invoice_id"]) if found else None
    if found is None or billed is None:
        raise NotFound("no such credit note", subject=f"credit note {credit_note_id}")
    document = names.of_document(parts, json.loads(found["document"]), billed["payer_kind"])
    headers = {"Content-Disposition": f'inline; filename="{found["number"]}.pdf"'}
    return Response(credit_pdf.render(document), media_type="application/pdf", headers=headers)


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
        asks, events = invoice_desk.void(
            tx, invoice_id, data.reason, replace=data.replace, who=parts.who, now=parts.now()
        )
    parts.sender.send(asks)
    parts.publisher.publish(*events)
    return read(parts, invoice_id)


@post(
    "/invoices/{invoice_id:int}/payments",
    sync_to_thread=True,
    summary="Record a payment, in full or in part",
    responses={409: ResponseSpec(Problem, description="It is void, less is owed, or the key is another payment's")},
)
def add_payment(parts: Given, invoice_id: FromPath[int], data: RequestBody[NewPayment]) -> InvoiceWithLines:
    """A payment that was returned has an amount below zero, and no more than was paid can go back."""
    now = parts.now()
    today = now.astimezone(parts.settings.zone).date()

    def record(tx: Tx) -> Event:
        return invoice_desk.pay(
            tx, invoice_id, data.amount_cents, data.paid_on or today, data.reference, parts.who, now,
            today=today, overpaid=data.overpaid, key=data.key,
        )  # fmt: skip

    return _decide(parts, invoice_id, record)


@post(
    "/invoices/{invoice_id:int}/dispute",
    sync_to_thread=True,
    status_code=200,
    summary="The payer disputes it: reminders stop",
    responses={409: ResponseSpec(Problem, description="It is not open")},
)
def dispute_invoice(parts: Given, invoice_id: FromPath[int], data: RequestBody[Dispute]) -> InvoiceWithLines:
    return _decide(
        parts, invoice_id, lambda tx: invoice_desk.dispute(tx, invoice_id, data.reason, parts.who, parts.now())
    )


@post(
    "/invoices/{invoice_id:int}/settle",
    sync_to_thread=True,
    status_code=200,
    summary="The dispute is over",
    responses={409: ResponseSpec(Problem, description="It is not disputed")},
)
def settle_invoice(parts: Given, invoice_id: FromPath[int]) -> InvoiceWithLines:
    return _decide(parts, invoice_id, lambda tx: invoice_desk.settle(tx, invoice_id, parts.who, parts.now()))


@post(
    "/invoices/{invoice_id:int}/send",
    sync_to_thread=True,
    status_code=202,
    summary="Mail it, or put it on the print list; once more where it went out before",
    responses={409: ResponseSpec(Problem, description="It waits to be printed, or it is void")},
)
def send_invoice(parts: Given, invoice_id: FromPath[int]) -> InvoiceWithLines:
    with parts.db() as db, write_tx(db) as tx:
        ask = invoice_desk.send(tx, invoice_id, parts.who, parts.now())
    parts.sender.send([ask])
    return read(parts, invoice_id)


@get("/invoices/aging", sync_to_thread=True, summary="What is owed, by days past the due date")
def aging(parts: Given) -> Page[Aging]:
    with parts.db() as db:
        found = reminders.aging(db, parts.settings, parts.now())
    rows = [Aging(days=bucket.value, invoices=count, owed_cents=cents) for bucket, (count, cents) in found.items()]
    return Page(rows, len(rows))


def _decide(parts: Parts, invoice_id: int, decide: Callable[[Tx], Event]) -> InvoiceWithLines:
    with parts.db() as db, write_tx(db) as tx:
        event = decide(tx)
    parts.publisher.publish(event)
    return read(parts, invoice_id)


def read(parts: Parts, invoice_id: int) -> InvoiceWithLines:
    """The invoice as it stands now. Raises NotFound."""
    with parts.db() as db:
        row = ledger.invoice(db, invoice_id)
        if row is None:
            raise unknown(invoice_id)
        return make(
            InvoiceWithLines,
            _shown(parts, row),
            lines=[make(InvoiceLine, found) for found in ledger.invoice_lines(db, invoice_id)],
            payments=[
                make(Payment, names.hide(parts, found, "reference")) for found in ledger.payments(db, invoice_id)
            ],
            credit_notes=[
                make(CreditNote, names.hide(parts, found, "reason"))
                for found in credit_notes.of_invoice(db, invoice_id)
            ],
        )


def due_of(parts: Parts, bucket: Bucket | None) -> tuple[date, date] | None:
    """The due dates of a column of the aging list, today."""
    return due_between(bucket, parts.now().astimezone(parts.settings.zone).date()) if bucket else None


def unknown(invoice_id: int) -> NotFound:
    return NotFound("no such invoice", subject=f"invoice {invoice_id}")


def _shown(parts: Parts, row: Row) -> Row:
    """Without the patient who pays, and without what was typed for who may see no names."""
    return names.hide(parts, row, "void_reason") | ({"payer": None} if row["payer_kind"] == "patient" else {})


HANDLERS: list[Any] = [
    list_invoices, get_invoice, invoice_as_pdf, credit_note_as_pdf, aging, export_invoices,
    void_invoice, credit_invoice, add_payment, dispute_invoice, settle_invoice, send_invoice,
]  # fmt: skip
