"""Times as they stand in the database: UTC text with milliseconds, which sorts as it reads."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta


def text(at: datetime) -> str:
    """`2026-01-26T15:57:02.000Z`. The time must be aware."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def modifier(by: timedelta) -> str:
    """A duration for SQLite's `strftime(SQL_FORMAT, column, modifier)`, which moves a stored time by it."""
    return f"{by.total_seconds():+.3f} seconds"


SQL_FORMAT = "%Y-%m-%dT%H:%M:%fZ"
"""What SQLite's `strftime` needs to write a time as `text` does."""


def parse(stored: str) -> datetime:
    """The aware UTC time of a stored text."""
    return datetime.fromisoformat(stored)


def parse_or_none(stored: str | None) -> datetime | None:
    return parse(stored) if stored else None


def day(stored: str) -> date:
    """A stored calendar day (`2026-01-26`): what has no time of day."""
    return date.fromisoformat(stored)
