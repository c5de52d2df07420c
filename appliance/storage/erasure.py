"""Taking a person's data out of what is kept besides the record: trips, mails, notifications, jobs, free text.

Only what is about the patient is changed: the patient's trips, their invoices, and what hangs on these. A name may be a
word like others, and what another person's papers say is theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from appliance.storage.db import Tx, rows, update

ERASED = "(erased)"
LEAST = 4
"""Shorter words, and numbers of fewer digits, stand everywhere and mean nobody."""
NAMED_AT_MOST = 5

_TRIPS = "SELECT id FROM trips WHERE patient_id = ?1"
_INVOICES = (
    f"SELECT id FROM invoices WHERE trip_id IN ({_TRIPS}) OR payer_id IN (SELECT id FROM payers WHERE patient_id = ?1)"
)
_OF_INVOICES = f"invoice_id IN ({_INVOICES})"
_JOBS = (
    f"json_extract(arguments, '$.trip_id') IN ({_TRIPS})"
    f" OR json_extract(arguments, '$.invoice_id') IN ({_INVOICES})"
    f" OR json_extract(arguments, '$.credit_note_id') IN (SELECT id FROM credit_notes WHERE {_OF_INVOICES})"
    f" OR json_extract(arguments, '$.reminder_id') IN (SELECT id FROM reminders WHERE {_OF_INVOICES})"
)
_UIDS = (
    f"SELECT uid FROM invoices WHERE id IN ({_INVOICES}) UNION ALL SELECT uid FROM credit_notes WHERE {_OF_INVOICES}"
)
_MAILS = f"substr(key, 1, 26) IN ({_UIDS})"  # the key is the uid, or begins with it


def _key_of(word: str, ids: str) -> str:
    """Whether the key begins with `word:id:`, of one of these ids."""
    after = len(word) + 2
    return f"substr(key, 1, instr(substr(key, {after}), ':') + {after - 2}) IN (SELECT '{word}:' || id FROM ({ids}))"


_NOTIFICATIONS = (
    f"key IN (SELECT 'completed:' || id FROM ({_TRIPS})) OR {_key_of('unbilled', _TRIPS)}"
    f" OR {_key_of('adjustment', _INVOICES)}"
    f" OR key IN (SELECT 'reminder:' || id FROM reminders WHERE {_OF_INVOICES})"
    f" OR key IN (SELECT id FROM jobs WHERE {_JOBS})"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where people or programs may have written a name. `own`: which rows are about the patient with the id ?1.
    `about`: how a person finds such a row. In what `people` typed a part of the name is the patient, too."""

    title: str
    table: str
    columns: tuple[str, ...]
    own: str
    about: str
    people: bool = False
    documents: tuple[str, ...] = ()
    """Columns of JSON, of which only the texts count."""


_NUMBER = "(SELECT number FROM invoices WHERE id = invoice_id)"
_PLACES = (
    _Place("notes of what happened to a trip", "trip_events", ("note",), f"trip_id IN ({_TRIPS})",
           "'trip ' || trip_id", people=True),
    _Place("notes of trips", "trips", ("notes",), "patient_id = ?1", "'trip ' || id", people=True),
    _Place("references of payments", "payments", ("reference",), _OF_INVOICES, _NUMBER, people=True),
    _Place("reasons of void invoices", "invoices", ("void_reason",), f"id IN ({_INVOICES})", "number", people=True),
    _Place("reasons of credit notes", "credit_notes", ("reason",), _OF_INVOICES, "number", people=True),
    _Place("mails", "mails", ("recipient", "subject", "last_error"), _MAILS, "'mail ' || id"),
    _Place("notifications", "notifications", ("message",), _NOTIFICATIONS, "'notification ' || id"),
    _Place("jobs", "jobs", ("error", "traceback"), _JOBS, "'job ' || id", documents=("arguments", "result")),
)  # fmt: skip
"""The two logs cannot be changed."""


class Left(Struct, frozen=True, kw_only=True):
    """Where something still looks like the patient: `title` says in what, `count` in how many, `about` which ones, five
    of them at most."""

    title: str
    count: int
    about: list[str]


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


def mails_to(tx: Tx, patient_id: int, recipients: Collection[str]) -> list[str]:
    """Takes these addresses out of the mails to them, and returns the Message-IDs. Where somebody else has the address,
    too, of the mails about the patient's own invoices only."""
    wanted = {recipient.casefold() for recipient in recipients} - {""}
    others = rows(
        tx,
        "SELECT email FROM patients WHERE id <> ?1 UNION SELECT email FROM payers WHERE patient_id IS NOT ?1"
        " UNION SELECT email FROM users UNION SELECT email FROM drivers",
        patient_id,
    )
    shared = {one["email"].casefold() for one in others}
    found = rows(tx, f"SELECT id, message_id, recipient, {_MAILS} AS own FROM mails", patient_id)
    theirs = [
        mail for mail in found
        if (address := mail["recipient"].casefold()) in wanted and (mail["own"] or address not in shared)
    ]  # fmt: skip
    for mail in theirs:
        update(tx, "mails", mail["id"], recipient=ERASED)
    return [mail["message_id"] for mail in theirs]


def words(tx: Tx, patient_id: int, name: str, others: Collection[str]) -> None:
    """Replaces the name and the other texts, wherever they stand as words of their own in what is about the patient."""
    full = _pattern([name, *others])
    parts = _pattern([name, *others, *name.split()])
    for place in _PLACES:
        pattern = parts if place.people else full
        for found in _read(tx, place, f"WHERE {place.own}", patient_id):
            new = {column: pattern.sub(ERASED, text) for column in place.columns if (text := found[column])}
            for column in place.documents:
                if found[column]:
                    new[column] = json.dumps(_inside(json.loads(found[column]), pattern))
            if changed := {column: text for column, text in new.items() if text != found[column]}:
                update(tx, place.table, found["id"], **changed)


def left(tx: Tx, name: str, others: Collection[str]) -> list[Left]:
    """Where the name, a part of it or one of the other texts still stands, after `words`."""
    pattern = _pattern([name, *others, *name.split()])

    def shows(place: _Place, found: dict[str, Any]) -> bool:
        return any(pattern.search(found[column] or "") for column in (*place.columns, *place.documents))

    told = []
    for place in _PLACES:
        hits = [found["about"] for found in _read(tx, place, "WHERE ?1 IS NULL", None) if shows(place, found)]
        if hits:
            about = list(dict.fromkeys(hits))[:NAMED_AT_MOST]
            told.append(Left(title=place.title, count=len(hits), about=about))
    return told


def _read(tx: Tx, place: _Place, where: str, patient_id: int | None) -> list[dict[str, Any]]:
    columns = ", ".join((*place.columns, *place.documents))
    return rows(tx, f"SELECT id, {place.about} AS about, {columns} FROM {place.table} {where}", patient_id)


def _pattern(wanted: Collection[str]) -> re.Pattern[str]:
    """These texts as words of their own; what is too short stands for nothing."""
    long = {text for text in wanted if sum(char.isalnum() for char in text) >= LEAST}
    either = "|".join(re.escape(text) for text in sorted(long, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)" if either else r"(?!)", re.IGNORECASE)


def _inside(value: Any, pattern: re.Pattern[str]) -> Any:
    """A JSON value whose texts are without it: a number that looks like a word is none."""
    if isinstance(value, str):
        return pattern.sub(ERASED, value)
    if isinstance(value, list):
        return [_inside(one, pattern) for one in value]
    return {key: _inside(one, pattern) for key, one in value.items()} if isinstance(value, dict) else value
