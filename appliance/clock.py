"""What time it is, and whether money may be dated by it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from appliance.config import Settings

# systemd-timesyncd touches it each time it has synchronized: systemd-timesyncd.service(8).
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


def now() -> datetime:
    """The time now, aware, UTC."""
    return datetime.now(UTC)


def uptime_s() -> float:
    """Seconds since the machine started, sleep included: a clock that nobody can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def boot() -> str:
    """The id of this start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def trusted(settings: Settings) -> bool:
    """Whether invoices may be dated: `clock.trust = system` says always, else the time service must have
    synchronized since the start of the machine."""
    return settings.clock.trust == "system" or SYNCHRONIZED.exists()
