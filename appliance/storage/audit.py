"""The audit log: who did what to whom. Append-only by trigger."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlite_utils import Database

from appliance.storage import times
from appliance.storage.db import Row, Tx, insert, row, rows, value


def record(tx: Tx, who: str, action: str, subject: str, subject_uid: str, now: datetime, detail: str = "") -> None:
    insert(
        tx,
        "audit_log",
        at=times.text(now),
        who=who,
        action=action,
        subject=subject,
        subject_uid=subject_uid,
        detail=detail,
    )


def of_subject(db: Database, subject: str, subject_uid: str, limit: int) -> list[Row]:
    """What was done to one, the newest first: `at`, `who`, `action`, `detail`."""
    return rows(
        db,
        "SELECT at, who, action, detail FROM audit_log WHERE subject = ? AND subject_uid = ? ORDER BY id DESC LIMIT ?",
        subject,
        subject_uid,
        limit,
    )


def last_decision(db: Database, subject: str, subject_uid: str) -> Row | None:
    """What was done to one last; that somebody looked at it does not count."""
    return row(
        db,
        "SELECT at, who, action, detail FROM audit_log WHERE subject = ? AND subject_uid = ?"
        " AND action NOT LIKE '%.viewed' ORDER BY id DESC LIMIT 1",
        subject,
        subject_uid,
    )


def record_once(tx: Tx, who: str, action: str, subject: str, subject_uid: str, now: datetime, detail: str = "") -> None:
    """Records what may have to be done again after a crash, as one line."""
    known = "SELECT 1 FROM audit_log WHERE subject = ? AND subject_uid = ? AND action = ? AND detail = ?"
    if value(tx, known, subject, subject_uid, action, detail) is None:
        record(tx, who, action, subject, subject_uid, now, detail)


def of(db: Database, subjects: Iterable[tuple[str, str]]) -> list[Row]:
    """What was done to these (kind of subject, its uid), in the order in which it was done."""
    query = "SELECT * FROM audit_log WHERE subject = ? AND subject_uid = ?"
    found = [one for subject, uid in subjects for one in rows(db, query, subject, uid)]
    return sorted(found, key=lambda one: int(one["id"]))
