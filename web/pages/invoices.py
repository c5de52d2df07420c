"""`/invoices`: the list with its aging, what is not billed and why, adjustments, and the print list."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, QueryParameter
from litestar.response import Template

from appliance import invoice_desk, print_desk, reminders
from appliance.domain.invoice import AdjustmentState, Bucket, State, minor_units, money
from appliance.errors import DepotError, InputError
from appliance.storage import adjustments, ledger, payers, times
from appliance.storage.db import Row, write_tx
from web import cards, names
from web.api.answers import InvoiceState
from web.api.invoices import Delivery, due_of
from web.api.print_list import one_file
from web.forms import Form, refused
from web.lists import ROWS, Listing, PageNumber, Search, offset
from web.pages import shell
from web.parts import Given, Parts

Fields = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
ByState = Annotated[InvoiceState | Literal[""], QueryParameter(name="state")]
ByDelivery = Annotated[Delivery | Literal[""], QueryParameter(name="delivery")]
ByAging = Annotated[Literal["", "current", "1-30", "31-60", "61-90", "90+"], QueryParameter(name="aging")]
ByPayer = Annotated[str, QueryParameter(name="payer", pattern="^[0-9]{0,15}$")]
ByReason = Annotated[str, QueryParameter(name="reason", max_length=40)]
AdjustmentsBy = Annotated[Literal["", "all", "open", "accepted", "dismissed", "lapsed"], QueryParameter(name="state")]

BUCKET_TITLES = {
    Bucket.current: "Not due yet",
    Bucket.days_1_30: "1 to 30 days",
    Bucket.days_31_60: "31 to 60 days",
    Bucket.days_61_90: "61 to 90 days",
    Bucket.over_90: "Over 90 days",
}
DELIVERY_TITLES = {
    "mailed": "Mailed",
    "print": "On the print list",
    "printed": "Printed",
    "none": "Not gone out yet",
}
REASONS = {
    "waiting": ("On its way", "Comes by itself: its trail settles, or its job has not run yet."),
    "not_released": ("Waits for release", "Look at the trip, and release it."),
    "no_payer": ("No payer", "Say on the trip who pays; where the patient does, add the patient as a payer."),
    "no_rate": ("No rate", "Add a rate for this level of service and day."),
    "no_distance": ("No distance", "Look at the trip: its rate has a price for distance, and nothing was measured."),
    "implausible_times": (
        "Times cannot be",
        "Look at the trip: a wait or ride of more than a day is a wrong date. Correct it.",
    ),
    "issuer_incomplete": ("Depot's details missing", "Enter name, address, tax id and bank details of the depot."),
    "clock_untrusted": ("Clock not trusted", "See the page System: nothing is dated before."),
    "not_recovered": ("After a restore", "See the page Central office: it must say first what was billed already."),
    "not_finished": ("Not finished", "Look at the trip: it is neither completed nor a no-show any more."),
    "voided": ("Invoice void", "Bill it anew, or leave it."),
    "job_failed": ("Failed", "The page Work says why; then ask again."),
    "job_discarded": ("Given up", "Ask again."),
}
"""Why a trip is not billed, in words, and what a person does about it."""
ASKED_AGAIN = frozenset({"voided", "job_failed", "job_discarded"})


@get("/invoices", sync_to_thread=True, include_in_schema=False)
def invoices_page(
    parts: Given,
    page: PageNumber = 1,
    with_state: ByState = "",
    delivery: ByDelivery = "",
    aging: ByAging = "",
    of_payer: ByPayer = "",
    q: Search = "",
) -> Template:
    bucket = Bucket(aging) if aging else None
    which = ledger.Which(
        state=with_state or None,
        delivery=delivery or None,
        payer_id=int(of_payer) if of_payer else None,
        due=due_of(parts, bucket),
        q=q.strip(),
    )
    now = parts.now()
    with parts.db() as db:
        found, total = ledger.invoices(db, which, ROWS, offset(page))
        owed = reminders.aging(db, parts.settings, now)
        counts = ledger.counts(db)
        options = [(row["id"], row["name"]) for row in payers.listed(db, limit=500) if row["kind"] != "patient"]
    filters = (("state", with_state), ("delivery", delivery), ("aging", aging), ("payer", of_payer), ("q", q.strip()))
    today = now.astimezone(parts.settings.zone).date()
    last_month = today.replace(day=1) - timedelta(days=1)
    return shell.page(
        parts,
        "invoices.html",
        here="/invoices",
        listing=Listing("/invoices", [shown(parts, row, today) for row in found], total, page, filters),
        states=[state.value for state in State],
        counts=counts,
        buckets=_buckets(parts, owed),
        owed_cents=sum(cents for _, cents in owed.values()),
        owed=money(sum(cents for _, cents in owed.values()), parts.settings.depot.currency),
        payer_options=options,
        delivery_options=list(DELIVERY_TITLES.items()),
        export=(last_month.replace(day=1).isoformat(), last_month.isoformat()),
    )


@get("/invoices/unbilled", sync_to_thread=True, include_in_schema=False)
def unbilled_page(parts: Given, page: PageNumber = 1, reason: ByReason = "") -> Template:
    return _unbilled(parts, page=page, reason=reason)


@post("/invoices/unbilled/{trip_id:int}/release", sync_to_thread=True, status_code=200, include_in_schema=False)
def unbilled_release(parts: Given, trip_id: FromPath[int]) -> Template:
    try:
        with parts.db() as db, write_tx(db) as tx:
            ask = invoice_desk.release(tx, trip_id, parts.who, parts.now())
    except DepotError as error:
        return _unbilled(parts, form=refused(f"trip-{trip_id}", {}, error))
    if ask:
        parts.sender.send([ask])
    return _unbilled(parts, done=f"Trip {trip_id} is released; its invoice follows within seconds.")


@post("/invoices/unbilled/release", sync_to_thread=True, status_code=200, include_in_schema=False)
def unbilled_release_all(parts: Given, data: Fields) -> Template:
    """Releases the trips that the page showed, and no other."""
    try:
        with parts.db() as db, write_tx(db) as tx:
            asks = [invoice_desk.release(tx, id, parts.who, parts.now()) for id in ids(data.get("trips", ""))]
    except DepotError as error:
        return _unbilled(parts, form=refused("release", {}, error))
    sent = [ask for ask in asks if ask]
    parts.sender.send(sent)
    return _unbilled(parts, done=f"{number(len(sent), 'trip')} released; the invoices follow within seconds.")


@post("/invoices/unbilled/{trip_id:int}/ask", sync_to_thread=True, status_code=200, include_in_schema=False)
def unbilled_ask(parts: Given, trip_id: FromPath[int]) -> Template:
    try:
        with parts.db() as db, write_tx(db) as tx:
            ask = invoice_desk.ask_again(tx, trip_id, parts.who, parts.now())
    except DepotError as error:
        return _unbilled(parts, form=refused(f"trip-{trip_id}", {}, error))
    parts.sender.send([ask])
    return _unbilled(parts, done=f"The invoice of trip {trip_id} is asked for.")


@get("/invoices/adjustments", sync_to_thread=True, include_in_schema=False)
def adjustments_page(parts: Given, page: PageNumber = 1, with_state: AdjustmentsBy = "") -> Template:
    return _adjustments(parts, page=page, state=with_state)


@post(
    "/invoices/adjustments/{adjustment_id:int}/{verb:str}",
    sync_to_thread=True,
    status_code=200,
    include_in_schema=False,
)
def adjustment_decide(
    parts: Given, adjustment_id: FromPath[int], verb: FromPath[Literal["accept", "dismiss"]], data: Fields
) -> Template:
    """At the price that the page showed: fixes that came since may have changed it."""
    seen = data.get("seen", "")
    try:
        if not seen.removeprefix("-").isdecimal() or len(seen) > 15:
            raise InputError("expected the price that the page showed", subject=f"adjustment {adjustment_id}")
        with parts.db() as db, write_tx(db) as tx:
            if verb == "accept":
                asks, events = invoice_desk.accept_adjustment(tx, adjustment_id, int(seen), parts.who, parts.now())
            else:
                asks = []
                events = [invoice_desk.dismiss_adjustment(tx, adjustment_id, int(seen), parts.who, parts.now())]
    except DepotError as error:
        return _adjustments(parts, form=refused(f"adjustment-{adjustment_id}", {}, error))
    parts.sender.send(asks)
    parts.publisher.publish(*events)
    of_number = events[0].data["number"]
    if verb == "accept":
        return _adjustments(parts, done=f"{of_number} is void; the trip is billed anew within seconds.")
    return _adjustments(parts, done=f"{of_number} stays as it is.")


@get("/invoices/print", sync_to_thread=True, include_in_schema=False)
def print_page(parts: Given) -> Template:
    return _print(parts)


@get("/invoices/print.pdf", sync_to_thread=True, include_in_schema=False, media_type="application/pdf")
def print_file(parts: Given) -> Response[bytes]:
    return one_file(parts)


@post("/invoices/print/done", sync_to_thread=True, status_code=200, include_in_schema=False)
def print_mark(parts: Given, data: Fields) -> Template:
    """Marks what the page showed, and nothing that came since."""
    try:
        with parts.db() as db, write_tx(db) as tx:
            of_invoices, of_credits = ids(data.get("invoices", "")), ids(data.get("credit_notes", ""))
            count = print_desk.mark_printed(tx, of_invoices, of_credits, parts.who, parts.now())
    except DepotError as error:
        return _print(parts, form=refused("printed", {}, error))
    return _print(parts, done=f"{number(count, 'letter')} left the list.")


def shown(parts: Parts, row: Row, today: date) -> Row:
    """An invoice as lists show it: amounts and days as text, how long it is overdue, the payer as the caller may see
    it."""
    currency = row["currency"]
    overdue = (today - times.day(row["due_on"])).days if row["state"] == "issued" and row["owed_cents"] > 0 else 0
    return {
        **row,
        "payer": names.of_payer(parts, row),
        "total": money(row["total_cents"], currency),
        "owed": money(row["owed_cents"], currency) if row["state"] != "void" and row["owed_cents"] else "",
        "issued": short_day(row["issued_on"]),
        "due": short_day(row["due_on"]),
        "overdue_days": max(overdue, 0),
        "went": _went(row),
    }


def short_day(iso: str | date) -> str:
    """`26 Jan 2026`."""
    day = date.fromisoformat(iso[:10]) if isinstance(iso, str) else iso
    return f"{day.day} {day:%b} {day.year}"


def ids(text: str) -> list[int]:
    """The numbers in `1,2,3`, as a form of ours sends them. Raises InputError for anything else."""
    found = [part for part in text.split(",") if part]
    if len(found) > ROWS * 10 or not all(part.isascii() and part.isdecimal() and len(part) < 16 for part in found):
        raise InputError("expected numbers", subject="selection")
    return [int(part) for part in found]


def cents(typed: dict[str, str], field: str, currency: str, otherwise: int | None = None) -> int:
    """The amount in a field, in minor units; `otherwise` where it is empty. Raises InputError that names the field."""
    text = typed.get(field, "")
    if not text and otherwise is not None:
        return otherwise
    try:
        return minor_units(text, currency)
    except InputError as error:
        raise InputError(error.what, subject=field) from error


def plain(amount: int, currency: str) -> str:
    """As a person types it: without the currency, and without commas."""
    return money(amount, currency).removeprefix(f"{currency} ").replace(",", "")


def day(typed: dict[str, str], field: str) -> date | None:
    """The day in a field, None where it is empty. Raises InputError that names the field."""
    if not typed.get(field):
        return None
    try:
        return date.fromisoformat(typed[field])
    except ValueError:
        raise InputError("expected a day like 2026-03-01", subject=field) from None


def trimmed(data: dict[str, str]) -> dict[str, str]:
    """What was typed, without spaces around it and no longer than any field may be."""
    return {field: text.strip()[:500] for field, text in data.items()}


def number(count: int, noun: str) -> str:
    """`1 trip`, `1,200 trips`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _went(row: Row) -> str:
    """How it reached its payer."""
    if row["state"] == "void":
        return ""
    for column, said in (("sent_at", "mailed"), ("printed_at", "printed"), ("print_listed_at", "on the print list")):
        if row[column]:
            return said
    return "not gone out yet"


def _buckets(parts: Parts, owed: dict[Bucket, tuple[int, int]]) -> list[dict[str, Any]]:
    """The bars of the aging: the longest is as wide as there is room."""
    most = max(1, *(amount for _, amount in owed.values()))
    return [
        {
            "name": bucket.value,
            "title": BUCKET_TITLES[bucket],
            "invoices": number(count, "invoice"),
            "owed": money(amount, parts.settings.depot.currency),
            "width": max(round(100 * amount / most, 1), 0.6) if amount else 0,
        }
        for bucket, (count, amount) in owed.items()
    ]


def _unbilled(parts: Parts, *, page: int = 1, reason: str = "", done: str = "", form: Form | None = None) -> Template:
    now, zone = parts.now(), parts.settings.zone
    with parts.db() as db:
        found = invoice_desk.unbilled(db, parts.settings)
    counts = Counter(row["reason"] for row in found)
    chosen = [row for row in found if not reason or row["reason"] == reason]
    rows = [
        {
            **row,
            "ended": cards.moment(times.parse(row["ended_at"]), now, zone),
            "title": REASONS.get(row["reason"], (row["reason"].replace("_", " "), ""))[0],
            "next": REASONS.get(row["reason"], ("", "Look at the trip."))[1],
            "ask": row["reason"] in ASKED_AGAIN,
            "state_title": cards.STATE_TITLES[row["state"]],
        }
        for row in chosen[offset(page) : offset(page) + ROWS]
    ]
    return shell.page(
        parts,
        "invoices_unbilled.html",
        here="/invoices",
        done=done,
        form=form,
        listing=Listing("/invoices/unbilled", rows, len(chosen), page, (("reason", reason),)),
        reasons=[(name, title, counts[name]) for name, (title, _) in REASONS.items() if counts[name]],
        total=len(found),
        releasable=",".join(str(row["id"]) for row in rows if row["reason"] == "not_released"),
    )


def _adjustments(parts: Parts, *, page: int = 1, state: str = "", done: str = "", form: Form | None = None) -> Template:
    now, zone = parts.now(), parts.settings.zone
    chosen = "" if state == "all" else state or AdjustmentState.open.value
    with parts.db() as db:
        found, total = adjustments.page(db, chosen or None, ROWS, offset(page))
    rows = [
        {
            **row,
            "raised": cards.moment(times.parse(row["raised_at"]), now, zone),
            "decided": cards.moment(times.parse(row["decided_at"]), now, zone) if row["decided_at"] else None,
            "old_price": money(row["old_total_cents"], row["currency"]),
            "new_price": money(row["new_total_cents"], row["currency"]),
            "more": _more(row),
            "old_distance": cards.distance(row["old_distance_m"], parts.settings.depot.units),
            "new_distance": cards.distance(row["new_distance_m"], parts.settings.depot.units),
        }
        for row in found
    ]
    return shell.page(
        parts,
        "invoices_adjustments.html",
        here="/invoices",
        done=done,
        form=form,
        listing=Listing("/invoices/adjustments", rows, total, page, (("state", state),)),
        states=[each.value for each in AdjustmentState],
        chosen=chosen,
    )


def _more(row: Row) -> str:
    change = row["new_total_cents"] - row["old_total_cents"]
    said = money(abs(change), row["currency"])
    return f"{said} {'more' if change > 0 else 'less'}"


def _print(parts: Parts, *, done: str = "", form: Form | None = None) -> Template:
    with parts.db() as db:
        found, total = print_desk.waiting(db)
    rows = [
        {
            **row,
            "payer": names.of_payer(parts, row),
            "issued": short_day(row["issued_on"]),
            "amount": money(row["cents"], row["currency"]),
        }
        for row in found
    ]
    chosen = {kind: ",".join(str(row["id"]) for row in rows if row["kind"] == kind) for kind in ("invoice", "credit")}
    return shell.page(
        parts,
        "invoices_print.html",
        here="/invoices",
        done=done,
        form=form,
        listing=Listing("/invoices/print", rows, total),
        chosen=chosen,
    )


HANDLERS: list[Any] = [
    invoices_page, unbilled_page, unbilled_release, unbilled_release_all, unbilled_ask, adjustments_page,
    adjustment_decide, print_page, print_file, print_mark,
]  # fmt: skip
