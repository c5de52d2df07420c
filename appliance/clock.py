"""What time it is, and whether money may be dated by it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from appliance.config import Settings

# systemd-timesyncd touches it each time it has synchronized: systemd-timesyncd.service(8).
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


def now() -> datetime:
    """The time now, aware, UTC."""
    return datetime.now(UTC)


def trusted(settings: Settings) -> bool:
    """Whether invoices may be dated: `clock.trust = system` says always, else the time service must have
    synchronized since the start of the machine."""
    return settings.clock.trust == "system" or SYNCHRONIZED.exists()
