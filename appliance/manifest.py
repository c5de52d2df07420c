"""A day's manifest: trips from a CSV file (see `manifest_file`), all that are good in one transaction."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlite_utils import Database

from appliance import dispatch
from appliance.dispatch import Created, NewTrip
from appliance.domain.trip import LevelOfService
from appliance.errors import InputError, NotFound
from appliance.events import Event
from appliance.jobs import Ask
from appliance.manifest_file import COORDINATES, OPTIONAL, REQUIRED, BadCell, Cells, rows
from appliance.storage import audit, payers, people, trips
from appliance.storage.db import Tx, savepoint, write_tx

LONGEST = 500
YEARS = range(2000, 2100)


class BadRow(Struct, frozen=True):
    """A row that was left out: the line it begins on (the header is line 1), and what was expected in which column."""

    line: int
    column: str
    value: str
    expected: str


class Report(Struct, frozen=True):
    """What became of the rows; send `jobs` and publish `events` after the import."""

    added: int
    unchanged: int
    bad: list[BadRow]
    jobs: list[Ask] = []
    events: list[Event] = []


def import_csv(db: Database, text: str | bytes, *, zone: ZoneInfo, now: datetime, who: str) -> Report:
    """Makes the trips of a manifest, all in one transaction; a bad row is reported and the good ones are made.

    Separators may be commas, semicolons or tabs. A time without a zone is in `zone`. A `ref` that is known already
    counts as unchanged, whatever else its row says, so the same file may be given twice. Raises InputError where the
    file as a whole cannot be read, and then nothing was made.
    """
    added = unchanged = 0
    bad: list[BadRow] = []
    asks: list[Ask] = []
    events: list[Event] = []
    with write_tx(db) as tx:
        for line, cells in rows(text):
            try:
                if isinstance(cells, BadCell):
                    raise cells
                new = _trip(cells, zone)
                if _known(tx, new):
                    unchanged += 1
                    continue
                created = _create(tx, new, cells, now, who)
                asks += created.jobs
                events += created.events
                added += 1
            except BadCell as error:
                bad.append(BadRow(line, error.column, error.value[:80], error.expected))
        if added:
            audit.record(tx, who, "trips.imported", "manifest", "", now, f"{added} added")
    return Report(added, unchanged, bad, asks, events)


def _known(tx: Tx, new: NewTrip) -> bool:
    """Whether the payer that the row names, or anybody where it names none, has given this number before."""
    payer = payers.by_name(tx, new.payer) if new.payer else None
    if new.ref is None:
        return False
    return (trips.of_payer(tx, payer["id"], new.ref) if payer else trips.by_ref(tx, new.ref)) is not None


def _trip(cells: Cells, zone: ZoneInfo) -> NewTrip:
    for name in REQUIRED + OPTIONAL:
        value = cells.get(name, "")
        if name in REQUIRED and not value:
            raise BadCell(name, value, "a value")
        if len(value) > LONGEST:
            raise BadCell(name, value, f"at most {LONGEST} characters")
        if any(unicodedata.category(char) in ("Cc", "Cs") for char in value):
            raise BadCell(name, ascii(value), "text without control characters")
    level = cells.get("level", "").lower() or LevelOfService.ambulatory.value
    if level not in list(LevelOfService):
        raise BadCell("level", cells["level"], f"one of {', '.join(LevelOfService)}")
    if cells.get("driver") and not cells.get("vehicle"):
        raise BadCell("driver", cells["driver"], "a vehicle too, or no driver")
    places = {name: _degrees(name, cells) for name in COORDINATES}
    for place in ("pickup", "dropoff"):
        for name, other in ((f"{place}_lat", f"{place}_lon"), (f"{place}_lon", f"{place}_lat")):
            if places[name] is None and places[other] is not None:
                raise BadCell(name, "", f"a value, because {other} has one")
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


def _create(tx: Tx, new: NewTrip, cells: Cells, now: datetime, who: str) -> Created:
    if new.driver and people.driver_by_code(tx, new.driver) is None:
        raise BadCell("driver", new.driver, "the code of a driver")
    try:
        with savepoint(tx):
            return dispatch.create_trip(tx, new, now=now, who=who)
    except (InputError, NotFound) as error:
        column = error.subject.split(" ")[0]
        raise BadCell(column, cells.get(column, ""), error.what) from error


def _time(name: str, cells: Cells, zone: ZoneInfo) -> datetime | None:
    value = cells.get(name, "")
    if not value:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = None
    if at is None or at.year not in YEARS or _is_date(value):
        raise BadCell(name, value, "a time like 2026-01-26T15:57, or with its zone: 2026-01-26T15:57+00:00")
    if at.tzinfo is not None:
        return at
    at = at.replace(tzinfo=zone)
    if at.utcoffset() != at.replace(fold=1).utcoffset():
        raise BadCell(name, value, f"the time with its zone: the clocks change then in {zone.key}")
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
        raise BadCell(name, value, f"degrees from -{bound} to {bound}, like 53.4084")
    return degrees
