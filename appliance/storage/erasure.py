"""Taking a person's data out of what is kept besides the record: trips, mails, notifications, jobs, free text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import Any

from appliance.storage.db import Tx, rows, update

ERASED = "(erased)"

_TEXTS = {
    "notifications": ("message",),
    "mails": ("recipient", "subject", "last_error"),
    "jobs": ("error", "traceback"),
    "payments": ("reference",),
    "trip_events": ("reason", "note"),
    "trips": ("notes",),
    "invoices": ("void_reason",),
    "credit_notes": ("reason",),
}
"""Where people or programs may have written a name: table -> columns. The two logs cannot be changed."""


def addresses_of_trips(tx: Tx, patient_id: int) -> None:
    """Both addresses and places of each trip: which of the two is the patient's own, free text does not tell."""
    tx.conn.execute(
        "UPDATE trips SET pickup_address = ?1, dropoff_address = ?1, notes = '', pickup_lat = NULL, pickup_lon = NULL,"
        " dropoff_lat = NULL, dropoff_lon = NULL WHERE patient_id = ?2",
        (ERASED, patient_id),
    )


def manifests(tx: Tx, patient_id: int) -> None:
    """What manifests said of the patient and of the trips, and by which numbers payers know the patient."""
    tx.conn.execute("DELETE FROM members WHERE patient_id = ?", (patient_id,))
    tx.conn.execute(
        "DELETE FROM manifest_trips WHERE trip_id IN (SELECT id FROM trips WHERE patient_id = ?)", (patient_id,)
    )


def mails_to(tx: Tx, recipients: Collection[str]) -> list[str]:
    """The Message-IDs of mails that went, or were to go, to these addresses."""
    wanted = {recipient.casefold() for recipient in recipients}
    found = rows(tx, "SELECT message_id, recipient FROM mails")
    return [mail["message_id"] for mail in found if mail["recipient"].casefold() in wanted]


def words(tx: Tx, wanted: Collection[str]) -> None:
    """Replaces these words, wherever they stand as words of their own, in all free text that may be changed."""
    either = "|".join(re.escape(word) for word in sorted(wanted, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)

    def without(text: str) -> str:
        return pattern.sub(ERASED, text)

    for table, columns in _TEXTS.items():
        _replace(tx, table, columns, without)
    _replace(tx, "jobs", ("arguments", "result"), lambda text: json.dumps(_inside(json.loads(text), without)))


def _replace(tx: Tx, table: str, columns: Collection[str], without: Callable[[str], str]) -> None:
    for found in rows(tx, f"SELECT id, {', '.join(columns)} FROM {table}"):
        id = found.pop("id")
        new = {name: without(text) for name, text in found.items() if text}
        if changed := {name: text for name, text in new.items() if text != found[name]}:
            update(tx, table, id, **changed)


def _inside(value: Any, without: Callable[[str], str]) -> Any:
    """The same for the texts in a JSON value: a number that looks like a word is none."""
    if isinstance(value, str):
        return without(value)
    if isinstance(value, list):
        return [_inside(one, without) for one in value]
    return {key: _inside(one, without) for key, one in value.items()} if isinstance(value, dict) else value
