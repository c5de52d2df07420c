"""`/api/v1/payers`: who pays, and their rates."""

from __future__ import annotations

from datetime import date
from typing import Any

from litestar import get, patch, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, RequestBody
from msgspec import Struct

from appliance import payer_desk, rate_desk
from appliance.domain.fare import Unit
from appliance.domain.trip import LevelOfService
from appliance.errors import NotFound
from appliance.payer_desk import Kind, NewPayer, PayerDetails
from appliance.rate_desk import NewRate
from appliance.storage import payers
from appliance.storage.db import Row, Tx, write_tx
from web.api.answers import Page, make
from web.api.trips import Limit, Offset
from web.lists import Search
from web.parts import Given, Parts
from web.problems import Problem


class Payer(Struct, frozen=True, kw_only=True):
    """A payer. Name and addresses are null where the patient pays: they are the patient's."""

    id: int
    kind: Kind
    patient_id: int | None
    name: str | None
    address: str | None
    email: str | None
    delivery: str
    terms_days: int
    version: int


class PayerChange(PayerDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a payer. With `version`, its own when it was read, it counts only if nobody else was
    faster."""

    version: int | None = None


class RateRecord(Struct, frozen=True, kw_only=True):
    """A rate: `valid_to` is its last day, null until further notice. Money in minor units, tax in basis points."""

    id: int
    level: LevelOfService
    valid_from: date
    valid_to: date | None
    base_cents: int
    per_unit_cents: int
    unit: Unit
    free_units: float
    wait_per_min_cents: int
    free_wait_min: float
    after_hours_cents: int
    after_hours_from: str
    after_hours_to: str
    no_show_cents: int
    tax_bp: int
    version: int


class RateCorrection(NewRate, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rate as it should have been entered; `version` as of a payer."""

    version: int | None = None


class LastDay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last day of a rate; `version` as of a payer."""

    valid_to: date
    version: int | None = None


@get("/payers", sync_to_thread=True, summary="Payers by name, patients who pay last")
def list_payers(
    parts: Given, kind: FromQuery[Kind | None] = None, q: Search = "", limit: Limit = 100, offset: Offset = 0
) -> Page[Payer]:
    """`q` stands in the name of a broker or a facility; patients are found under `/patients` alone."""
    with parts.db() as db:
        found, total = payers.listed(db, kind, q.strip(), limit, offset), payers.count(db, kind, q.strip())
    return Page([_payer(row) for row in found], total)


@get("/payers/{payer_id:int}", sync_to_thread=True, summary="One payer")
def get_payer(parts: Given, payer_id: FromPath[int]) -> Payer:
    return _read(parts, payer_id)


@post(
    "/payers",
    sync_to_thread=True,
    summary="Add a payer; trips that waited for it are billed",
    responses={409: ResponseSpec(Problem, description="The patient is a payer already")},
)
def add_payer(parts: Given, data: RequestBody[NewPayer]) -> Payer:
    with parts.db() as db, write_tx(db) as tx:
        id, asks = payer_desk.add(tx, data, parts.settings, who=parts.who, now=parts.now())
    parts.sender.send(asks)
    return _read(parts, id)


@patch(
    "/payers/{payer_id:int}",
    sync_to_thread=True,
    summary="Change a payer; what is left out stays as it is",
    responses={409: ResponseSpec(Problem, description="It was changed since it was read")},
)
def change_payer(parts: Given, payer_id: FromPath[int], data: RequestBody[PayerChange]) -> Payer:
    """Invoices that were issued stay as they are."""
    with parts.db() as db, write_tx(db) as tx:
        payer_desk.change(tx, payer_id, data, version=data.version, who=parts.who, now=parts.now())
    return _read(parts, payer_id)


@get("/payers/{payer_id:int}/rates", sync_to_thread=True, summary="The rates of a payer, those that ended too")
def list_rates(parts: Given, payer_id: FromPath[int]) -> Page[RateRecord]:
    return _rates(parts, payer_id)


@post(
    "/payers/{payer_id:int}/rates",
    sync_to_thread=True,
    summary="Add a rate; the one before it ends the day before, and trips that waited are billed",
    responses={409: ResponseSpec(Problem, description="It overlaps, or an invoice stands on the rate before")},
)
def add_rate(parts: Given, payer_id: FromPath[int], data: RequestBody[NewRate]) -> Page[RateRecord]:
    with parts.db() as db, write_tx(db) as tx:
        _, asks = rate_desk.add(tx, payer_id, data, parts.settings, who=parts.who, now=parts.now())
    parts.sender.send(asks)
    return _rates(parts, payer_id)


@put(
    "/payers/{payer_id:int}/rates/{rate_id:int}",
    sync_to_thread=True,
    summary="Correct a rate by which nothing was billed yet",
    responses={409: ResponseSpec(Problem, description="It overlaps, an invoice stands on it, or it was changed since")},
)
def correct_rate(
    parts: Given, payer_id: FromPath[int], rate_id: FromPath[int], data: RequestBody[RateCorrection]
) -> Page[RateRecord]:
    with parts.db() as db, write_tx(db) as tx:
        of_payer(tx, payer_id, rate_id)
        asks = rate_desk.correct(
            tx, rate_id, data, parts.settings, version=data.version, who=parts.who, now=parts.now()
        )
    parts.sender.send(asks)
    return _rates(parts, payer_id)


@post(
    "/payers/{payer_id:int}/rates/{rate_id:int}/end",
    sync_to_thread=True,
    status_code=200,
    summary="End a rate on a day",
    responses={
        409: ResponseSpec(Problem, description="Another follows, an invoice stands on it after, or it was changed")
    },
)
def end_rate(
    parts: Given, payer_id: FromPath[int], rate_id: FromPath[int], data: RequestBody[LastDay]
) -> Page[RateRecord]:
    with parts.db() as db, write_tx(db) as tx:
        of_payer(tx, payer_id, rate_id)
        rate_desk.end(tx, rate_id, data.valid_to, version=data.version, who=parts.who, now=parts.now())
    return _rates(parts, payer_id)


def of_payer(tx: Tx, payer_id: int, rate_id: int) -> None:
    """Raises NotFound for a rate of another payer."""
    if rate_desk.get(tx, rate_id)["payer_id"] != payer_id:
        raise NotFound("no such rate of this payer", subject=f"rate {rate_id}")


def _rates(parts: Parts, payer_id: int) -> Page[RateRecord]:
    _read(parts, payer_id)
    with parts.db() as db:
        found = payers.rate_rows(db, payer_id)
    return Page([make(RateRecord, row) for row in found], len(found))


def _read(parts: Parts, payer_id: int) -> Payer:
    with parts.db() as db:
        found = payers.get(db, payer_id)
    if found is None:
        raise payer_desk.unknown(payer_id)
    return _payer(found)


def _payer(row: Row) -> Payer:
    hidden = {"name": None, "address": None, "email": None} if row["kind"] == "patient" else {}
    return make(Payer, row | hidden)


HANDLERS: list[Any] = [list_payers, get_payer, add_payer, change_payer, list_rates, add_rate, correct_rate, end_rate]
