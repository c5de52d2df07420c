"""ULIDs: the ids that the central office knows. They sort by the time they were made."""

from __future__ import annotations

from ulid import ULID


def new() -> str:
    return str(ULID())
