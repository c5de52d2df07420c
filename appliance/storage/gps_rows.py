"""A fix as a compact row: scaled integers, about 35 bytes without rowid, and back.

`t` is milliseconds since midnight UTC of the file's day; positions are 1e-7 degrees (11 mm); speed is 0.1 km/h;
heading, accuracy, altitude, odometer are whole degrees and metres; `lag_ms` is received minus fix time.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from appliance.domain.fix import Fix

DAY_SCHEMA = """
CREATE TABLE IF NOT EXISTS fixes (
  vehicle INTEGER NOT NULL, device INTEGER NOT NULL, t INTEGER NOT NULL, lat INTEGER NOT NULL, lon INTEGER NOT NULL,
  lag_ms INTEGER NOT NULL, speed INTEGER, heading INTEGER, accuracy INTEGER, altitude INTEGER, odometer INTEGER,
  ignition INTEGER, battery INTEGER, format INTEGER NOT NULL, PRIMARY KEY (vehicle, device, t)
) STRICT, WITHOUT ROWID;
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
-- How far each device's numbering is on disk without a gap: what may be acknowledged.
CREATE TABLE IF NOT EXISTS sequences (
  device INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (device, epoch)
) STRICT, WITHOUT ROWID;
"""

_VALUES = ("lat", "lon", "speed", "heading", "accuracy", "altitude", "odometer", "ignition", "battery", "format")


def _rank(prefix: str) -> str:
    """Everything that is stored of a fix, in one order; what was not said comes before all that can be."""
    return ", ".join(f"coalesce({prefix}{name}, -9223372036854775808)" for name in _VALUES)


# Two fixes of one device and time that differ: the one that ranks higher wins, whichever came first.
UPSERT = f"""
INSERT INTO fixes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _VALUES)}
WHERE ({_rank("excluded.")}) > ({_rank("fixes.")})
"""

# The numbers stand in files: append only.
FORMATS = ("native", "owntracks", "teltonika", "flespi", "hfp", "traccar_client", "traccar_forward")

_DAY_MS = 86_400_000


def day_of(at: datetime) -> date:
    return at.astimezone(UTC).date()


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def ms_of_day(day: date, at: datetime) -> int:
    """Milliseconds from the day's midnight UTC, clamped into the day."""
    return min(max((at - midnight(day)) // timedelta(milliseconds=1), 0), _DAY_MS)


def to_row(vehicle: int, device: int, fix: Fix, day: date, received: datetime) -> tuple[Any, ...]:
    return (
        vehicle,
        device,
        ms_of_day(day, fix.at),
        round(fix.lat * 1e7),
        round(fix.lon * 1e7),
        (received - fix.at) // timedelta(milliseconds=1),
        _scaled(fix.speed_kmh, 10),
        _scaled(fix.heading_deg, 1),
        _scaled(fix.accuracy_m, 1),
        _scaled(fix.altitude_m, 1),
        _scaled(fix.odometer_m, 1),
        None if fix.ignition is None else int(fix.ignition),
        _scaled(fix.battery_pct, 1),
        FORMATS.index(fix.format),
    )


def from_row(row: tuple[Any, ...], day: date) -> Fix:
    """The fix of `t, lat, lon, speed, heading, accuracy, altitude, odometer, ignition, battery, format`."""
    t, lat, lon, speed, heading, accuracy, altitude, odometer, ignition, battery, format_ = row
    return Fix(
        at=midnight(day) + timedelta(milliseconds=t),
        lat=lat / 1e7,
        lon=lon / 1e7,
        speed_kmh=None if speed is None else speed / 10,
        heading_deg=heading,
        accuracy_m=accuracy,
        altitude_m=altitude,
        odometer_m=odometer,
        ignition=None if ignition is None else bool(ignition),
        battery_pct=battery,
        format=FORMATS[format_],
    )


def _scaled(value: float | None, factor: int) -> int | None:
    return None if value is None else round(value * factor)
