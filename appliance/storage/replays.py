"""By how much each recording was moved in time when it was first replayed into this data folder."""

from __future__ import annotations

from datetime import datetime, timedelta

from appliance.storage import times
from appliance.storage.db import Tx, value


def shift(tx: Tx, digest: str, proposed: timedelta, now: datetime, *, force: bool) -> timedelta:
    """The remembered shift of the recording, or `proposed`, which is then remembered. `force` remembers it anew."""
    ms = proposed // timedelta(milliseconds=1)
    found = value(
        tx,
        "INSERT INTO replays VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
        " SET shift_ms = CASE WHEN ? THEN excluded.shift_ms ELSE shift_ms END RETURNING shift_ms",
        digest,
        ms,
        times.text(now),
        int(force),
    )
    return timedelta(milliseconds=found)
