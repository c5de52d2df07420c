"""What is decided about payers: who pays, where the invoices go, and by when they are due. All is audited."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from appliance import invoice_desk, typed, versions
from appliance.config import Settings
from appliance.errors import InputError, NotFound, Refused
from appliance.jobs import Ask
from appliance.storage import audit, payers, people, trips
from appliance.storage.db import Row, Tx

Kind = Literal["patient", "broker", "facility"]
LONGEST_TERMS_DAYS = 365


class PayerDetails(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a payer; what is left out stays as it is. The name of a patient who pays is the patient's."""

    name: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    delivery: Literal["mail", "print"] | UnsetType = UNSET
    terms_days: int | UnsetType = UNSET


class NewPayer(PayerDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payer to add: a broker or a facility by its name, or a patient (`patient_id`) who pays."""

    kind: Kind
    patient_id: Annotated[int, Meta(ge=1, le=2**53)] | None = None


def _terms(given: int, field: str) -> int:
    if not 0 <= given <= LONGEST_TERMS_DAYS:
        raise InputError(f"expected 0 to {LONGEST_TERMS_DAYS} days", subject=f"{field} {given}")
    return given


_CHECKS: dict[str, typed.Check] = {
    "name": typed.name,
    "address": typed.lines,
    "email": typed.email,
    "delivery": lambda given, _field: given,
    "terms_days": _terms,
}


def add(tx: Tx, new: NewPayer, settings: Settings, *, who: str, now: datetime) -> tuple[int, list[Ask]]:
    """Adds a payer and returns its id. Trips without an invoice of a patient who now pays are the new payer's, and are
    billed where the rates are there. Raises InputError, NotFound for the patient, and Refused for one who pays already.
    """
    columns = typed.columns(new, _CHECKS)
    if (new.kind == "patient") != (new.patient_id is not None):
        raise InputError("expected the patient where, and only where, a patient pays", subject="patient")
    if new.patient_id is not None:
        patient = people.patient(tx, new.patient_id)
        if patient is None or patient["erased_at"]:
            raise NotFound("no such patient", subject=f"patient {new.patient_id}")
        if payers.of_patient(tx, new.patient_id):
            raise Refused("the patient is a payer already", subject=f"patient {new.patient_id}")
        if "name" in columns:
            raise InputError("the name of a patient who pays is the patient's", subject="name")
        columns = {name: patient[name] for name in ("name", "address", "email")} | columns
    elif "name" not in columns:
        raise InputError("expected a name", subject="name")
    else:
        _must_be_new(tx, columns["name"])
    id = payers.add(tx, columns.pop("name"), new.kind, now, patient_id=new.patient_id, **columns)
    if new.patient_id is not None:
        trips.give_payer(tx, new.patient_id, id, now)
    _audit(tx, id, "payer.added", who, now, new.kind)
    return id, invoice_desk.ask_for_unblocked(tx, settings, now)


def change(tx: Tx, id: int, details: PayerDetails, *, version: int | None = None, who: str, now: datetime) -> None:
    """Changes what `details` gives; invoices that were issued stay as they are. Raises NotFound, InputError, and
    Outdated where the payer is not of the `version`."""
    found = get(tx, id)
    versions.must_be_seen(tx, found, version, "payer", f"payer {id}")
    changed = typed.changed(details, _CHECKS, found)
    if "name" in changed:
        if found["kind"] == "patient":
            raise InputError("the name of a patient who pays is the patient's", subject="name")
        _must_be_new(tx, changed["name"])
    if changed:
        payers.change(tx, id, now, **changed)
        _audit(tx, id, "payer.changed", who, now, ", ".join(sorted(changed)))


def get(tx: Tx, id: int) -> Row:
    found = payers.get(tx, id)
    if found is None:
        raise unknown(id)
    return found


def unknown(payer: int | str) -> NotFound:
    return NotFound("no such payer", subject=f"payer {payer}", hint="`depotbox payer list` shows them")


def _must_be_new(tx: Tx, name: str) -> None:
    if payers.by_name(tx, name):
        raise InputError("there is already a payer with this name", subject=name)


def _audit(tx: Tx, id: int, action: str, who: str, now: datetime, detail: str) -> None:
    audit.record(tx, who, action, "payer", get(tx, id)["uid"], now, detail)
