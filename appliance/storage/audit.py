"""The audit log: who did what to whom. Append-only by trigger."""

from __future__ import annotations

from datetime import datetime

from appliance.storage import times
from appliance.storage.db import Tx, insert


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
