"""`/trips/import`: a broker's manifest in three steps: the file, its columns, the preview; then the import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any

from litestar import Request, Router, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, RawBody
from litestar.response import Template

from appliance import manifests
from appliance.domain import manifest, manifest_guess, manifest_times
from appliance.domain.manifest import FIELDS, Layout
from appliance.domain.manifest_csv import Sheet
from appliance.domain.trip import LevelOfService
from appliance.errors import DepotError, InputError
from appliance.manifests import Done, Entry, Plan
from appliance.storage import manifests as rows
from appliance.storage import payers, times
from appliance.storage.db import write_tx
from web import cards
from web.api.manifests import tell
from web.forms import Form, refused
from web.pages import shell
from web.parts import Given, Parts
from web.uploads import Upload, Uploads, parts_of

SHOWN = 300
SAMPLES = 3
LEFT_OUT = "leave"
FIELD_TITLES = {
    "state": "State", "pickup_at": "Pickup", "appointment_at": "Appointment", "pickup_address": "From",
    "dropoff_address": "To", "level": "Level", "notes": "Notes", "will_call": "Will-call", "patient": "Patient",
}  # fmt: skip
PARTS = (
    ("changed", "Changed", "What the broker changed since the last file. The old value is struck through."),
    ("cancelled", "Cancelled", "These trips are cancelled, by the broker."),
    ("kept", "Not changed", "The file wants these otherwise, but they are under way, have ended, or the depot"
     " cancelled them: they stay as they are. Call the broker if that is wrong."),
    ("added", "New", "These trips are added, without a vehicle."),
)  # fmt: skip
"""What the preview shows of each kind, in its order."""

Fields = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


def handlers(uploads: Uploads) -> list[Any]:
    """The routes, over the files that are on their way."""

    @get("/", sync_to_thread=True, include_in_schema=False)
    def import_page(parts: Given) -> Template:
        return _start(parts)

    @post("/", sync_to_thread=True, status_code=200, include_in_schema=False)
    def import_upload(parts: Given, request: Request[Any, Any, Any], body: RawBody) -> Template:
        typed: Mapping[str, str] = {}
        try:
            typed, name, content = parts_of(body, request.content_type[1].get("boundary", ""))
            typed = {"payer": "", **typed, "file": ""}
            if not typed["payer"]:
                raise InputError("expected a broker or a facility", subject="payer")
            if not name:
                raise InputError("expected a file", subject="file")
            with parts.db() as db:
                manifests.payer_named(db, typed["payer"])
            manifests.sheet_of(content)
        except DepotError as error:
            return _start(parts, refused("file", typed, error))
        upload = uploads.put(_user(parts), typed["payer"], name, content)
        return _columns(parts, upload)

    @post("/{token:str}/columns", sync_to_thread=True, status_code=200, include_in_schema=False)
    def import_columns(parts: Given, token: FromPath[str]) -> Template:
        upload = uploads.get(token, _user(parts))
        return _columns(parts, upload) if upload else _gone(parts)

    @post("/{token:str}/preview", sync_to_thread=True, status_code=200, include_in_schema=False)
    def import_preview(parts: Given, token: FromPath[str], data: Fields) -> Template:
        upload = uploads.get(token, _user(parts))
        if upload is None:
            return _gone(parts)
        sheet = manifests.sheet_of(upload.content)
        upload.layout = _layout(parts, upload, sheet, data)
        upload.missing_cancelled = data.get("missing_cancelled") == "yes"
        try:
            upload.day = _day(data.get("day", ""))
            unsaid = [word for word in manifest_guess.unknown_levels(sheet, upload.layout) if word not in _words(data)]
            if unsaid:
                raise InputError("say what these words for levels of service mean", subject=", ".join(unsaid[:10]))
            with parts.db() as db, write_tx(db) as tx:
                payer = manifests.payer_named(tx, upload.payer)
                manifests.remember(tx, payer["id"], upload.layout, who=parts.who, now=parts.now())
            return _preview(parts, upload)
        except DepotError as error:
            return _columns(parts, upload, refused("columns", {"day": data.get("day", "")}, error))

    @post("/{token:str}/apply", sync_to_thread=True, status_code=200, include_in_schema=False)
    def import_apply(parts: Given, token: FromPath[str], data: Fields) -> Template:
        upload = uploads.get(token, _user(parts))
        if upload is None:
            return _gone(parts)
        wanted, digest, now = _request(upload), data.get("digest", ""), parts.now()
        with parts.db() as db:
            done = manifests.apply(db, wanted, digest, zone=parts.settings.zone, now=now, who=parts.who)
        if not isinstance(done, Done):
            said = "The day was changed meanwhile, and nothing was imported. This is what the import would do now."
            return _preview(parts, upload, Form("import", {}, {"": said}))
        uploads.drop(token)
        tell(parts, done)
        return _start(parts, done=f"Imported: {_counted(done.plan)}. The file is forgotten.")

    @post("/{token:str}/drop", sync_to_thread=True, status_code=200, include_in_schema=False)
    def import_drop(parts: Given, token: FromPath[str]) -> Template:
        if uploads.get(token, _user(parts)):
            uploads.drop(token)
        return _start(parts, done="Nothing was imported, and the file is forgotten.")

    routes = [import_page, import_upload, import_columns, import_preview, import_apply, import_drop]
    return [Router("/trips/import", route_handlers=routes)]


def _user(parts: Parts) -> int:
    assert parts.caller is not None
    return parts.caller.user.id


def _gone(parts: Parts) -> Template:
    said = "The file is not kept any more: nothing was imported. Choose it again."
    return _start(parts, Form("file", {}, {"": said}))


def _page(parts: Parts, step: int, *, form: Form | None = None, done: str = "", **context: Any) -> Template:
    return shell.page(parts, "import.html", here="/trips/import", step=step, form=form, done=done, **context)


def _start(parts: Parts, form: Form | None = None, done: str = "") -> Template:
    with parts.db() as db:
        named = [one["name"] for one in payers.listed(db) if one["kind"] != "patient"]
        found, _ = rows.imports(db, 10)
    imports = [{**one, "moment": _moment(parts, one["at"])} for one in found]
    return _page(parts, 1, form=form, done=done, payers=[(name, name) for name in named], imports=imports)


def _columns(parts: Parts, upload: Upload, form: Form | None = None) -> Template:
    sheet = manifests.sheet_of(upload.content)
    today = parts.now().astimezone(parts.settings.zone).date()
    with parts.db() as db:
        payer = manifests.payer_named(db, upload.payer)
        layout, known, open_ = manifests.layout_for(db, payer["id"], sheet, today)
    layout = upload.layout or layout
    means = {column: name for name, columns in layout.columns.items() for column in columns}
    columns = [
        {"name": column, "means": means.get(column, ""), "samples": list(dict.fromkeys(sheet.column(column)))[:SAMPLES]}
        for column in sheet.header
    ]
    # What was said of a word before is asked again while its column stays: so it can be mended.
    asked = manifest_guess.unknown_levels(sheet, replace(layout, levels={}))
    levels = {manifest.plain(word): level for word, level in layout.levels.items()}
    return _page(
        parts,
        2,
        form=form,
        upload=upload,
        layout=layout,
        known=known,
        doubtful=open_ and not known,
        columns=columns,
        rows=len(sheet.rows) + len(sheet.bad),
        fields=[(name, title + (" (needed)" if name in manifest.REQUIRED else "")) for name, title in FIELDS.items()],
        words=[(word, levels.get(manifest.plain(word), "")) for word in asked],
        levels=[(level.value, level.value) for level in LevelOfService] + [(LEFT_OUT, "leave these rows out")],
        dates=[(name, f"{words}: {example}") for name, (words, example) in manifest_times.DATE_FORMATS.items()],
        hours=[(name, f"{words}: {example}") for name, (words, example) in manifest_times.TIME_FORMATS.items()],
        today=today,
    )


def _layout(parts: Parts, upload: Upload, sheet: Sheet, data: Mapping[str, str]) -> Layout:
    """What was said of the columns. What this file does not have is remembered as it was."""
    columns: dict[str, tuple[str, ...]] = {}
    for place, column in enumerate(sheet.header):
        if (name := data.get(f"column_{place}", "")) in FIELDS:
            columns[name] = (*columns.get(name, ()), column)
    if "patient" in columns:
        columns["patient"] = manifest_guess.of_person(columns["patient"], all_of_them=True)
    with parts.db() as db:
        before = manifests.remembered(db, manifests.payer_named(db, upload.payer)["id"])
    said = _words(data)
    levels = {word: level for word, level in (before.levels if before else {}).items() if word not in said}
    levels |= {word: level for word, level in said.items() if level != LEFT_OUT}
    return Layout(
        columns,
        data.get("date_format", ""),
        data.get("time_format", ""),
        levels,
        _listed(data.get("will_call", "")),
        _listed(data.get("cancelled", "")),
    )


def _words(data: Mapping[str, str]) -> dict[str, str]:
    """The broker's words for levels, and what each was said to mean."""
    found = {data[f"word_{place}"]: data.get(f"level_{place}", "") for place in range(100) if f"word_{place}" in data}
    return {word: level for word, level in found.items() if level}


def _listed(text: str) -> tuple[str, ...]:
    return tuple(word.strip()[:40] for word in text.split(",") if word.strip())[:50]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError("expected a day like 2026-02-03", subject="day") from None


def _request(upload: Upload) -> manifests.Request:
    return manifests.Request(
        content=upload.content,
        payer=upload.payer,
        layout=upload.layout,
        day=upload.day,
        missing_cancelled=upload.missing_cancelled,
        file_name=upload.file_name,
    )


def _preview(parts: Parts, upload: Upload, form: Form | None = None) -> Template:
    with parts.db() as db:
        plan = manifests.plan(db, _request(upload), zone=parts.settings.zone, now=parts.now())
    found = [
        {
            "what": what,
            "title": title,
            "words": words,
            "total": len(plan.of(what)),  # type: ignore[arg-type]
            "entries": [_entry(parts, entry) for entry in plan.of(what)[:SHOWN]],  # type: ignore[arg-type]
        }
        for what, title, words in PARTS
    ]
    return _page(
        parts,
        3,
        form=form,
        upload=upload,
        plan=plan,
        kinds=found,
        days=", ".join(f"{day:%a} {day.day} {day:%b %Y}" for day in plan.days),
        nothing=not any(plan.counts[what] for what in ("added", "changed", "cancelled")),
        counted=_counted(plan),
        shown=SHOWN,
        new_patients=len({entry.patient.id for entry in plan.entries if entry.patient and entry.patient.how == "new"}),
    )


def _entry(parts: Parts, entry: Entry) -> dict[str, Any]:
    """A trip of the preview with its times as they are shown."""
    match = entry.patient
    return {
        "ref": entry.ref,
        "line": entry.line,
        "trip_id": entry.trip_id,
        "pickup": "will-call" if entry.will_call else _clock(parts, entry.pickup_at),
        "appointment": _clock(parts, entry.appointment_at),
        "from": entry.pickup_address,
        "to": entry.dropoff_address,
        "level": entry.level,
        "patient": entry.patient_name or "",
        "new": match is not None and match.how == "new",
        "by": match.by if match else "",
        "changes": [
            (FIELD_TITLES[one.field], _value(parts, one.field, one.old), _value(parts, one.field, one.new))
            for one in entry.changes
        ],
        "said": entry.said,
        "hints": entry.hints,
    }


def _value(parts: Parts, field: str, text: str | None) -> str:
    return _clock(parts, text) if field.endswith("_at") else (text or "")


def _clock(parts: Parts, stored: str | None) -> str:
    if not stored:
        return ""
    local = times.parse(stored).astimezone(parts.settings.zone)
    return f"{local:%a} {local.day} {local:%b %H:%M}"


def _moment(parts: Parts, stored: str) -> cards.Moment:
    at: datetime = times.parse(stored)
    return cards.moment(at, parts.now(), parts.settings.zone)


def _counted(plan: Plan) -> str:
    """`3 added, 1 changed`; bad rows last."""
    words = {"kept": "left as they are", "bad": "bad row left out" if len(plan.bad) == 1 else "bad rows left out"}
    return ", ".join(f"{count} {words.get(what, what)}" for what, count in plan.counts.items() if count) or "nothing"
