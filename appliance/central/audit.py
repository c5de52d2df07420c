"""What people decided at the centre: who, when, about what."""

from __future__ import annotations

from datetime import datetime

from appliance.central.db import Tx
from appliance.central.tables import audit_log
from appliance.storage import times


def record(tx: Tx, who: str, action: str, subject: str, subject_uid: str, now: datetime, detail: str = "") -> None:
    tx.execute(
        audit_log.insert().values(
            at=times.text(now), who=who, action=action, subject=subject, subject_uid=subject_uid, detail=detail
        )
    )
