"""What leaves the box by mail: a row of its own around the sending, so that a crash in between is seen."""

from __future__ import annotations

from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, Tx, row, value


def find(db: Database, kind: str, key: str) -> Row | None:
    """The one mail of a kind about one thing."""
    return row(db, "SELECT * FROM mails WHERE kind = ? AND key = ?", kind, key)


def copies(db: Database, kind: str, key: str) -> int:
    """How many mails there are with a copy of what the mail with this key had."""
    return int(value(db, "SELECT count(*) FROM mails WHERE kind = ? AND key GLOB ?", kind, f"{copy_key(key, 0)[:-1]}*"))


def copy_key(key: str, copy: int) -> str:
    """The key of the mail with that copy."""
    return f"{key}.copy{copy}"


def mark_sending(
    tx: Tx, *, kind: str, key: str, message_id: str, recipient: str, subject: str, job_id: str, now: datetime
) -> int:
    """Adds the mail, or readdresses the one there is; it says `sending`, and by which job. Returns its id.

    The Message-ID of the first time stays: a receiver can tell a repetition by it.
    """
    found = row(
        tx,
        "INSERT INTO mails (kind, key, message_id, recipient, subject, state, attempts, created_at, sending_at,"
        " sending_job) VALUES (?, ?, ?, ?, ?, 'sending', 1, ?, ?, ?) ON CONFLICT (kind, key) DO UPDATE"
        " SET recipient = excluded.recipient, state = 'sending', attempts = attempts + 1,"
        " sending_at = excluded.sending_at, sending_job = excluded.sending_job RETURNING id",
        kind,
        key,
        message_id,
        recipient,
        subject,
        times.text(now),
        times.text(now),
        job_id,
    )
    assert found is not None
    return int(found["id"])


def mark_failed(tx: Tx, id: int, error: str, *, parked: bool) -> None:
    tx.conn.execute(
        "UPDATE mails SET state = ?, last_error = ? WHERE id = ?", ("parked" if parked else "pending", error, id)
    )


def mark_sent(tx: Tx, id: int, now: datetime) -> None:
    tx.conn.execute("UPDATE mails SET state = 'sent', sent_at = ? WHERE id = ?", (times.text(now), id))
