"""Papers that end (licences, insurance, inspection): what a page says of the day on which one does. Pure rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

SOON_DAYS = 30


@dataclass(frozen=True, slots=True)
class Paper:
    """`on` is the last day on which it is valid, as stored; empty where nobody said. `said` is empty while there is
    nothing to do."""

    name: str
    on: str
    said: str = ""
    tone: Literal["", "warn", "bad"] = ""


def paper(name: str, expires_on: str | None, today: date) -> Paper:
    """A paper as it is today, in the depot's zone."""
    if not expires_on:
        return Paper(name, "")
    days = (date.fromisoformat(expires_on) - today).days
    end = "end" if name.endswith("s") else "ends"
    if days < 0:
        return Paper(name, expires_on, f"ended {_days(-days)} ago", "bad")
    if days > SOON_DAYS:
        return Paper(name, expires_on)
    return Paper(name, expires_on, f"{end} today" if days == 0 else f"{end} in {_days(days)}", "warn")


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
