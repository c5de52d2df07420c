"""Room on the disk of the data folder, and the part of it that fixes leave to everything else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

RESERVE_BYTES = 32 * 1024 * 1024
"""Fixes are not stored below this: trips, jobs and invoices still are. Twice what a write-ahead log is kept at
(storage/db.py), which a checkpoint may need for a moment."""


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes on the disk, in all and free for the box."""

    total: int
    free: int


def room(folder: Path) -> Room:
    """What the disk has on which the folder is, or will be made."""
    found = os.statvfs(next(place for place in (folder, *folder.absolute().parents) if place.exists()))
    return Room(found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail)
