"""The line to the central office: how it is, what waits in flight, news that came down it, and the nightly receipts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.storage import identity, times
from appliance.storage.db import Row, Tx, row, rows, value

RESTORED_TRIPS = "restored_trips"
"""The identity key of the last trip that was in the backup."""


def state(db: Database) -> Row:
    """The one row of `uplink`."""
    found = row(db, "SELECT * FROM uplink")
    assert found is not None
    return found


def put(tx: Tx, **columns: Any) -> None:
    sets = ", ".join(f"{name} = ?" for name in columns)
    tx.conn.execute(f"UPDATE uplink SET {sets}", tuple(columns.values()))


def lacks(db: Database) -> bool:
    """Whether the box was restored, and what was lost is not back yet."""
    return identity.epoch(db) > int(state(db)["recovered_epoch"])


def holds_billing(db: Database, trip_id: int) -> bool:
    """Whether a trip may have been billed before the restore without that this box knows, and nobody has decided to
    bill it anyway."""
    if not lacks(db) or identity.epoch(db) <= int(state(db)["freed_epoch"]):
        return False
    return trip_id <= int(identity.get(db, RESTORED_TRIPS, "0"))


def answered(tx: Tx, now: datetime) -> None:
    """The centre has taken what was sent: nothing is wrong with the line."""
    put(
        tx, answered_at=times.text(now), problem=None, problem_status=None, problem_at=None, failures=0, retry_at=None
    )  # fmt: skip


def trouble(tx: Tx, problem: str, status: int | None, retry_at: datetime, now: datetime) -> None:
    """Why nothing goes, since when, and when it is tried again. Counts the failures in a row."""
    tx.conn.execute(
        "UPDATE uplink SET problem_at = iif(problem_status IS ?2, coalesce(problem_at, ?4), ?4), problem = ?1,"
        " problem_status = ?2, retry_at = ?3, failures = failures + 1",
        (problem, status, times.text(retry_at), times.text(now)),
    )


def stops(db: Database) -> list[Row]:
    """The streams that stand still: `stream`, `code`, `detail`, `since`, `retry_at`."""
    return rows(db, "SELECT * FROM uplink_stops ORDER BY stream")


def stop(tx: Tx, stream: str, code: str, detail: str, retry_at: datetime, now: datetime) -> None:
    tx.conn.execute(
        "INSERT INTO uplink_stops VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET code = excluded.code,"
        " detail = excluded.detail, retry_at = excluded.retry_at",
        (stream, code, detail, times.text(now), times.text(retry_at)),
    )


def go_on(tx: Tx, stream: str) -> None:
    tx.conn.execute("DELETE FROM uplink_stops WHERE stream = ?", (stream,))


def at_once(tx: Tx, now: datetime) -> None:
    """No wait stands any more."""
    put(tx, retry_at=None)
    tx.conn.execute("UPDATE uplink_stops SET retry_at = ?", (times.text(now),))


def keep_news(tx: Tx, news: Row, now: datetime) -> bool:
    """Keeps a piece of news: `kind`, `uid`, `number`, `at`, `amount_cents`, `paid_on`, `reference`. False where it is
    known."""
    done = tx.conn.execute(
        "INSERT INTO downlink (kind, uid, number, at, amount_cents, paid_on, reference, received_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            *(news[name] for name in ("kind", "uid", "number", "at", "amount_cents", "paid_on", "reference")),
            times.text(now),
        ),
    )
    return bool(done.rowcount)


def note_news(tx: Tx, kind: str, uid: str, reason: str | None) -> None:
    """Why a piece of news could not be applied; None where it was."""
    tx.conn.execute("UPDATE downlink SET reason = ? WHERE kind = ? AND uid = ?", (reason, kind, uid))


def kept_news(db: Database) -> list[Row]:
    """News that could not be applied, oldest first, with their `reason`."""
    return rows(db, "SELECT * FROM downlink WHERE reason IS NOT NULL ORDER BY received_at, uid")


def keep_receipt(
    tx: Tx, *, night: str, at: str, received_at: str, instance: str, whole: bool, receipt: str, signature: str,
    now: datetime,
) -> None:  # fmt: skip
    """A later receipt of the same night takes the place of the one before."""
    tx.conn.execute(
        "INSERT OR REPLACE INTO receipts (night, at, received_at, kept_at, instance, whole, receipt, signature)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (night, at, received_at, times.text(now), instance, int(whole), receipt, signature),
    )


def receipts(db: Database, limit: int, offset: int = 0) -> list[Row]:
    """The newest first."""
    return rows(db, "SELECT * FROM receipts ORDER BY night DESC LIMIT ? OFFSET ?", limit, offset)


def count_receipts(db: Database) -> int:
    return int(value(db, "SELECT count(*) FROM receipts"))


def last_receipt(db: Database) -> Row | None:
    """The receipt that was kept last."""
    return row(db, "SELECT * FROM receipts ORDER BY kept_at DESC LIMIT 1")


def last_whole(db: Database) -> Row | None:
    """The newest receipt that says that nothing differs."""
    return row(db, "SELECT * FROM receipts WHERE whole = 1 ORDER BY kept_at DESC LIMIT 1")


def sums(db: Database) -> list[Row]:
    """By currency over all invoices: `invoices`, `total_cents`, `void`, `void_cents`, `paid_cents` (payments that the
    depot took), `credited_cents`."""
    found = {
        one["currency"]: {**one, "paid_cents": 0, "credited_cents": 0}
        for one in rows(
            db,
            "SELECT currency, sum(state <> 'void') AS invoices,"
            " sum(iif(state <> 'void', total_cents, 0)) AS total_cents, sum(state = 'void') AS void,"
            " sum(iif(state = 'void', total_cents, 0)) AS void_cents"
            " FROM invoices INDEXED BY invoices_sums GROUP BY currency ORDER BY currency",
        )
    }
    paid = rows(
        db,
        "SELECT currency, sum(amount_cents) AS cents FROM payments INDEXED BY payments_sums"
        " CROSS JOIN invoices INDEXED BY invoices_sums ON invoices.id = invoice_id WHERE origin = 'depot'"
        " GROUP BY currency",
    )
    credited = rows(db, "SELECT currency, sum(amount_cents) AS cents FROM credit_notes GROUP BY currency")
    for name, amounts in (("paid_cents", paid), ("credited_cents", credited)):
        for one in amounts:
            found[one["currency"]][name] = one["cents"]
    return list(found.values())


def trip_states(db: Database) -> dict[str, int]:
    """How many trips are in each state."""
    return {one["state"]: one["n"] for one in rows(db, "SELECT state, count(*) AS n FROM trips GROUP BY state")}
