"""Names of patients: for callers who may look at patients, and for nobody else. Nobody knows what stands in the texts
that people type, so they go with the names."""

from __future__ import annotations

from typing import Any

from appliance.domain.access import Permission
from appliance.storage.db import Row
from web.parts import Parts

HIDDEN = "(not shown)"


def said(parts: Parts, text: str | None) -> str | None:
    """What a person typed about a trip or an invoice, or what a program said: any name may stand in it."""
    return text if not text or parts.may(Permission.patients) else HIDDEN


def hide(parts: Parts, row: Row, *columns: str) -> Row:
    """The row, with these columns as the caller may read them."""
    return {**row, **{name: said(parts, row[name]) for name in columns}}


def of_job(parts: Parts, row: Row) -> Row:
    """The row of a job for the caller: its arguments by their numbers alone, and none of its words."""
    if parts.may(Permission.patients):
        return row
    shown = hide(parts, row, *(name for name in ("error", "traceback") if name in row))
    if "arguments" in row:
        given = {name: HIDDEN if isinstance(value, (str, list, dict)) else value
                 for name, value in row["arguments"].items()}  # fmt: skip
        shown |= {"arguments": given, "result": None if row["result"] is None else HIDDEN}
    return shown


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
    if "reason" in document:  # of a credit note
        shown["reason"] = HIDDEN
    return shown | ({"payer": {"name": HIDDEN, "address": ""}} if payer_kind == "patient" else {})
