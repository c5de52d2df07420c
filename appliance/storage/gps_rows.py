"""A fix as a compact row, and back: scaled integers below one integer key, 37 bytes on disk as they come in.

`key` is the source's number in this file (`sources`: a device of a vehicle) times 2^27, plus milliseconds since
midnight UTC of the file's day. Positions are 1e-7 degrees (11 mm); speed is 0.1 km/h; heading, accuracy, altitude,
odometer are whole degrees and metres; `lag_s` is received minus fix time; `flags` is the payload's format, plus 16 for
the ignition off or 32 for on, plus 64 times (battery percent plus 1).
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from appliance.domain.fix import Fix

DAY_SCHEMA = """
-- Who reported on that day: the first part of a fix's key.
CREATE TABLE IF NOT EXISTS sources (
  id INTEGER PRIMARY KEY, vehicle INTEGER NOT NULL, device INTEGER NOT NULL, UNIQUE (vehicle, device)
) STRICT;
CREATE TABLE IF NOT EXISTS fixes (
  key INTEGER PRIMARY KEY, lat INTEGER NOT NULL, lon INTEGER NOT NULL, lag_s INTEGER NOT NULL, speed INTEGER,
  heading INTEGER, accuracy INTEGER, altitude INTEGER, odometer INTEGER, flags INTEGER NOT NULL
) STRICT;
-- A span of a vehicle's history that came late: written with the fixes, worked through with a watermark.
CREATE TABLE IF NOT EXISTS changes (
  id INTEGER PRIMARY KEY, vehicle INTEGER NOT NULL, t_from INTEGER NOT NULL, t_to INTEGER NOT NULL
) STRICT;
-- By the day they were received; the same payload element rejected twice is one row.
CREATE TABLE IF NOT EXISTS rejected (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, received_at TEXT NOT NULL, vehicle TEXT NOT NULL,
  device INTEGER, reason TEXT NOT NULL, value TEXT NOT NULL, bound TEXT NOT NULL, payload BLOB NOT NULL,
  restored_at TEXT
) STRICT;
-- How far each device's numbering is on disk without a gap: what may be acknowledged. `used_at`: epoch milliseconds.
CREATE TABLE IF NOT EXISTS sequences (
  device INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, used_at INTEGER NOT NULL,
  PRIMARY KEY (device, epoch)
) STRICT, WITHOUT ROWID;
"""

COLUMNS = "key, lat, lon, speed, heading, accuracy, altitude, odometer, flags"
"""What `from_row` reads."""

_VALUES = ("lat", "lon", "speed", "heading", "accuracy", "altitude", "odometer", "flags")


def _rank(prefix: str) -> str:
    """Everything that is stored of a fix, in one order; what was not said comes before all that can be."""
    return ", ".join(f"coalesce({prefix}{name}, -9223372036854775808)" for name in _VALUES)


# Two fixes of one device and time that differ: the one that ranks higher wins, whichever came first.
UPSERT = f"""
INSERT INTO fixes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _VALUES)}
WHERE ({_rank("excluded.")}) > ({_rank("fixes.")})
"""

# The numbers stand in files: append only.
FORMATS = ("native", "owntracks", "teltonika", "flespi", "hfp", "traccar_client", "traccar_forward")

DAY_MS = 86_400_000
_MS = timedelta(milliseconds=1)
T_BITS = 27
T_MASK = (1 << T_BITS) - 1


def day_of(at: datetime) -> date:
    return at.astimezone(UTC).date()


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def ms_of_day(day: date, at: datetime) -> int:
    """Milliseconds from the day's midnight UTC, clamped into the day."""
    return min(max((at - midnight(day)) // _MS, 0), DAY_MS)


def key_of(source: int, ms: int) -> int:
    """The key of a source's fix at so many milliseconds of the day."""
    return source << T_BITS | ms


def ms_of(key: int) -> int:
    """The milliseconds of the day in a key."""
    return key & T_MASK


def to_row(source: int, fix: Fix, day: date, received: datetime) -> tuple[Any, ...]:
    """The row that `UPSERT` takes; its key comes first."""
    return (
        key_of(source, ms_of_day(day, fix.at)),
        round(fix.lat * 1e7),
        round(fix.lon * 1e7),
        round((received - fix.at).total_seconds()),
        _scaled(fix.speed_kmh, 10),
        _scaled(fix.heading_deg, 1),
        _scaled(fix.accuracy_m, 1),
        _scaled(fix.altitude_m, 1),
        _scaled(fix.odometer_m, 1),
        _flags(fix),
    )


def from_row(row: tuple[Any, ...], midnight: datetime) -> Fix:
    """The fix of `COLUMNS`, in the file of the day that began at `midnight`."""
    key, lat, lon, speed, heading, accuracy, altitude, odometer, flags = row
    return Fix(
        midnight + (key & T_MASK) * _MS,
        lat / 1e7,
        lon / 1e7,
        None if speed is None else speed / 10,
        heading,
        accuracy,
        altitude,
        odometer,
        (None, False, True)[flags >> 4 & 3],
        flags // 64 - 1 if flags >= 64 else None,
        format=FORMATS[flags & 15],
    )


def newer(fix: Fix, known: Fix) -> bool:
    """Whether a fix takes the place of another of its device as the newest: the later one does, and of two at one
    instant the one that the day file keeps."""
    return fix.at > known.at or (fix.at == known.at and _standing(fix) > _standing(known))


def _standing(fix: Fix) -> list[float]:
    """As `UPSERT` ranks it."""
    row = to_row(0, fix, day_of(fix.at), fix.at)
    return [-math.inf if value is None else value for value in (*row[1:3], *row[4:])]


def _flags(fix: Fix) -> int:
    ignition = 0 if fix.ignition is None else 1 + fix.ignition
    battery = 0 if fix.battery_pct is None else 1 + min(max(round(fix.battery_pct), 0), 100)
    return FORMATS.index(fix.format) | ignition << 4 | battery << 6


def _scaled(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)
