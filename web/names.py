"""Names of patients: for callers who may look at patients, and for nobody else."""

from __future__ import annotations

from typing import Any

from appliance.domain.access import Permission
from appliance.storage.db import Row
from web.parts import Parts

HIDDEN = "(not shown)"


def of_trip(parts: Parts, row: Row) -> Row:
    """The row of a trip (`storage/board.py`) for the caller: without the patient, who may be the payer too."""
    if parts.may(Permission.patients):
        return row
    return {**row, "patient": None, "payer": None if row["payer_kind"] == "patient" else row["payer"]}


def of_payer(parts: Parts, row: Row) -> str:
    """The payer of a row with `payer` and `payer_kind`, who may be a patient."""
    return HIDDEN if row["payer_kind"] == "patient" and not parts.may(Permission.patients) else str(row["payer"])


def of_document(parts: Parts, document: dict[str, Any], payer_kind: str) -> dict[str, Any]:
    """What an invoice shows, as the caller may see it. The invoice itself keeps all of it."""
    if parts.may(Permission.patients):
        return document
    trip = document["trip"]
    shown = {**document, "trip": {**trip, "patient": HIDDEN if trip["patient"] else None}}
    return shown | ({"payer": {"name": HIDDEN, "address": ""}} if payer_kind == "patient" else {})
