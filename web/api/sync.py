"""`/api/v1/sync`: the line to the central office."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from litestar import get, post
from litestar.params import QueryParameter, RequestBody
from msgspec import Meta, Struct

from appliance import jobs, typed, uplink_desk
from appliance.errors import InputError
from appliance.storage import sync_log
from appliance.storage import uplink as rows_of
from appliance.storage.db import write_tx
from web.api.answers import Page, make
from web.api.schedules import AskedFor
from web.parts import Given, Parts

StreamName = Literal["invoices", "trips", "trails", "reference"]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
Offset = Annotated[int, QueryParameter(ge=0, le=2**31)]


class Stopped(Struct, frozen=True, kw_only=True):
    """A stream that the central office does not take as it is."""

    stream: StreamName
    code: str
    detail: str
    since: datetime
    retry_at: datetime


class LastReceipt(Struct, frozen=True, kw_only=True):
    """What the central office signed last. `whole`: nothing differs; else `differences` says what."""

    night: date
    at: datetime
    received_at: datetime
    whole: bool
    differences: list[str]


class SyncStatus(Struct, frozen=True, kw_only=True):
    """How the line to the central office is. Everything up to `complete_through` is there, by the last receipt by which
    nothing differed. `recovery`: the box was restored, and has not fetched yet what it lacks."""

    url: str
    centre: str | None
    key_id: str | None
    key_expires_at: datetime | None
    enrolled_at: datetime | None
    last_success_at: datetime | None
    complete_through: datetime | None
    backlog: int
    waiting: dict[str, int]
    oldest_waiting_at: datetime | None
    parked: int
    problem: str | None
    problem_status: int | None
    problem_since: datetime | None
    retry_at: datetime | None
    stopped: list[Stopped]
    last_receipt: LastReceipt | None
    missed_nights: int
    kept_news: int
    recovery: bool
    epoch: int


class ParkedRow(Struct, frozen=True, kw_only=True):
    """A row that the central office does not take. `row` names it: stream, epoch, sequence number."""

    row: str
    kind: str
    uid: str
    number: str | None
    ref: str | None
    created_at: datetime
    reason: str


class KeptReceipt(Struct, frozen=True, kw_only=True):
    """`receipt` is the text that was signed; `signature` is the central office's, Ed25519 over its bytes, Base64."""

    night: date
    at: datetime
    received_at: datetime
    whole: bool
    receipt: str
    signature: str


class Retry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parked rows, as `row` names them; all of them where empty."""

    rows: Annotated[list[str], Meta(max_length=1000)] = []


class Resend(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was written from one day of the depot through another; all streams where none is named."""

    first: date
    last: date
    streams: Annotated[list[StreamName], Meta(max_length=4)] = []


class Code(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one-time code from the central office."""

    code: Annotated[str, Meta(min_length=1, max_length=100)]


class Enrolment(Struct, frozen=True):
    """The name of the central office that knows the box now."""

    centre: str


class NewKeyId(Struct, frozen=True):
    """By what the central office knows the new key."""

    key_id: str


class Waiting(Struct, frozen=True):
    """How many rows wait to be sent now because of this."""

    rows: int


@get("/sync", sync_to_thread=True, summary="Up to when everything is at the central office, and what waits")
def sync_status(parts: Given) -> SyncStatus:
    with parts.db() as db:
        found = uplink_desk.status(db, parts.settings, parts.now())
    return make(SyncStatus, found)


@get("/sync/parked", sync_to_thread=True, summary="Rows that the central office does not take, and why")
def list_parked(parts: Given, limit: Limit = 100, offset: Offset = 0) -> Page[ParkedRow]:
    with parts.db() as db:
        found, total = sync_log.parked(db, limit, offset), sync_log.count_parked(db)
    return Page(
        [make(ParkedRow, one | {"row": f"{one['stream']}/{one['epoch']}/{one['seq']}"}) for one in found], total
    )


@get("/sync/receipts", sync_to_thread=True, summary="What the central office signed, the newest night first")
def list_receipts(parts: Given, limit: Limit = 100, offset: Offset = 0) -> Page[KeptReceipt]:
    with parts.db() as db:
        found, total = rows_of.receipts(db, limit, offset), rows_of.count_receipts(db)
    return Page([make(KeptReceipt, one | {"whole": bool(one["whole"])}) for one in found], total)


@post("/sync/now", sync_to_thread=True, status_code=200, summary="Send all that waits, and compare the books")
def sync_now(parts: Given) -> AskedFor:
    return AskedFor(ask_now(parts))


@post("/sync/retry", sync_to_thread=True, status_code=200, summary="Send parked rows again")
def retry_parked(parts: Given, data: RequestBody[Retry]) -> Waiting:
    return Waiting(retry(parts, data.rows))


@post("/sync/resend", sync_to_thread=True, status_code=200, summary="Send what was written on some days again")
def resend_rows(parts: Given, data: RequestBody[Resend]) -> Waiting:
    return Waiting(resend(parts, data.first, data.last, data.streams))


@post("/sync/bill-anyway", sync_to_thread=True, status_code=204, summary="After a restore: bill trips from before it")
def bill_anyway(parts: Given) -> None:
    with parts.db() as db, write_tx(db) as tx:
        uplink_desk.bill_anyway(tx, who=parts.who, now=parts.now())


@post("/sync/enrol", sync_to_thread=True, status_code=200, summary="Make the box known to its central office")
def enrol_box(parts: Given, data: RequestBody[Code]) -> Enrolment:
    return Enrolment(enrol(parts, data.code))


@post("/sync/key", sync_to_thread=True, status_code=200, summary="Make the box a new key")
def rotate_key(parts: Given) -> NewKeyId:
    return NewKeyId(rotate(parts))


def enrol(parts: Parts, code: str) -> str:
    """The name of the central office."""
    from appliance import uplink  # here: an HTTP client is a lot to carry for a request a year

    with parts.db() as db:
        return str(uplink.enrol(parts.settings, db, code, who=parts.who)["centre"])


def rotate(parts: Parts) -> str:
    """The id of the new key."""
    from appliance import uplink

    with parts.db() as db:
        return uplink.rotate_key(parts.settings, db, who=parts.who)


def ask_now(parts: Parts) -> str:
    """The id of the job that sends all that waits."""
    with parts.db() as db, write_tx(db) as tx:
        uplink_desk.ask_at_once(tx, parts.settings, who=parts.who, now=parts.now())
        ask = jobs.enqueue(tx, "sync.tasks.push_upstream", now=parts.now(), key="sync-now")
    parts.sender.send([ask])
    return ask.id


def retry(parts: Parts, named: list[str]) -> int:
    try:
        rows = [uplink_desk.row_named(one) for one in named]
    except ValueError as error:
        raise InputError("expected rows like invoices/1/17", subject="rows") from error
    with parts.db() as db, write_tx(db) as tx:
        return uplink_desk.retry_parked(tx, rows or None, who=parts.who, now=parts.now())


def resend(parts: Parts, first: date, last: date, streams: list[StreamName]) -> int:
    zone = parts.settings.zone
    for name, day in (("first", first), ("last", last)):
        typed.of_this_age(name, day)
    start = datetime.combine(first, time(), zone)
    end = datetime.combine(last + timedelta(days=1), time(), zone)
    with parts.db() as db, write_tx(db) as tx:
        return uplink_desk.resend(tx, start, end, streams, who=parts.who, now=parts.now())


HANDLERS: list[Any] = [
    sync_status, list_parked, list_receipts, sync_now, retry_parked, resend_rows, bill_anyway, enrol_box,
    rotate_key,
]  # fmt: skip
