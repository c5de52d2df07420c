"""`/api/v1/patients`: who is carried. Every view is in the audit log, so a search is a POST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from litestar import get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, RequestBody
from msgspec import Meta, Struct, structs

from appliance import patient_desk
from appliance.domain.trip import LevelOfService
from appliance.patient_desk import PatientDetails
from appliance.storage.db import write_tx
from appliance.storage.erasure import Left
from web.api.answers import Page, make
from web.api.trips import Limit
from web.parts import Given, Parts
from web.problems import Problem


class PatientRecord(Struct, frozen=True, kw_only=True):
    """All that is known of a patient. `payer_id` is set where the patient pays."""

    id: int
    name: str
    address: str
    phone: str
    email: str
    level: LevelOfService | None
    needs: str
    email_consent: bool
    payer_id: int | None
    created_at: datetime
    erased_at: datetime | None
    version: int


class PatientChange(PatientDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed of a patient. With `version`, its own when it was read, it counts only if nobody else was
    faster."""

    version: int | None = None


class ErasedPatient(PatientRecord, frozen=True, kw_only=True):
    """`left` says where something still looks like the patient; it may be about somebody else, so it stays as it is."""

    left: list[Left]


class Looked(Struct, frozen=True, kw_only=True):
    """An entry of the audit log: who looked at a record or changed it, and which fields; never what stood in them."""

    at: datetime
    who: str
    action: str
    detail: str


class Search(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words that all stand in the record; none finds everybody."""

    query: Annotated[str, Meta(max_length=200)] = ""


class Consent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the patient allows e-mail."""

    email: bool


@post("/patients/search", sync_to_thread=True, status_code=200, summary="Find patients: the first 50 by name")
def search_patients(parts: Given, data: RequestBody[Search]) -> Page[PatientRecord]:
    """Each record that is shown counts as viewed."""
    with parts.db() as db, write_tx(db) as tx:
        found, total = patient_desk.search(tx, data.query, who=parts.who, now=parts.now())
    return Page([make(PatientRecord, row) for row in found], total)


@get("/patients/{patient_id:int}", sync_to_thread=True, summary="One patient; the view is in the audit log")
def get_patient(parts: Given, patient_id: FromPath[int]) -> PatientRecord:
    return _view(parts, patient_id)


@get("/patients/{patient_id:int}/audit", sync_to_thread=True, summary="Who looked at a record and changed it")
def get_patient_audit(parts: Given, patient_id: FromPath[int], limit: Limit = 100) -> Page[Looked]:
    """The newest first."""
    with parts.db() as db:
        found = patient_desk.history(db, patient_id, limit)
    return Page([make(Looked, row) for row in found], len(found))


@post("/patients", sync_to_thread=True, summary="Add a patient")
def add_patient(parts: Given, data: RequestBody[PatientDetails]) -> PatientRecord:
    with parts.db() as db, write_tx(db) as tx:
        id = patient_desk.add(tx, data, who=parts.who, now=parts.now())
    return _view(parts, id)


@patch(
    "/patients/{patient_id:int}",
    sync_to_thread=True,
    summary="Change a patient; what is left out stays as it is",
    responses={409: ResponseSpec(Problem, description="The patient was erased, or changed since it was read")},
)
def change_patient(parts: Given, patient_id: FromPath[int], data: RequestBody[PatientChange]) -> PatientRecord:
    with parts.db() as db, write_tx(db) as tx:
        patient_desk.change(tx, patient_id, data, version=data.version, who=parts.who, now=parts.now())
    return _view(parts, patient_id)


@post(
    "/patients/{patient_id:int}/consent",
    sync_to_thread=True,
    status_code=200,
    summary="Record that the patient allows e-mail, or withdraws that",
    responses={409: ResponseSpec(Problem, description="The patient was erased")},
)
def record_consent(parts: Given, patient_id: FromPath[int], data: RequestBody[Consent]) -> PatientRecord:
    with parts.db() as db, write_tx(db) as tx:
        patient_desk.consent(tx, patient_id, data.email, who=parts.who, now=parts.now())
    return _view(parts, patient_id)


@post(
    "/patients/{patient_id:int}/erase",
    sync_to_thread=True,
    status_code=200,
    summary="Erase a patient for good",
    responses={409: ResponseSpec(Problem, description="A trip has not ended or waits for its invoice, or it was done")},
)
def erase_patient(parts: Given, patient_id: FromPath[int]) -> ErasedPatient:
    """Invoices that were issued keep what they show: docs/operations.md, Erasing a patient."""
    with parts.db() as db:
        left = patient_desk.erase(db, parts.settings, patient_id, who=parts.who, now=parts.now())
    return ErasedPatient(**structs.asdict(_view(parts, patient_id)), left=left)


def _view(parts: Parts, patient_id: int) -> PatientRecord:
    with parts.db() as db, write_tx(db) as tx:
        return make(PatientRecord, patient_desk.view(tx, patient_id, who=parts.who, now=parts.now()))


HANDLERS: list[Any] = [
    search_patients, get_patient, get_patient_audit, add_patient, change_patient, record_consent, erase_patient,
]  # fmt: skip
