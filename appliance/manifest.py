"""A day's manifest: trips from a CSV file, as brokers and spreadsheets write them.

The first line names the columns. `ref`, `pickup_at`, `pickup_address` and `dropoff_address` must be there; further
columns that the box does not know are left alone.
"""

from __future__ import annotations

import csv
import difflib
import io
import unicodedata
from collections.abc import Iterator
from datetime import date, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlite_utils import Database

from appliance import dispatch
from appliance.dispatch import NewTrip
from appliance.domain.trip import LevelOfService, State
from appliance.errors import InputError, NotFound
from appliance.events import Event
from appliance.storage import audit, people, trips
from appliance.storage.db import Tx, savepoint, write_tx

REQUIRED = ("ref", "pickup_at", "pickup_address", "dropoff_address")
COORDINATES = ("pickup_lat", "pickup_lon", "dropoff_lat", "dropoff_lon")
OPTIONAL = ("level", "payer", "patient", "appointment_at", "driver", "vehicle", *COORDINATES)

LONGEST = 500
SEPARATORS = ",;\t"
YEARS = range(2000, 2100)

Cells = dict[str, str]


class BadRow(Struct, frozen=True):
    """A row that was left out: the line it begins on (the header is line 1), and what was expected in which column."""

    line: int
    column: str
    value: str
    expected: str


class Report(Struct, frozen=True):
    """What became of the rows; publish `events` after the import."""

    added: int
    unchanged: int
    bad: list[BadRow]
    events: list[Event] = []


class _Bad(Exception):
    """A cell that does not fit."""

    def __init__(self, column: str, value: str, expected: str) -> None:
        self.column, self.value, self.expected = column, value, expected
        super().__init__(expected)


def import_csv(db: Database, text: str | bytes, *, zone: ZoneInfo, now: datetime, who: str) -> Report:
    """Makes the trips of a manifest, all in one transaction; a bad row is reported and the good ones are made.

    Separators may be commas, semicolons or tabs. A time without a zone is in `zone`. A `ref` that is known already
    counts as unchanged, whatever else its row says, so the same file may be given twice. Raises InputError where the
    file as a whole cannot be read, and then nothing was made.
    """
    added = unchanged = 0
    bad: list[BadRow] = []
    events: list[Event] = []
    with write_tx(db) as tx:
        for line, cells in _rows(decode(text) if isinstance(text, bytes) else text):
            try:
                if isinstance(cells, _Bad):
                    raise cells
                new = _trip(cells, zone)
                if new.ref and trips.by_ref(tx, new.ref):
                    unchanged += 1
                    continue
                events += _create(tx, new, cells, now, who)
                added += 1
            except _Bad as error:
                bad.append(BadRow(line, error.column, error.value[:80], error.expected))
        if added:
            audit.record(tx, who, "trips.imported", "manifest", "", now, f"{added} added")
    return Report(added, unchanged, bad, events)


def decode(content: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its byte order mark. Raises InputError for anything else: a guess
    would spoil names without anybody seeing it."""
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "in a spreadsheet, save as CSV UTF-8"
        raise InputError("expected text in UTF-8", subject=f"manifest, byte {error.start}", hint=hint) from error


def _rows(text: str) -> Iterator[tuple[int, Cells | _Bad]]:
    """Each row with the line on which it begins. Raises InputError for the header."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = [" ".join(cell.split()) for cell in next(reader)]
        except StopIteration:
            break
        except csv.Error as error:
            if not header:
                raise InputError(f"not a line of CSV: {error}", subject=f"manifest, line {line}") from error
            yield line, _Bad("", "", f"a line of CSV: {error}")
            continue
        if not any(cells):
            continue
        if not header:
            header = _header(cells)
        elif len(cells) > len(header):
            beyond = " ".join(cells[len(header) :])
            yield line, _Bad("", beyond, f"{len(header)} columns; is a text without its quotes?")
        else:
            yield line, dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=True))
    if not header:
        raise InputError("the file is empty", subject="manifest", hint=f"expected columns {', '.join(REQUIRED)}, ...")


def _separator(text: str) -> str:
    """The separator by which the first line names the most columns that are known."""
    first = next((line for line in text.split("\n") if line.strip()), "")

    def known(separator: str) -> int:
        return sum(_name(cell.strip('" ')) in REQUIRED + OPTIONAL for cell in first.split(separator))

    return max(SEPARATORS, key=known)


def _header(cells: list[str]) -> list[str]:
    names = [_name(cell) for cell in cells]
    missing = [name for name in REQUIRED if name not in names]
    for name in names:
        absent = [known for known in REQUIRED + OPTIONAL if known not in names]
        if name not in REQUIRED + OPTIONAL and (near := difflib.get_close_matches(name, absent, n=1, cutoff=0.85)):
            raise InputError(f"did you mean {near[0]}?", subject=f"manifest, column {name}")
        if name and names.count(name) > 1:
            raise InputError("the column is there twice", subject=f"manifest, column {name}")
    if missing:
        columns = "column" if len(missing) == 1 else "columns"
        raise InputError(f"{columns} {', '.join(missing)} missing", subject="manifest")
    return names


def _name(cell: str) -> str:
    return cell.lower().replace(" ", "_")


def _trip(cells: Cells, zone: ZoneInfo) -> NewTrip:
    for name in REQUIRED + OPTIONAL:
        value = cells.get(name, "")
        if name in REQUIRED and not value:
            raise _Bad(name, value, "a value")
        if len(value) > LONGEST:
            raise _Bad(name, value, f"at most {LONGEST} characters")
        if any(unicodedata.category(char) in ("Cc", "Cs") for char in value):
            raise _Bad(name, ascii(value), "text without control characters")
    level = cells.get("level", "").lower() or LevelOfService.ambulatory.value
    if level not in list(LevelOfService):
        raise _Bad("level", cells["level"], f"one of {', '.join(LevelOfService)}")
    if cells.get("driver") and not cells.get("vehicle"):
        raise _Bad("driver", cells["driver"], "a vehicle too, or no driver")
    places = {name: _degrees(name, cells) for name in COORDINATES}
    for place in ("pickup", "dropoff"):
        for name, other in ((f"{place}_lat", f"{place}_lon"), (f"{place}_lon", f"{place}_lat")):
            if places[name] is None and places[other] is not None:
                raise _Bad(name, "", f"a value, because {other} has one")
    pickup_at = _time("pickup_at", cells, zone)
    assert pickup_at is not None
    return NewTrip(
        ref=cells["ref"],
        pickup_at=pickup_at,
        pickup_address=cells["pickup_address"],
        dropoff_address=cells["dropoff_address"],
        level=level,
        appointment_at=_time("appointment_at", cells, zone),
        payer=cells.get("payer") or None,
        patient=cells.get("patient") or None,
        driver=cells.get("driver") or None,
        vehicle=cells.get("vehicle") or None,
        pickup_lat=places["pickup_lat"],
        pickup_lon=places["pickup_lon"],
        dropoff_lat=places["dropoff_lat"],
        dropoff_lon=places["dropoff_lon"],
    )


def _create(tx: Tx, new: NewTrip, cells: Cells, now: datetime, who: str) -> list[Event]:
    if new.driver and people.driver_by_code(tx, new.driver) is None:
        raise _Bad("driver", new.driver, "the code of a driver")
    try:
        with savepoint(tx):
            id = dispatch.create_trip(tx, new, now=now, who=who)
    except (InputError, NotFound) as error:
        column = error.subject.split(" ")[0]
        raise _Bad(column, cells.get(column, ""), error.what) from error
    state = State.assigned if new.vehicle else State.scheduled
    live = [Event("trip", str(id), {"id": id, "state": state.value})]
    return [*live, Event("assignment", new.vehicle, {})] if new.vehicle else live


def _time(name: str, cells: Cells, zone: ZoneInfo) -> datetime | None:
    value = cells.get(name, "")
    if not value:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = None
    if at is None or at.year not in YEARS or _is_date(value):
        raise _Bad(name, value, "a time like 2026-01-26T15:57, or with its zone: 2026-01-26T15:57+00:00")
    if at.tzinfo is not None:
        return at
    at = at.replace(tzinfo=zone)
    if at.utcoffset() != at.replace(fold=1).utcoffset():
        raise _Bad(name, value, f"the time with its zone: the clocks change then in {zone.key}")
    return at


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _degrees(name: str, cells: Cells) -> float | None:
    value = cells.get(name, "")
    bound = 90 if name.endswith("_lat") else 180
    try:
        degrees = float(value) if value else None
    except ValueError:
        degrees = float("nan")
    if degrees is not None and not -bound <= degrees <= bound:
        raise _Bad(name, value, f"degrees from -{bound} to {bound}, like 53.4084")
    return degrees
