"""What a restored box takes back from the central office: each thing as a row of `sync_log` says it was.

Nothing here is logged for the centre again. What was never there (names, addresses, the text of lines) says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.domain import invoice
from appliance.domain.fare import Blocked
from appliance.storage import identity, times
from appliance.storage.db import Row, Tx, insert, row, rows, update, value

ABSENT = "(not in the backup)"
WHO = "restore"
_TRIP = (
    *("ref", "state", "level", "pickup_at", "appointment_at", "accepted_at", "en_route_at", "arrived_pickup_at"),
    *("on_board_at", "arrived_dropoff_at", "completed_at", "cancelled_at", "cancelled_by", "no_show_at"),
    *("contact_attempts", "distance_m", "duration_s"),
)
_LINES = {"base": "Base fare", "distance": "Distance", "wait": "Waiting", "tax": "Tax"}


def changed_since(db: Database, stream: str) -> set[str]:
    """The uids of what this box has written rows of since the restore."""
    query = "SELECT DISTINCT uid FROM sync_log WHERE epoch = ? AND stream = ?"
    return {one["uid"] for one in rows(db, query, identity.epoch(db), stream)}


def take(tx: Tx, stream: str, found: Row, said: Row, issuer: Row, now: datetime) -> None:
    """Makes the thing what the row `found` (`kind`, `uid`, `created_at`) says in `said`. Raises sqlite3.IntegrityError
    where that contradicts what is here."""
    kind = found["kind"]
    if stream == "invoices" and kind not in _TAKEN:
        _invoice(tx, found, said, issuer, now)
    elif kind in _TAKEN:
        _TAKEN[kind](tx, found, said, issuer, now)


def _vehicle(tx: Tx, found: Row, said: Row, _issuer: Row, now: datetime) -> None:
    _put(tx, "vehicles", found["uid"], said, created_at=times.text(now))


def _driver(tx: Tx, found: Row, said: Row, _issuer: Row, now: datetime) -> None:
    _put(tx, "drivers", found["uid"], said, name=said["code"], created_at=times.text(now))


def _payer(tx: Tx, found: Row, said: Row, _issuer: Row, now: datetime) -> None:
    new: Row = {"created_at": times.text(now)}
    said = dict(said)
    if said["kind"] == "patient":
        said["name"] = value(tx, "SELECT name FROM payers WHERE uid = ?", found["uid"]) or ABSENT
        if _id(tx, "payers", found["uid"]) is None:
            new["patient_id"] = insert(tx, "patients", uid=found["uid"], name=ABSENT, created_at=times.text(now))
    _put(tx, "payers", found["uid"], said, **new)


def _rate(tx: Tx, found: Row, said: Row, _issuer: Row, now: datetime) -> None:
    columns = {name: said[name] for name in said if name != "payer_uid"}
    _put(tx, "rates", found["uid"], columns, payer_id=_payer_id(tx, said["payer_uid"], now))


def _trip(tx: Tx, found: Row, said: Row, _issuer: Row, now: datetime) -> None:
    known = row(tx, "SELECT * FROM trips WHERE uid = ?", said["uid"])
    columns: Row = {name: said[name] for name in _TRIP}
    for table, name in (("payers", "payer"), ("patients", "patient"), ("vehicles", "vehicle"), ("drivers", "driver")):
        # Who is not in the backup is nobody here.
        columns[f"{name}_id"] = _id(tx, table, said[f"{name}_uid"])
    columns["outbound_trip_id"] = _id(tx, "trips", said["outbound_uid"])
    columns["updated_at"] = times.text(now)
    if known and known["ref"] and not columns["ref"]:
        columns["ref"] = known["ref"]
    if known and known["ref"] and columns["ref"] == known["ref"][:64]:
        columns["ref"] = known["ref"]  # a long one was cut on its way
    if said["state"] == "completed" and said["distance_m"] is not None:
        columns["trail_closed_at"] = found["created_at"]
    if known:
        update(tx, "trips", known["id"], **columns, version=known["version"] + 1)
        return
    columns |= {"pickup_address": ABSENT, "dropoff_address": ABSENT, "created_at": found["created_at"]}
    insert(tx, "trips", uid=said["uid"], **columns)


def _invoice(tx: Tx, found: Row, said: Row, issuer: Row, now: datetime) -> None:
    known = row(tx, "SELECT * FROM invoices WHERE uid = ?", said["uid"])
    changing = {name: said[name] for name in ("state", "sent_at", "voided_at", "void_reason")}
    if found["kind"] == "print_listed":
        changing["print_listed_at"] = found["created_at"]
    if known:
        if said["state"] == "void":
            changing["void_reason"] = said["void_reason"]
        update(tx, "invoices", known["id"], **changing)
        trip_id = known["trip_id"]
    else:
        trip_id = _trip_id(tx, said, now)
        payer_id = _payer_id(tx, said["payer_uid"], now)
        same = (
            "uid",
            "number",
            "issued_on",
            "due_on",
            "issued_at",
            "currency",
            "total_cents",
            "tax_cents",
            "distance_m",
        )
        id = insert(
            tx,
            "invoices",
            **{name: said[name] for name in same},
            **changing,
            trip_id=trip_id,
            payer_id=payer_id,
            replaces_id=value(tx, "SELECT id FROM invoices WHERE number = ?", said["replaces"]),
            owed_cents=said["total_cents"],
            document=json.dumps(_document(tx, said, trip_id, payer_id, issuer), sort_keys=True, ensure_ascii=False),
        )
        for position, line in enumerate(_lines(said), 1):
            insert(tx, "invoice_lines", invoice_id=id, position=position, **line)
        _count_on(tx, said["number"])
    reason = Blocked.voided.value if said["state"] == "void" else None
    tx.conn.execute("UPDATE trips SET unbilled_reason = ? WHERE id = ?", (reason, trip_id))


def _payment(tx: Tx, _found: Row, said: Row, _issuer: Row, _now: datetime) -> None:
    if _id(tx, "payments", said["uid"]) is None:
        columns = {name: said[name] for name in ("uid", "amount_cents", "paid_on", "reference", "recorded_at")}
        invoice_id = _id(tx, "invoices", said["invoice_uid"])
        insert(tx, "payments", **columns, invoice_id=invoice_id, origin="depot", recorded_by=WHO)


def _credit(tx: Tx, _found: Row, said: Row, issuer: Row, _now: datetime) -> None:
    if _id(tx, "credit_notes", said["uid"]) is not None:
        return
    billed = row(tx, "SELECT * FROM invoices WHERE uid = ?", said["invoice_uid"])
    same = ("uid", "number", "issued_on", "issued_at", "currency", "amount_cents", "tax_cents", "reason")
    frozen: Row = json.loads(billed["document"]) if billed else {"payer": {}, "trip": {"reference": ""}, "lines": []}
    document = {
        **{name: said[name] for name in ("number", "issued_on", "currency", "amount_cents", "tax_cents", "reason")},
        "issuer": {name: issuer[name] for name in ("name", "address", "tax_id")},
        "payer": frozen["payer"],
        "invoice": {name: billed[name] for name in ("number", "issued_on", "total_cents")} if billed else {},
        "trip": {"reference": frozen["trip"]["reference"], "patient": None},
        "tax_text": next((line["text"] for line in frozen["lines"] if line["kind"] == "tax"), "Tax"),
    }
    insert(
        tx,
        "credit_notes",
        **{name: said[name] for name in same},
        invoice_id=billed["id"] if billed else None,
        issued_by=WHO,
        document=json.dumps(document, sort_keys=True, ensure_ascii=False),
    )
    _count_on(tx, said["number"].replace("-CN-", "-"), "CN-")


def _adjustment(tx: Tx, _found: Row, said: Row, _issuer: Row, _now: datetime) -> None:
    columns = {
        name: said[name]
        for name in ("state", "old_distance_m", "new_distance_m", "new_total_cents", "raised_at", "decided_at")
    }
    _put(tx, "adjustments", said["uid"], columns, invoice_id=_id(tx, "invoices", said["invoice_uid"]))


_TAKEN: dict[str, Callable[[Tx, Row, Row, Row, datetime], None]] = {
    "vehicle": _vehicle,
    "driver": _driver,
    "payer": _payer,
    "rate": _rate,
    "trip": _trip,
    "trail": lambda *_given: None,
    "payment": _payment,
    "credit": _credit,
    "adjustment": _adjustment,
}


def _put(tx: Tx, table: str, uid: str, columns: Row, **of_new: Any) -> None:
    """Changes the row of that uid, or inserts it with `of_new`."""
    id = _id(tx, table, uid)
    if id is None:
        insert(tx, table, uid=uid, **columns, **of_new)
    else:
        update(tx, table, id, **columns)


def _id(db: Database, table: str, uid: str | None) -> int | None:
    found = value(db, f"SELECT id FROM {table} WHERE uid = ?", uid)
    return None if found is None else int(found)


def _payer_id(tx: Tx, uid: str, now: datetime) -> int:
    """A payer whose own row is not there has no name."""
    found = _id(tx, "payers", uid)
    if found is not None:
        return found
    return insert(
        tx, "payers", uid=uid, name=f"{ABSENT} {uid}", kind="broker", delivery="print", created_at=times.text(now)
    )


def _trip_id(tx: Tx, said: Row, now: datetime) -> int:
    """A trip whose own row is not there is known by its invoice alone."""
    found = _id(tx, "trips", said["trip_uid"])
    if found is not None:
        return found
    return insert(
        tx,
        "trips",
        uid=said["trip_uid"],
        state="completed",
        pickup_at=said["issued_at"],
        completed_at=said["issued_at"],
        pickup_address=ABSENT,
        dropoff_address=ABSENT,
        distance_m=said["distance_m"],
        created_at=times.text(now),
        updated_at=times.text(now),
    )


def _lines(said: Row) -> list[Row]:
    return [
        {
            "kind": line.kind,
            "text": _LINES.get(line.kind, line.kind.replace("_", " ").capitalize()),
            "quantity": line.quantity,
            "unit": line.unit,
            "unit_cents": line.unit_cents,
            "amount_cents": line.amount_cents,
        }
        for line in said["lines"]
    ]


def _document(tx: Tx, said: Row, trip_id: int, payer_id: int, issuer: Row) -> Row:
    trip = row(tx, "SELECT * FROM trips WHERE id = ?", trip_id)
    payer = row(tx, "SELECT * FROM payers WHERE id = ?", payer_id)
    assert trip is not None
    assert payer is not None
    return {
        **{name: said[name] for name in ("number", "issued_on", "due_on", "currency", "total_cents", "tax_cents")},
        "issuer": issuer,
        "payer": {"name": payer["name"], "address": payer["address"]},
        "trip": {
            "reference": trip["ref"] or f"trip {trip_id}",
            "pickup": (trip["arrived_pickup_at"] or trip["on_board_at"] or trip["pickup_at"])[:16],
            "from": trip["pickup_address"],
            "to": trip["dropoff_address"],
            "level": trip["level"],
            "patient": None,
            "distance": None,
        },
        "lines": _lines(said),
    }


def _count_on(tx: Tx, number: str, before: str = "") -> None:
    """The counter of a number's series is never behind it."""
    parts = invoice.parse(number)
    tx.conn.execute(
        "INSERT INTO invoice_counters VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last = max(last, excluded.last)",
        (parts.year, f"{before}{parts.series}", parts.count),
    )
