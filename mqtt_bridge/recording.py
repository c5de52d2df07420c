"""A recorded day of vehicles: a CSV file with one position a row."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.errors import InputError, NotFound

NEEDED = ("vehicle_id", "trip_id", "timestamp", "latitude", "longitude")


@dataclass(frozen=True, slots=True)
class Position:
    """One row: `at` is aware UTC, as recorded."""

    vehicle: str
    trip: str
    at: datetime
    lat: float
    lon: float
    bearing_deg: float | None
    origin: str
    destination: str


@dataclass(frozen=True, slots=True)
class Recording:
    """The good rows in fix order, what was wrong with the others (one line each), and the file's digest (hex)."""

    positions: list[Position]
    bad: list[str]
    digest: str


def read(path: Path) -> Recording:
    """Reads a recording. A bad row is left out and named; raises InputError when the file is no recording at all."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound("no such file", subject=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", subject=str(path)) from error
    rows = csv.DictReader(io.StringIO(text))
    positions, bad = [], []
    try:
        missing = [name for name in NEEDED if name not in (rows.fieldnames or ())]
        if missing:
            raise InputError(f"expected a CSV file with the columns {', '.join(missing)}", subject=str(path))
        for row in rows:
            try:
                positions.append(_position(row))
            except _BadRow as error:
                bad.append(f"{path.name}: line {rows.line_num}: {error}; the row is left out")
    except csv.Error as error:
        raise InputError(f"line {rows.line_num}: {error}", subject=str(path)) from error
    if not positions:
        raise InputError("there is no position in it", subject=str(path))
    positions.sort(key=lambda position: position.at)
    return Recording(positions, bad, hashlib.sha256(raw).hexdigest())


class _BadRow(Exception):
    pass


def _position(row: dict[str, str | None]) -> Position:
    return Position(
        vehicle=_text(row, "vehicle_id"),
        trip=_text(row, "trip_id"),
        at=_time(row),
        lat=_number(row, "latitude", 90),
        lon=_number(row, "longitude", 180),
        bearing_deg=_number(row, "bearing", 360) if row.get("bearing") else None,
        origin=(row.get("origin") or "").replace("_", " "),
        destination=(row.get("destination") or "").replace("_", " "),
    )


def _text(row: dict[str, str | None], name: str) -> str:
    value = row.get(name)
    if not value:
        raise _BadRow(f"{name} is empty")
    return value


def _number(row: dict[str, str | None], name: str, limit: float) -> float:
    value = row.get(name)
    try:
        found = float(value or "")
    except ValueError:
        found = math.nan
    if not abs(found) <= limit:
        raise _BadRow(f"{name} = {value!r}: expected a number from -{limit:g} to {limit:g}")
    return found


def _time(row: dict[str, str | None]) -> datetime:
    value = row.get("timestamp")
    try:
        at = datetime.fromisoformat(value or "")
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _BadRow(f"timestamp = {value!r}: expected a time like 2026-01-26 15:57:02 (UTC)") from None
