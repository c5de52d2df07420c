"""What was told of a trip, to whom: messages in inboxes, and mails."""

from __future__ import annotations

from sqlite_utils import Database

from appliance.storage.db import Row, rows

_ASSIGNED = "users.tasks.send_trip_assignment_notification"


def messages(db: Database, trip_id: int, invoices: list[int]) -> list[Row]:
    """The messages about a trip and its invoices, each once: type, message, created_at, how many users got it
    (`users`) and have read it (`read`), and the name of one of them."""
    found = []
    for key in (f"completed:{trip_id}", *(row["id"] for row in _assignments(db, trip_id))):
        found += rows(db, _message("n.key = ?"), key)
    for prefix in (f"unbilled:{trip_id}:", *(f"adjustment:{id}:" for id in invoices)):
        found += rows(db, _message("n.key >= ?1 AND n.key < substr(?1, 1, length(?1) - 1) || ';'"), prefix)
    return sorted((row for row in found if row["users"]), key=lambda row: str(row["created_at"]))


def mails(db: Database, trip_id: int, invoice_uids: list[str]) -> list[Row]:
    """The mails about a trip and its invoices: kind, subject, state, created_at, sent_at, last_error. To whom they went
    is not among it."""
    select = "SELECT kind, subject, state, created_at, sent_at, last_error FROM mails WHERE kind = ?"
    found = []
    for row in _assignments(db, trip_id):
        found += rows(db, f"{select} AND key = ?", "assignment", row["id"])
    for uid in invoice_uids:
        found += rows(db, f"{select} AND key = ?", "invoice", uid)
        found += rows(db, f"{select} AND key >= ? AND key < ?", "reminder", f"{uid}.", f"{uid}/")
    return sorted(found, key=lambda row: str(row["created_at"]))


def invoices(db: Database, trip_id: int) -> list[Row]:
    """All invoices of a trip, the void ones too, in the order in which they were issued."""
    columns = "id, uid, number, state, issued_at, total_cents, currency, due_on, sent_at, print_listed_at, void_reason"
    return rows(db, f"SELECT {columns} FROM invoices WHERE trip_id = ? ORDER BY id", trip_id)


def _assignments(db: Database, trip_id: int) -> list[Row]:
    """The jobs that told drivers of the trip."""
    query = "SELECT id FROM jobs WHERE name = ? AND json_extract(arguments, '$.trip_id') = ?"
    return rows(db, query, _ASSIGNED, trip_id)


def _message(condition: str) -> str:
    """By user first: the index of what was told begins with that."""
    return (
        "SELECT n.type, n.message, min(n.created_at) AS created_at, count(*) AS users, count(n.read_at) AS read,"
        f" min(u.name) AS name FROM users u JOIN notifications n ON n.user_id = u.id AND {condition}"
        " GROUP BY n.key, n.type, n.message"
    )
