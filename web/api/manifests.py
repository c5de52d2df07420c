"""`/api/v1/manifests`: a broker's day as a CSV file: looked at, imported, and what its columns mean."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from litestar import get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, QueryParameter, RawBody, RequestBody
from msgspec import Meta, Struct, field, structs

from appliance import manifests
from appliance.domain.manifest import CANCELLED, WILL_CALL, Layout
from appliance.domain.trip import LevelOfService
from appliance.errors import NotFound, Refused
from appliance.manifests import Done, Entry, Plan, Request
from appliance.storage import manifests as rows
from appliance.storage.db import write_tx
from web.api.answers import Page, make
from web.parts import Given, Parts
from web.problems import Problem

Payer = Annotated[str, QueryParameter(min_length=1, max_length=100)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Words = Annotated[list[Annotated[str, Meta(min_length=1, max_length=40)]], Meta(max_length=50)]
Limit = Annotated[int, QueryParameter(ge=1, le=500)]
Offset = Annotated[int, QueryParameter(ge=0, le=10_000_000)]


class ManifestLayout(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a payer's columns mean. `columns` maps our fields to the names of columns; addresses, names and notes may be
    made up of several. `levels` maps the payer's words to levels of service, `will_call` are times and words that stand
    for a will-call, `cancelled` words that stand for a cancelled trip."""

    columns: dict[str, Annotated[list[Name], Meta(max_length=20)]]
    date_format: Literal["ymd", "mdy", "dmy"] = "ymd"
    time_format: Literal["24h", "12h"] = "24h"
    levels: dict[str, LevelOfService] = {}
    will_call: Words = field(default_factory=lambda: list(WILL_CALL))
    cancelled: Words = field(default_factory=lambda: list(CANCELLED))


class ManifestChange(Struct, frozen=True, kw_only=True):
    """A field of a trip; times are UTC."""

    field: str
    old: str | None
    new: str | None


class ManifestEntry(Struct, frozen=True, kw_only=True):
    """What becomes of one trip. `kept`: the file wants it otherwise and it cannot be changed, `said` tells why. `line`
    is null where the file does not name it. `patient_by` is by what the patient was known; null for somebody new."""

    what: manifests.What
    ref: str
    line: int | None
    trip_id: int | None
    pickup_at: datetime | None
    appointment_at: datetime | None
    pickup_address: str
    dropoff_address: str
    level: LevelOfService | None
    will_call: bool
    notes: str
    patient: str | None
    patient_new: bool
    patient_by: str | None
    changes: list[ManifestChange]
    said: str
    hints: list[str]


class ManifestBadRow(Struct, frozen=True, kw_only=True):
    line: int
    column: str
    value: str
    expected: str


class ManifestPlan(Struct, frozen=True, kw_only=True):
    """What an import does. `digest` is what `apply` asks for: it then does exactly this, or nothing."""

    payer: str
    days: list[date]
    digest: str
    added: int
    changed: int
    cancelled: int
    kept: int
    unchanged: int
    hint: str
    entries: list[ManifestEntry]
    bad: list[ManifestBadRow]


class ManifestImport(Struct, frozen=True, kw_only=True):
    """An import that was done."""

    id: int
    payer: str
    at: datetime
    who: str
    file_name: str
    days: list[date]
    added: int
    changed: int
    cancelled: int
    kept: int
    unchanged: int
    bad: int


@post(
    "/manifests/preview",
    sync_to_thread=True,
    status_code=200,
    summary="What a broker's CSV file (the body) would do; changes nothing",
)
def preview_manifest(
    parts: Given,
    body: RawBody,
    payer: Payer,
    day: FromQuery[date | None] = None,
    missing_cancelled: FromQuery[bool] = False,
) -> ManifestPlan:
    """`payer` is the name of a broker or facility, `day` counts where the file says none. The columns mean what was
    remembered for the payer, else what their names say. With `missing_cancelled` the payer's trips of the file's days
    that it does not name are cancelled."""
    wanted = Request(content=body, payer=payer, day=day, missing_cancelled=missing_cancelled)
    with parts.db() as db:
        return shown(manifests.plan(db, wanted, zone=parts.settings.zone, now=parts.now()))


@post(
    "/manifests/apply",
    sync_to_thread=True,
    status_code=200,
    summary="Import the file (the body) whose preview had this digest",
    responses={
        409: ResponseSpec(Problem, description="The day is not any more as the preview had it; ask for another")
    },
)
def apply_manifest(
    parts: Given,
    body: RawBody,
    payer: Payer,
    digest: Annotated[str, QueryParameter(min_length=64, max_length=64)],
    day: FromQuery[date | None] = None,
    missing_cancelled: FromQuery[bool] = False,
    file_name: Annotated[str, QueryParameter(max_length=100)] = "",
) -> ManifestPlan:
    """All of it in one transaction, or nothing. The file itself is not kept."""
    wanted = Request(content=body, payer=payer, day=day, missing_cancelled=missing_cancelled, file_name=file_name)
    with parts.db() as db:
        done = manifests.apply(db, wanted, digest, zone=parts.settings.zone, now=parts.now(), who=parts.who)
    if not isinstance(done, Done):
        raise Refused("it is not any more what the preview showed", hint="ask for another preview, then decide again")
    tell(parts, done)
    return shown(done.plan)


@get("/manifests", sync_to_thread=True, summary="Imports of manifests, newest first")
def list_manifests(parts: Given, limit: Limit = 100, offset: Offset = 0) -> Page[ManifestImport]:
    with parts.db() as db:
        found, total = rows.imports(db, limit, offset)
    return Page([make(ManifestImport, {**row, "days": row["days"].split()}) for row in found], total)


@get("/manifests/mapping", sync_to_thread=True, summary="What the columns of a payer's manifests mean")
def get_mapping(parts: Given, payer: Payer) -> ManifestLayout:
    """404 until somebody has said it."""
    with parts.db() as db:
        found = manifests.remembered(db, manifests.payer_named(db, payer)["id"])
    if found is None:
        raise NotFound("nobody has said yet what the columns mean", subject=f"payer {payer!r}")
    return make(
        ManifestLayout,
        {"columns": {name: list(columns) for name, columns in found.columns.items()}, "levels": found.levels,
         "date_format": found.date_format, "time_format": found.time_format, "will_call": list(found.will_call),
         "cancelled": list(found.cancelled)},
    )  # fmt: skip


@put("/manifests/mapping", sync_to_thread=True, summary="Say what the columns of a payer's manifests mean")
def set_mapping(parts: Given, payer: Payer, data: RequestBody[ManifestLayout]) -> ManifestLayout:
    layout = Layout(
        columns={name: tuple(columns) for name, columns in data.columns.items() if columns},
        date_format=data.date_format,
        time_format=data.time_format,
        levels={word: level.value for word, level in data.levels.items()},
        will_call=tuple(data.will_call),
        cancelled=tuple(data.cancelled),
    )
    with parts.db() as db, write_tx(db) as tx:
        found = manifests.payer_named(tx, payer)
        manifests.remember(tx, found["id"], layout, who=parts.who, now=parts.now())
    return data


def shown(plan: Plan) -> ManifestPlan:
    counts = {what: count for what, count in plan.counts.items() if what != "bad"}
    bad = [ManifestBadRow(line=one.line, column=one.column, value=one.value, expected=one.expected) for one in plan.bad]
    return ManifestPlan(payer=plan.payer, days=plan.days, digest=plan.digest, hint=plan.hint, bad=bad,
                        entries=[_entry(entry) for entry in plan.entries], **counts)  # fmt: skip


def _entry(entry: Entry) -> ManifestEntry:
    match = entry.patient
    row = {
        **structs.asdict(entry),
        "pickup_at": entry.pickup_at or None,
        "level": entry.level or None,
        "patient": entry.patient_name,
        "patient_new": match is not None and match.how == "new",
        "patient_by": match.by or None if match else None,
        "changes": [structs.asdict(change) for change in entry.changes],
    }
    return make(ManifestEntry, row)


def tell(parts: Parts, done: Done) -> None:
    """What follows from an import, after the commit."""
    parts.sender.send(done.jobs)
    parts.publisher.publish(*done.events)


HANDLERS: list[Any] = [preview_manifest, apply_manifest, list_manifests, get_mapping, set_mapping]
