"""What is decided about patients: adding, looking at and changing one, consent to mail, and erasing one.

Every change and every view of a record is in the audit log, by the patient's `uid`: never a name. A change is told
there by the names of the fields, a search by the records that it showed.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType
from sqlite_utils import Database

from appliance import mailer, typed, versions
from appliance.config import Settings
from appliance.domain.trip import LevelOfService
from appliance.errors import InputError, NotFound, Refused
from appliance.storage import audit, erasure, payers, people, times, trips
from appliance.storage import db as storage
from appliance.storage.db import Row, Tx, write_tx
from appliance.storage.erasure import Left

SHOWN_AT_MOST = 50


class PatientDetails(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a patient; what is left out stays as it is. `level` is how the patient mostly travels, or null;
    `needs` what whoever drives must know, such as oxygen or a key safe."""

    name: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    level: LevelOfService | UnsetType | None = UNSET
    needs: str | UnsetType = UNSET


_CHECKS: dict[str, typed.Check] = {
    "name": typed.name,
    "address": typed.lines,
    "phone": typed.line,
    "email": typed.email,
    "level": lambda given, _field: given,
    "needs": typed.lines,
}
_WHO_IT_IS = ("name", "address", "phone", "email")
"""By which a patient is searched for, and what is erased from other people's texts."""


def add(tx: Tx, details: PatientDetails, *, who: str, now: datetime) -> int:
    """Adds a patient and returns the id. Raises InputError."""
    columns = typed.columns(details, _CHECKS)
    if "name" not in columns:
        raise InputError("expected a name", subject="name")
    _must_be_new(tx, columns["name"])
    id = people.add_patient(tx, columns.pop("name"), now, **columns)
    _audit(tx, _get(tx, id), "patient.added", who, now)
    return id


def view(tx: Tx, id: int, *, who: str, now: datetime) -> Row:
    """A patient's record, with `email_consent` and `payer_id`; that it was looked at is in the audit log. Raises
    NotFound."""
    found = _get(tx, id)
    _audit(tx, found, "patient.viewed", who, now)
    return _record(tx, found)


def search(tx: Tx, query: str, *, who: str, now: datetime) -> tuple[list[Row], int]:
    """The records in which each word of the query stands (in name, address, phone or e-mail, however it is written),
    by name, SHOWN_AT_MOST of them, and how many there are. Each that is shown counts as viewed."""
    words = query.casefold().split()
    found = [one for one in people.patients(tx) if all(word in _searched(one) for word in words)]
    shown = found[:SHOWN_AT_MOST]
    for one in shown:
        _audit(tx, one, "patient.viewed", who, now, "search")
    return [_record(tx, one) for one in shown], len(found)


def change(tx: Tx, id: int, details: PatientDetails, *, version: int | None = None, who: str, now: datetime) -> None:
    """Changes what `details` gives, also of the payer that the patient is. Invoices that were issued stay as they are.
    Raises NotFound, InputError, Refused for who was erased, and Outdated where the record is not of the `version`.
    """
    found = _kept(tx, id)
    versions.must_be_seen(tx, found, version, "patient", f"patient {id}")
    changed = typed.changed(details, _CHECKS, found)
    if "name" in changed:
        _must_be_new(tx, changed["name"], but=id)
    if not changed:
        return
    people.change_patient(tx, id, **changed)
    if payer := payers.of_patient(tx, id):
        # An address of its own for the bills stays.
        same = {name: value for name, value in changed.items() if name in payer and payer[name] == found[name]}
        if same:
            payers.change(tx, payer["id"], now, **same)
            audit.record(tx, who, "payer.changed", "payer", payer["uid"], now, ", ".join(sorted(same)))
    _audit(tx, found, "patient.changed", who, now, ", ".join(sorted(changed)))


def consent(tx: Tx, id: int, given: bool, *, who: str, now: datetime) -> None:
    """Records that the patient allows e-mail, or withdraws that. Raises NotFound and Refused like `change`."""
    found = _kept(tx, id)
    people.record_consent(tx, id, given, who, now)
    _audit(tx, found, "patient.consent", who, now, "given" if given else "withdrawn")


def erase(db: Database, settings: Settings, id: int, *, who: str, now: datetime) -> list[Left]:
    """Erases a patient for good; docs/operations.md, Erasing a patient, says what goes and what must stay. Returns
    where something still looks like the patient: that may be about somebody else, so a person looks at it.

    Raises NotFound; Refused where it was done, or while a trip of the patient has not ended or waits for its invoice,
    naming it; and Unavailable where a mail in the outbox cannot be deleted. Then nothing was erased.
    """
    with write_tx(db) as tx:
        found = _kept(tx, id)
        if theirs := trips.open_of(tx, "patient_id", id):
            raise Refused(trips.told(theirs), subject=f"patient {id}", hint="let them end, or cancel them")
        if waiting := trips.waiting_for_invoice(tx, id):
            raise Refused(f"trip {waiting} waits for its invoice", subject=f"patient {id}", hint="try again later")
        payer = payers.of_patient(tx, id)
        known = [one[name] for one in (found, payer) if one for name in _WHO_IT_IS[1:] if one.get(name)]
        mails = erasure.mails_to(tx, id, [one["email"] for one in (found, payer) if one])
        erasure.words(tx, id, found["name"], known)
        erasure.addresses_of_trips(tx, id)
        erasure.manifests(tx, id)
        if people.consents_to_email(tx, id):
            people.record_consent(tx, id, False, who, now)
        gone = {"name": erasure.ERASED, "address": "", "email": ""}
        people.change_patient(tx, id, **gone, phone="", born_on=None, level=None, needs="", erased_at=times.text(now))
        if payer:
            payers.change(tx, payer["id"], now, **gone, delivery="print")
        mailer.forget(settings, mails)
        left = erasure.left(tx, found["name"], known)
        _audit(tx, found, "patient.erased", who, now)
    storage.wipe(db)
    return left


def history(db: Database, id: int, limit: int) -> list[Row]:
    """Who looked at the record and changed it, the newest first; never what stood in it. Raises NotFound."""
    return audit.of_subject(db, "patient", _get(db, id)["uid"], limit)


def unknown(id: int) -> NotFound:
    return NotFound("no such patient", subject=f"patient {id}", hint="`depotbox patient list` shows them")


def _get(db: Database, id: int) -> Row:
    found = people.patient(db, id)
    if found is None:
        raise unknown(id)
    return found


def _kept(tx: Tx, id: int) -> Row:
    found = _get(tx, id)
    if found["erased_at"]:
        raise Refused("the patient was erased", subject=f"patient {id}")
    return found


def _must_be_new(tx: Tx, name: str, *, but: int | None = None) -> None:
    """Trips and manifests know a patient by the name, however it is written."""
    found = people.patient_by_name(tx, name) or people.patient_written_otherwise(tx, name)
    if found and found["id"] != but:
        hint = "add what tells the two apart, such as a year of birth"
        raise InputError("there is already a patient with this name", subject="name", hint=hint)


def _record(tx: Tx, found: Row) -> Row:
    payer = payers.of_patient(tx, found["id"])
    consents = people.consents_to_email(tx, found["id"])
    return {**found, "email_consent": consents, "payer_id": payer["id"] if payer else None}


def _searched(patient: Row) -> str:
    return "\n".join(patient[name] for name in _WHO_IT_IS).casefold()


def _audit(tx: Tx, patient: Row, action: str, who: str, now: datetime, detail: str = "") -> None:
    audit.record(tx, who, action, "patient", patient["uid"], now, detail)
