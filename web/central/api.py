"""The API for the accounting system, under /api/v1. A program asks with `Authorization: Bearer TOKEN`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, TypeVar

from litestar import Request, Router, get, post
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, QueryParameter, RequestBody
from litestar.response import Stream

from appliance.central import enrol, ledger, payments, tokens
from appliance.central.db import read, write_tx
from appliance.central.ledger import Name, Which
from appliance.central.tokens import Token
from appliance.errors import InputError
from web.central import answers
from web.central.answers import Page
from web.central.parts import Centre, Given

Item = TypeVar("Item")
AnyRequest = Request[Any, Any, Any]
By = NamedDependency[Token]

Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
After = Annotated[str, QueryParameter(max_length=100, description="the `next` of an answer; empty: from the beginning")]
Depot = Annotated[str | None, QueryParameter(name="depot", max_length=8)]
First = Annotated[date | None, QueryParameter(name="from", description="first day")]
Last = Annotated[date | None, QueryParameter(name="to", description="last day")]
Number = Annotated[str | None, QueryParameter(name="number", max_length=64, description="of an invoice")]
_ULID = 26


async def guard(request: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Before anything else of a request, also where its handler does not care who asks. Raises HTTPException: 401
    without a token that counts, 403 for a change with one that reads."""
    request.scope["auth"] = await sync_to_thread(
        _asking, request.app.state.centre, request.headers.get("authorization", ""), str(request.scope.get("method"))
    )


def asking(request: AnyRequest) -> Token:
    found: Token = request.auth
    return found


def _asking(centre: Centre, header: str, method: str) -> Token:
    kind, _, given = header.partition(" ")
    now = centre.now()
    found = None
    if kind.lower() == "bearer" and given:
        with read(centre.engine) as db:
            found = tokens.find(db, given.strip(), now)
    if found is None:
        raise HTTPException(
            "send `Authorization: Bearer` with a token that counts",
            status_code=401,
            headers={"WWW-Authenticate": 'Bearer realm="depotbox"'},
        )
    if method not in ("GET", "HEAD") and found.scope != "write":
        raise HTTPException("a token of scope read may not do this", status_code=403)
    if tokens.should_note(found, now):
        with write_tx(centre.engine) as tx:
            tokens.note(tx, found, now)
    return found


def _list(centre: Centre, name: Name, kind: type[Item], which: Which, after: str, limit: int) -> Page[Item]:
    with read(centre.engine) as db:
        found, next, more = ledger.page(db, name, which, after, limit)
    return Page([answers.of(kind, one) for one in found], next, more)


@get("/invoices", sync_to_thread=True)
def invoices(
    centre: Given, depot: Depot = None, first: First = None, last: Last = None, number: Number = None,
    after: After = "", limit: Limit = 200,
) -> Page[answers.Invoice]:  # fmt: skip
    """Invoices in the order of their last change; days are those of issue."""
    return _list(centre, "invoices", answers.Invoice, Which(depot, first, last, number), after, limit)


@get("/payments", sync_to_thread=True)
def list_payments(
    centre: Given, depot: Depot = None, first: First = None, last: Last = None, number: Number = None,
    after: After = "", limit: Limit = 200,
) -> Page[answers.Payment]:  # fmt: skip
    """Payments of depots and of the centre in the order of their last change; days are those of payment."""
    return _list(centre, "payments", answers.Payment, Which(depot, first, last, number), after, limit)


@get("/credits", sync_to_thread=True)
def credit_notes(
    centre: Given, depot: Depot = None, first: First = None, last: Last = None, after: After = "", limit: Limit = 200
) -> Page[answers.Credit]:
    """Credit notes in the order of their last change; days are those of issue."""
    return _list(centre, "credits", answers.Credit, Which(depot, first, last), after, limit)


@get("/trips", sync_to_thread=True)
def trips(
    centre: Given, depot: Depot = None, first: First = None, last: Last = None, after: After = "", limit: Limit = 200
) -> Page[answers.Trip]:
    """Trips in the order of their last change; days are those of pickup, in UTC."""
    return _list(centre, "trips", answers.Trip, Which(depot, first, last), after, limit)


@get("/export/{name:str}", sync_to_thread=True, media_type="text/csv")
def export(centre: Given, name: FromPath[str], depot: Depot = None, first: First = None, last: Last = None) -> Stream:
    """`invoices.csv`, `payments.csv`, `credits.csv` or `trips.csv`: all of them by depot and day, UTF-8."""
    wanted = name.removesuffix(".csv")
    if wanted not in ("invoices", "payments", "credits", "trips") or wanted == name:
        raise HTTPException("no such file", status_code=404)
    lines = _csv(centre, wanted, Which(depot, first, last))  # type: ignore[arg-type]
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(lines, media_type="text/csv; charset=utf-8", headers=headers)


def _csv(centre: Centre, name: Name, which: Which) -> Iterator[str]:
    written = io.StringIO()
    writer = csv.writer(written)
    headings = ledger.headings(name)
    writer.writerow(headings)
    with read(centre.engine) as db:
        for one in ledger.export(db, name, which):
            writer.writerow([_cell(one[heading]) for heading in headings])
            if written.tell() > 64 * 1024:
                yield written.getvalue()
                written.seek(0)
                written.truncate()
    yield written.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is marked as a text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


@get("/depots", sync_to_thread=True)
def depots(centre: Given) -> list[answers.Depot]:
    with read(centre.engine) as db:
        found = enrol.listed(db, centre.now())
    return [answers.of(answers.Depot, one) for one in found]


@get("/receipts", sync_to_thread=True)
def receipts(
    centre: Given, depot: Depot = None, first: First = None, last: Last = None, after: After = "", limit: Limit = 200
) -> Page[answers.Receipt]:
    """Receipts in the order in which they were made; days are nights."""
    if after and not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise InputError("expected the `next` of an answer", subject="after")
    with read(centre.engine) as db:
        found, more = ledger.receipts_after(db, Which(depot, first, last), int(after or 0), limit)
    return Page([answers.of(answers.Receipt, one) for one in found], str(found[-1]["id"]) if found else after, more)


@post("/payments", sync_to_thread=True)
def record_payment(centre: Given, token: By, data: RequestBody[answers.NewPayment]) -> answers.Recorded:
    """Records a payment; what looks like a double entry is flagged and does not count until a person decides."""
    if data.uid and not (len(data.uid) == _ULID and data.uid.isascii() and data.uid.isalnum()):
        raise InputError("expected a ULID", subject="uid")
    try:
        paid_on = date.fromisoformat(data.paid_on)
    except ValueError as error:
        raise InputError("expected a day like 2026-01-31", subject="paid_on") from error
    given = payments.NewPayment(data.number, data.amount_cents, data.currency, paid_on, data.reference)
    with write_tx(centre.engine) as tx:
        made = payments.record(tx, given, who=token.who, now=centre.now(), uid=data.uid)
    return answers.Recorded(uid=made.uid, flag=made.flag, why=made.why)


@post("/payments/{uid:str}/accept", sync_to_thread=True, status_code=204)
def accept_payment(centre: Given, token: By, uid: FromPath[str]) -> None:
    """A flagged payment counts after all."""
    with write_tx(centre.engine) as tx:
        payments.accept(tx, uid, who=token.who, now=centre.now())


@post("/payments/{uid:str}/dismiss", sync_to_thread=True, status_code=204)
def dismiss_payment(centre: Given, token: By, uid: FromPath[str]) -> None:
    """A flagged payment was a double entry."""
    with write_tx(centre.engine) as tx:
        payments.dismiss(tx, uid, who=token.who, now=centre.now())


@post("/disputes", sync_to_thread=True)
def open_dispute(centre: Given, token: By, data: RequestBody[answers.NewDispute]) -> answers.Dispute:
    """The payer disputes an invoice."""
    with write_tx(centre.engine) as tx:
        made = payments.dispute(tx, data.number, data.reason, who=token.who, now=centre.now())
    return answers.Dispute(uid=made, number=data.number)


@post("/disputes/{number:str}/resolve", sync_to_thread=True, status_code=200)
def resolve_dispute(centre: Given, token: By, number: FromPath[str]) -> answers.Dispute:
    """The invoice is disputed no more."""
    with write_tx(centre.engine) as tx:
        ended = payments.resolve(tx, number, who=token.who, now=centre.now())
    return answers.Dispute(uid=ended, number=number)


HANDLERS: list[Any] = [
    Router(
        "/api/v1",
        route_handlers=[
            invoices, list_payments, credit_notes, trips, export, depots, receipts, record_payment, accept_payment,
            dismiss_payment, open_dispute, resolve_dispute,
        ],
        guards=[guard],
        dependencies={"token": Provide(asking, sync_to_thread=False)},
    )
]  # fmt: skip
