"""Confirming the clock: a person has compared it with another, and money may be dated by it."""

from __future__ import annotations

from datetime import datetime

from appliance import clock
from appliance.config import Settings
from appliance.errors import Refused
from appliance.storage import audit, times
from appliance.storage.db import Tx


def confirm(tx: Tx, settings: Settings, who: str, now: datetime) -> None:
    """The clock counts as right until the machine starts again or the clock is set. Raises Refused where it counts as
    right already."""
    if clock.trusted(settings):
        raise Refused("it is trusted already", subject="clock")
    audit.record(tx, who, "clock.confirmed", "clock", "", now, times.text(now))
    clock.confirm(settings)
