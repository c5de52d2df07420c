"""`/patients`: who is carried. Names stand in no address, so a search is a POST; each record that is shown is audited,
so the list begins empty and nothing is searched for before somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from litestar import Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from appliance import patient_desk
from appliance.domain.trip import LevelOfService
from appliance.errors import DepotError, InputError
from appliance.patient_desk import PatientDetails
from appliance.storage import people
from appliance.storage.db import Row, Tx, write_tx
from appliance.storage.erasure import Left
from appliance.storage.times import parse, parse_or_none
from web import cards
from web.forms import Form, refused
from web.pages import shell
from web.parts import Given, Parts
from web.typed import Fields, text, version

FIELDS = ("name", "address", "phone", "email", "needs")
LEVELS = [(level, level.capitalize()) for level in LevelOfService]
LOOKS_SHOWN = 50
DID = {"viewed": "looked at it", "changed": "changed", "added": "added the patient", "erased": "erased the patient",
       "consent": "recorded consent to e-mail:"}  # fmt: skip
QUERY_MAX = 200


@get("/", sync_to_thread=True, include_in_schema=False)
def patients_page(parts: Given) -> Template:
    return _list(parts)


@post("/search", sync_to_thread=True, status_code=200, include_in_schema=False)
def patients_found(parts: Given, data: Fields) -> Template:
    query = data.get("query", "").strip()[:QUERY_MAX]
    with parts.db() as db, write_tx(db) as tx:
        found, total = patient_desk.search(tx, query, who=parts.who, now=parts.now())
    return _list(parts, query=query, found=found, total=total)


@post("/", sync_to_thread=True, status_code=200, include_in_schema=False)
def patient_add(parts: Given, data: Fields) -> Template:
    try:
        with parts.db() as db, write_tx(db) as tx:
            id = patient_desk.add(tx, _details(data), who=parts.who, now=parts.now())
            if "consent" in data:
                patient_desk.consent(tx, id, True, who=parts.who, now=parts.now())
    except DepotError as error:
        return _list(parts, form=refused("add", data, error))
    page = _one(parts, id, done="The patient is added.")
    page.headers["HX-Push-Url"] = f"/patients/{id}"
    return page


@get("/{patient_id:int}", sync_to_thread=True, include_in_schema=False)
def patient_page(parts: Given, patient_id: FromPath[int]) -> Template:
    return _one(parts, patient_id)


@post("/{patient_id:int}", sync_to_thread=True, status_code=200, include_in_schema=False)
def patient_change(parts: Given, patient_id: FromPath[int], data: Fields) -> Template:
    def act(tx: Tx) -> str:
        patient_desk.change(tx, patient_id, _details(data), version=version(data), who=parts.who, now=parts.now())
        return "The record is changed. Invoices that were issued stay as they are."

    return _acted(parts, patient_id, "edit", data, act)


@post("/{patient_id:int}/consent", sync_to_thread=True, status_code=200, include_in_schema=False)
def patient_consent(parts: Given, patient_id: FromPath[int], data: Fields) -> Template:
    given = data.get("given") == "yes"

    def act(tx: Tx) -> str:
        patient_desk.consent(tx, patient_id, given, who=parts.who, now=parts.now())
        return "Recorded: the patient allows e-mail." if given else "Recorded: the patient allows no e-mail any more."

    return _acted(parts, patient_id, "consent", {}, act)


@post("/{patient_id:int}/erase", sync_to_thread=True, status_code=200, include_in_schema=False)
def patient_erase(parts: Given, patient_id: FromPath[int]) -> Template:
    try:
        with parts.db() as db:
            left = patient_desk.erase(db, parts.settings, patient_id, who=parts.who, now=parts.now())
    except DepotError as error:
        return _one(parts, patient_id, form=refused("erase", {}, error))
    return _one(parts, patient_id, done="The patient is erased for good.", left=left)


def _acted(parts: Parts, id: int, form: str, typed: dict[str, str], act: Callable[[Tx], str]) -> Template:
    """Does it, and shows the record with what was done or with the refusal."""
    try:
        with parts.db() as db, write_tx(db) as tx:
            done = act(tx)
    except DepotError as error:
        return _one(parts, id, form=refused(form, typed, error))
    return _one(parts, id, done=done)


def _details(typed: dict[str, str]) -> PatientDetails:
    given: dict[str, Any] = text(typed, FIELDS)
    if "level" in typed:
        given["level"] = _level(typed["level"])
    return PatientDetails(**given)


def _level(given: str) -> LevelOfService | None:
    if given and given not in list(LevelOfService):
        raise InputError(f"expected one of {', '.join(LevelOfService)}", subject="level")
    return LevelOfService(given) if given else None


def _list(
    parts: Parts,
    *,
    query: str = "",
    found: list[Any] | None = None,
    total: int = 0,
    form: Form | None = None,
) -> Template:
    with parts.db() as db:
        known = people.count_patients(db)
    return shell.page(
        parts,
        "patients.html",
        here="/patients",
        form=form,
        query=query,
        found=found,
        total=total,
        known=known,
        levels=LEVELS,
    )


def _one(parts: Parts, id: int, *, done: str = "", form: Form | None = None, left: Sequence[Left] = ()) -> Template:
    now, zone = parts.now(), parts.settings.zone
    with parts.db() as db, write_tx(db) as tx:
        patient = patient_desk.view(tx, id, who=parts.who, now=now)
        looks = patient_desk.history(tx, id, LOOKS_SHOWN)
    erased = parse_or_none(patient["erased_at"])
    return shell.page(
        parts, "patient.html", here="/patients", done=done, form=form, patient=patient,
        added=cards.moment(parse(patient["created_at"]), now, zone),
        erased=cards.moment(erased, now, zone) if erased else None,
        levels=LEVELS, left=left, looks=[_look(parts, one) for one in looks],
    )  # fmt: skip


def _look(parts: Parts, row: Row) -> dict[str, Any]:
    """An entry of the audit log in words."""
    word = row["action"].removeprefix("patient.")
    said = row["detail"] or ""
    detail = "in a search" if said == "search" else said.replace("run sheet of", "on the run sheet of")
    return {
        "at": cards.moment(parse(row["at"]), parts.now(), parts.settings.zone),
        "who": row["who"],
        "did": " ".join(part for part in (DID.get(word, word), detail) if part),
    }


HANDLERS: list[Any] = [
    Router("/patients", route_handlers=[
        patients_page, patients_found, patient_add, patient_page, patient_change, patient_consent, patient_erase,
    ]),
]  # fmt: skip
