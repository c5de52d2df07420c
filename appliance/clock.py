"""What time it is, and whether money may be dated by it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance import atomicfile
from appliance.config import Settings

# systemd-timesyncd touches it each time it has synchronized: systemd-timesyncd.service(8).
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")

STEP_S = 60.0
"""A confirmed clock that has moved by more than this was set since."""


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


class Confirmation(Struct, frozen=True):
    """That a person has looked at the clock. `started_at_s`: when the machine was started, by that clock, in seconds
    since 1970."""

    boot: str
    started_at_s: float


def trusted(settings: Settings) -> bool:
    """Whether money may be dated: `clock.trust = system` says always; else the time service must have synchronized
    since the start of the machine, or a person must have confirmed the clock since."""
    return settings.clock.trust == "system" or SYNCHRONIZED.exists() or confirmed(settings)


def confirmed(settings: Settings) -> bool:
    """Whether a person has confirmed the clock since the machine started, and nobody has set it since."""
    try:
        found = msgspec.json.decode(settings.paths.clock_confirmed.read_bytes(), type=Confirmation)
    except (OSError, msgspec.DecodeError):
        return False
    return found.boot == boot() and abs(_started_at_s() - found.started_at_s) <= STEP_S


def confirm(settings: Settings) -> None:
    """Keeps that the clock is right as it is now: until the machine starts again, or the clock is set."""
    said = Confirmation(boot(), _started_at_s())
    atomicfile.write(settings.paths.clock_confirmed, msgspec.json.encode(said))


def _started_at_s() -> float:
    return now().timestamp() - uptime_s()
