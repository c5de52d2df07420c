"""`/payers`: who pays, with what they owe; `/payers/{id}`: one payer, and its rates with their dates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Template

from appliance import payer_desk, rate_desk
from appliance.domain.invoice import money
from appliance.domain.trip import LevelOfService
from appliance.errors import DepotError, InputError
from appliance.jobs import Ask
from appliance.payer_desk import Kind, NewPayer, PayerDetails
from appliance.rate_desk import NewRate
from appliance.storage import ledger, payers
from appliance.storage.db import Row, Tx, write_tx
from web import names
from web.api.payers import of_payer
from web.forms import Form, refused
from web.lists import ROWS, Listing, PageNumber, Search, offset
from web.pages import shell
from web.pages.invoices import Fields, cents, day, number, plain, short_day, trimmed
from web.parts import Given, Parts
from web.typed import version

ByKind = Annotated[Kind | Literal[""], QueryParameter(name="kind")]

KIND_TITLES = {"broker": "Broker", "facility": "Facility", "patient": "Patient"}
DELIVERY_TITLES = {"mail": "By e-mail", "print": "On paper"}
MONEY = ("base", "per_unit", "wait_per_min", "after_hours", "no_show")


@get("/payers", sync_to_thread=True, include_in_schema=False)
def payers_page(parts: Given, page: PageNumber = 1, kind: ByKind = "", q: Search = "") -> Template:
    return _list(parts, page=page, kind=kind, q=q.strip())


@post("/payers/add", sync_to_thread=True, status_code=200, include_in_schema=False)
def payers_add(parts: Given, data: Fields) -> Template:
    typed = trimmed(data)
    try:
        new = NewPayer(kind=_kind(typed), patient_id=_patient(typed), **_details(typed))
        with parts.db() as db, write_tx(db) as tx:
            id, asks = payer_desk.add(tx, new, parts.settings, who=parts.who, now=parts.now())
    except DepotError as error:
        return _list(parts, form=refused("add", typed, error))
    parts.sender.send(asks)
    return _one(parts, id, done="Added. Its rates are missing yet: without them nothing is billed to it.")


@get("/payers/{payer_id:int}", sync_to_thread=True, include_in_schema=False)
def payer_page(parts: Given, payer_id: FromPath[int]) -> Template:
    return _one(parts, payer_id)


@post("/payers/{payer_id:int}/edit", sync_to_thread=True, status_code=200, include_in_schema=False)
def payer_change(parts: Given, payer_id: FromPath[int], data: Fields) -> Template:
    typed = trimmed(data)

    def act(tx: Tx) -> tuple[list[Ask], str]:
        details = PayerDetails(**_details(typed))
        payer_desk.change(tx, payer_id, details, version=version(typed), who=parts.who, now=parts.now())
        return [], "Saved. Invoices that were issued stay as they are."

    return _act(parts, payer_id, "edit", typed, act)


@post("/payers/{payer_id:int}/rates", sync_to_thread=True, status_code=200, include_in_schema=False)
def payer_rate_add(parts: Given, payer_id: FromPath[int], data: Fields) -> Template:
    """A new rate, or new prices from a day on: `of` is the number of the rate that the form stands at."""
    typed = trimmed(data)

    def act(tx: Tx) -> tuple[list[Ask], str]:
        new = _rate(parts, typed)
        _, asks = rate_desk.add(tx, payer_id, new, parts.settings, who=parts.who, now=parts.now())
        said = f", and {number(len(asks), 'trip')} that waited {'is' if len(asks) == 1 else 'are'} billed"
        return asks, f"The rate for {new.level} from {short_day(new.valid_from)} is added{said if asks else ''}."

    of = typed.get("of", "")
    return _act(parts, payer_id, f"new-{of}" if of.isdecimal() else "rate", typed, act)


@post("/payers/{payer_id:int}/rates/{rate_id:int}", sync_to_thread=True, status_code=200, include_in_schema=False)
def payer_rate_correct(parts: Given, payer_id: FromPath[int], rate_id: FromPath[int], data: Fields) -> Template:
    typed = trimmed(data)

    def act(tx: Tx) -> tuple[list[Ask], str]:
        of_payer(tx, payer_id, rate_id)
        new = _rate(parts, typed)
        asks = rate_desk.correct(
            tx, rate_id, new, parts.settings, version=version(typed), who=parts.who, now=parts.now()
        )
        return asks, f"The rate for {new.level} is corrected."

    return _act(parts, payer_id, f"correct-{rate_id}", typed, act)


@post("/payers/{payer_id:int}/rates/{rate_id:int}/end", sync_to_thread=True, status_code=200, include_in_schema=False)
def payer_rate_end(parts: Given, payer_id: FromPath[int], rate_id: FromPath[int], data: Fields) -> Template:
    typed = trimmed(data)

    def act(tx: Tx) -> tuple[list[Ask], str]:
        of_payer(tx, payer_id, rate_id)
        last = day(typed, "valid_to")
        if last is None:
            raise InputError("expected a day like 2026-03-31", subject="valid_to")
        rate_desk.end(tx, rate_id, last, version=version(typed), who=parts.who, now=parts.now())
        return [], f"It ends on {short_day(last)}."

    return _act(parts, payer_id, f"end-{rate_id}", typed, act)


def _act(
    parts: Parts, payer_id: int, form: str, typed: dict[str, str], act: Callable[[Tx], tuple[list[Ask], str]]
) -> Template:
    """Does it, and shows the page with what was done or with the refusal."""
    try:
        with parts.db() as db, write_tx(db) as tx:
            payer_desk.get(tx, payer_id)
            asks, done = act(tx)
    except DepotError as error:
        return _one(parts, payer_id, form=refused(form, typed, error))
    parts.sender.send(asks)
    return _one(parts, payer_id, done=done)


def _kind(typed: dict[str, str]) -> Kind:
    for kind in ("broker", "facility", "patient"):
        if typed.get("kind") == kind:
            return kind
    raise InputError("expected a broker, a facility or a patient", subject="kind")


def _patient(typed: dict[str, str]) -> int | None:
    given = typed.get("patient", "")
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 16):
        raise InputError("expected the number of a patient", subject="patient")
    return int(given)


def _details(typed: dict[str, str]) -> dict[str, Any]:
    """What the form gives of a payer; a field that is not in it, or a name or term that is empty, stays as it is."""
    found: dict[str, Any] = {field: typed[field] for field in ("address", "email") if field in typed}
    if typed.get("name"):
        found["name"] = typed["name"]
    if typed.get("delivery") in DELIVERY_TITLES:
        found["delivery"] = typed["delivery"]
    terms = typed.get("terms_days", "")
    if terms:
        if not (terms.isascii() and terms.isdecimal() and len(terms) < 6):
            raise InputError("expected 0 to 365 days", subject="terms_days")
        found["terms_days"] = int(terms)
    return found


def _rate(parts: Parts, typed: dict[str, str]) -> NewRate:
    """What the form gives of a rate; amounts as people type them. Raises InputError that names the field."""
    currency = parts.settings.depot.currency
    if typed.get("level") not in list(LevelOfService):
        raise InputError("expected a level of service", subject="level")
    first, last = day(typed, "valid_from"), day(typed, "valid_to")
    if first is None:
        raise InputError("expected the first day, like 2026-03-01", subject="valid_from")
    given: dict[str, Any] = {"level": typed["level"], "valid_from": first, "valid_to": last}
    for name in MONEY:
        given[f"{name}_cents"] = cents(typed, name, currency, None if name == "base" else 0)
    for name in ("free_units", "free_wait_min"):
        given[name] = float(_number(typed, name, 100_000))
    given["tax_bp"] = int((_number(typed, "tax", 100) * 100).to_integral_value())
    given |= {name: typed[name] for name in ("after_hours_from", "after_hours_to", "unit") if typed.get(name)}
    try:
        return msgspec.convert(given, NewRate)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        field = where.rstrip("`").removesuffix("_cents")
        raise InputError(what[:1].lower() + what[1:], subject=field if field in typed else "rate") from error


def _number(typed: dict[str, str], field: str, most: int) -> Decimal:
    text = typed.get(field, "") or "0"
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or not 0 <= found <= most:
        raise InputError(f"expected a number from 0 to {most:,}", subject=field)
    return found


def _list(
    parts: Parts, *, page: int = 1, kind: str = "", q: str = "", done: str = "", form: Form | None = None
) -> Template:
    with parts.db() as db:
        found = payers.listed(db, kind or None, q, ROWS, offset(page))
        total = payers.count(db, kind or None, q)
        owed = ledger.owed_by_payer(db)
    currency = parts.settings.depot.currency
    rows = [
        {
            **row,
            "name": _name(parts, row),
            "kind_title": KIND_TITLES[row["kind"]],
            "delivery_title": DELIVERY_TITLES[row["delivery"]],
            "open": owed.get(row["id"], (0, 0))[0],
            "owed": money(owed[row["id"]][1], currency) if row["id"] in owed else "",
        }
        for row in found
    ]
    return shell.page(
        parts,
        "payers.html",
        here="/payers",
        done=done,
        form=form,
        listing=Listing("/payers", rows, total, page, (("kind", kind), ("q", q))),
        kinds=list(KIND_TITLES.items()),
        deliveries=list(DELIVERY_TITLES.items()),
    )


def _one(parts: Parts, payer_id: int, *, done: str = "", form: Form | None = None) -> Template:
    currency, today = parts.settings.depot.currency, parts.now().astimezone(parts.settings.zone).date()
    with parts.db() as db:
        row = payers.get(db, payer_id)
        if row is None:
            raise payer_desk.unknown(payer_id)
        rates = payers.rate_rows(db, payer_id)
        count, amount = ledger.owed_by_payer(db).get(payer_id, (0, 0))
    shown = [_shown(rate, currency, today) for rate in rates]
    return shell.page(
        parts,
        "payer.html",
        here="/payers",
        done=done,
        form=form,
        payer={**row, "name": _name(parts, row), "kind_title": KIND_TITLES[row["kind"]]},
        delivery_title=DELIVERY_TITLES[row["delivery"]],
        owed=money(amount, currency) if count else "",
        open=number(count, "invoice"),
        groups=[
            (level.value, [rate for rate in shown if rate["level"] == level and rate["standing"] != "ended"])
            for level in LevelOfService
        ],
        ended=[rate for rate in shown if rate["standing"] == "ended"],
        levels=[(level.value, level.value.capitalize()) for level in LevelOfService],
        deliveries=list(DELIVERY_TITLES.items()),
        units=parts.settings.depot.units,
        today=today.isoformat(),
    )


def _name(parts: Parts, row: Row) -> str:
    return names.of_payer(parts, {"payer": row["name"], "payer_kind": row["kind"]})


def _shown(rate: Row, currency: str, today: date) -> Row:
    """A rate with its amounts as text, twice: to be read, and as they are typed."""
    first, last = date.fromisoformat(rate["valid_from"]), rate["valid_to"] and date.fromisoformat(rate["valid_to"])
    standing = "ended" if last and last < today else "future" if first > today else "now"
    tax = Decimal(rate["tax_bp"]) / 100
    return {
        **rate,
        "standing": standing,
        "first": short_day(rate["valid_from"]),
        "last": short_day(rate["valid_to"]) if rate["valid_to"] else "",
        "prices": {name: money(rate[f"{name}_cents"], currency) for name in MONEY if rate[f"{name}_cents"]},
        "typed": {name: plain(rate[f"{name}_cents"], currency) for name in MONEY},
        "tax": f"{tax.normalize():f}",
        "free": f"{rate['free_units']:g}",
        "free_wait": f"{rate['free_wait_min']:g}",
    }


HANDLERS: list[Any] = [
    payers_page, payers_add, payer_page, payer_change, payer_rate_add, payer_rate_correct, payer_rate_end,
]  # fmt: skip
