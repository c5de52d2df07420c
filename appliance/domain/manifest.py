"""A broker's manifest: from the rows of its file and what its columns mean to the trips that it asks for.

Each row becomes one leg, or two where it says when the patient goes back; one that cannot be used becomes a `BadRow`
with one line that says why, and costs no other row. `manifest_csv.py` reads the file, `manifest_guess.py` guesses the
columns, `manifest_times.py` knows days and times.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from appliance.domain import manifest_times as clocks
from appliance.domain.manifest_csv import BadRow, Sheet
from appliance.domain.manifest_times import BadTime
from appliance.domain.trip import LevelOfService

FIELDS: Mapping[str, str] = MappingProxyType({
    "ref": "Trip number",
    "leg": "Leg",
    "date": "Day",
    "pickup_time": "Pickup time",
    "appointment_time": "Appointment time",
    "return_time": "Time of the way back",
    "pickup_address": "Pickup address",
    "dropoff_address": "Drop-off address",
    "patient": "Patient's name",
    "member_id": "Member id",
    "born_on": "Date of birth",
    "phone": "Phone",
    "level": "Level of service",
    "will_call": "Will-call mark",
    "status": "Cancelled mark",
    "notes": "Notes",
})  # fmt: skip
"""What a column can mean, and its title."""

REQUIRED = ("ref", "pickup_time", "pickup_address", "dropoff_address")
JOINED = frozenset({"pickup_address", "dropoff_address", "patient", "notes"})
"""Fields that several columns may make up together."""

LONGEST = 500
WILL_CALL = ("00:00", "WC", "W/C", "WILL CALL", "WILLCALL", "TBD")
CANCELLED = ("CANCELLED", "CANCELED", "CANCEL", "CXL", "CNCL", "VOID", "DELETED")
RETURN = "-R"
"""What is put behind the trip number of a way back that has no row of its own."""

_YES = frozenset({"y", "yes", "true", "1", "x", "t"})
_TICKED = frozenset({"y", "yes", "true", "x"})
"""In the column of the cancelled mark: no numbers and no single letters of a state."""
_FIRST_LEGS = frozenset({"a", "1", "01", "o", "out", "outbound", "to", "going", "there"})
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
_LETTERED = re.compile(r"(.*[^A-Za-z])([A-H])")
_LEVELS: Mapping[LevelOfService, str] = MappingProxyType({
    LevelOfService.ambulatory: "a amb ambi ambulatory walk walks walking walker sedan taxi car",
    LevelOfService.wheelchair: "w wc wch wchr wav wheelchair wheelchairvan whl paralift ewc",
    LevelOfService.stretcher: "s str stretcher stretchervan gurney gur litter bed",
    LevelOfService.bariatric: "b bar bari bariatric bariatricwheelchair bwc",
})  # fmt: skip
LEVEL_WORDS: Mapping[str, str] = MappingProxyType(
    {word: level.value for level, words in _LEVELS.items() for word in words.split()}
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of a broker's files mean. `levels` are the broker's own words, beside those that everybody uses;
    `will_call` are times and words in the place of a pickup time, `cancelled` words in the column of the mark."""

    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    date_format: str = "ymd"
    time_format: str = "24h"
    levels: dict[str, str] = field(default_factory=dict)
    will_call: tuple[str, ...] = WILL_CALL
    cancelled: tuple[str, ...] = CANCELLED


@dataclass(frozen=True, slots=True)
class Person:
    """Who travels, as the file says it."""

    name: str
    member_id: str = ""
    phone: str = ""
    born_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One trip that the file asks for. `ref` is the broker's number of it; times are UTC. Of a will-call `pickup_at` is
    only a guess: the appointment, else noon. `outbound` is the ref of the way there."""

    line: int
    ref: str
    day: date
    pickup_at: datetime
    pickup_address: str
    dropoff_address: str
    level: str
    appointment_at: datetime | None = None
    will_call: bool = False
    patient: Person | None = None
    notes: str = ""
    outbound: str | None = None
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file asks for. `cancelled` has the line of each ref that is marked so, whatever else its row says; `named`
    are the trip numbers of all rows, bad ones too; `unnamed` counts the rows whose number cannot be read."""

    legs: tuple[Leg, ...]
    cancelled: Mapping[str, int]
    bad: tuple[BadRow, ...]
    named: frozenset[str]
    unnamed: int

    @property
    def days(self) -> list[date]:
        return sorted({leg.day for leg in self.legs})


class BadCell(Exception):
    """A cell that does not fit, by the field that it fills."""

    def __init__(self, field: str, value: str, expected: str) -> None:
        self.field, self.value, self.expected = field, value, expected
        super().__init__(expected)


def problems(mapping: Layout, header: tuple[str, ...]) -> dict[str, str]:
    """What keeps a mapping from being used with these columns: field -> one sentence. Empty where nothing does."""
    found = {
        name: f"there is no column {column!r} in the file"
        for name, columns in mapping.columns.items()
        for column in columns
        if column not in header
    }
    for name in REQUIRED:
        if not mapping.columns.get(name):
            found[name] = f"expected the column of the {FIELDS[name].lower()}"
    for name, columns in mapping.columns.items():
        if name not in JOINED and len(columns) > 1:
            found[name] = "expected one column"
    if mapping.columns.get("leg") and mapping.columns.get("return_time"):
        found["return_time"] = "a file has a row for each leg or a time of the way back, not both"
    if mapping.date_format not in clocks.DATE_FORMATS:
        found["date_format"] = f"expected one of {', '.join(clocks.DATE_FORMATS)}"
    if mapping.time_format not in clocks.TIME_FORMATS:
        found["time_format"] = f"expected one of {', '.join(clocks.TIME_FORMATS)}"
    for level in mapping.levels.values():
        if level not in list(LevelOfService):
            found["level"] = f"expected one of {', '.join(LevelOfService)}"
    return found


def level_of(word: str, mapping: Layout) -> str | None:
    """Our level of service for a broker's word; none said is ambulatory, an unknown one None."""
    own = {plain(theirs): ours for theirs, ours in mapping.levels.items()}
    key = plain(word)
    return LevelOfService.ambulatory.value if not key else own.get(key) or LEVEL_WORDS.get(key)


def plain(text: str) -> str:
    """Letters and digits of a text without accents and capitals: by this words are the same."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in spread if char.isalnum())


def read(sheet: Sheet, mapping: Layout, *, zone: ZoneInfo, day: date | None) -> Manifest:
    """The trips of a file whose mapping has no `problems`. `day` counts where the file does not say one."""
    legs: dict[str, Leg] = {}
    cancelled: dict[str, int] = {}
    bad = list(sheet.bad)
    named: set[str] = set()
    unnamed = len(sheet.bad)
    for line, cells in sheet.rows:
        row = _Row(line, dict(zip(sheet.header, cells, strict=True)), mapping, zone, day)
        try:
            number = row.ref()
        except BadCell as error:
            unnamed += 1
            bad.append(_bad(line, error, mapping))
            continue
        named.add(number)
        if mapping.columns.get("return_time"):
            named.add(number + RETURN)
        try:
            known = legs[number].line if number in legs else cancelled.get(number)
            if known is not None:
                raise BadCell("ref", number, f"each trip number once; it is on line {known} already")
            if row.cancelled():
                cancelled |= dict.fromkeys((number, number + RETURN) if number + RETURN in named else (number,), line)
                continue
            legs |= {leg.ref: leg for leg in row.legs()}
        except BadCell as error:
            bad.append(_bad(line, error, mapping))
    bad.sort(key=lambda one: one.line)
    return Manifest(tuple(_linked(legs)), cancelled, tuple(bad), frozenset(named), unnamed)


def _bad(line: int, error: BadCell, mapping: Layout) -> BadRow:
    columns = mapping.columns.get(error.field) or (FIELDS[error.field],)
    return BadRow(line, ", ".join(columns), error.value[:80], error.expected)


def _linked(legs: dict[str, Leg]) -> Iterator[Leg]:
    """The legs, each way there before its way back."""
    yield from sorted(legs.values(), key=lambda leg: (leg.outbound is not None, leg.line))


class _Row:
    """One row while it is read."""

    def __init__(self, line: int, cells: dict[str, str], mapping: Layout, zone: ZoneInfo, day: date | None) -> None:
        self._line, self._cells, self._mapping, self._zone, self._given_day = line, cells, mapping, zone, day
        self._hints: list[str] = []

    def ref(self) -> str:
        number = self._text("ref")
        if not number:
            raise BadCell("ref", "", "a trip number")
        if _SHORTENED.fullmatch(number):
            raise BadCell("ref", number, "a whole trip number; a spreadsheet has shortened it")
        leg = self._text("leg")
        return f"{number}-{leg}" if leg else number

    def legs(self) -> Iterator[Leg]:
        """One leg, or two where the row says when the patient goes back. Raises BadCell."""
        ref = self.ref()
        told_at, on, will_call = self._pickup("pickup_time")
        appointment_at = self._appointment(on, None if will_call else told_at)
        pickup_at = told_at or appointment_at or self._moment("pickup_time", on, time(12), "")
        first = Leg(
            line=self._line,
            ref=ref,
            day=on,
            pickup_at=pickup_at,
            appointment_at=appointment_at,
            pickup_address=self._address("pickup_address"),
            dropoff_address=self._address("dropoff_address"),
            level=self._level(),
            will_call=will_call,
            patient=self._patient(),
            notes=self._text("notes"),
            outbound=self._outbound(ref),
            hints=tuple(self._hints),
        )
        back = self._text("return_time")
        if not back:
            yield first
            return
        self._hints = []
        told_at, back_on, waits = self._pickup("return_time", on)
        back_at = told_at or max(self._moment("return_time", on, time(12), ""), appointment_at or pickup_at)
        if not waits and back_at <= pickup_at:
            raise BadCell("return_time", back, "a time after the pickup")
        yield first
        yield Leg(
            line=self._line,
            ref=ref + RETURN,
            day=back_on,
            pickup_at=back_at,
            pickup_address=first.dropoff_address,
            dropoff_address=first.pickup_address,
            level=first.level,
            will_call=waits,
            patient=first.patient,
            notes=first.notes,
            outbound=ref,
            hints=tuple(self._hints),
        )

    def _text(self, name: str, joint: str = " ") -> str:
        """What the columns of a field say together, on one line. Raises BadCell."""
        parts: list[str] = []
        for column in self._mapping.columns.get(name, ()):
            said = joint.join(part for part in self._cells.get(column, "").split("\n") if part)
            if said and said not in parts:
                parts.append(said)
        text = joint.join(parts)
        if len(text) > LONGEST:
            raise BadCell(name, text, f"at most {LONGEST} characters")
        if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
            raise BadCell(name, ascii(text), "text without control characters")
        return text

    def _address(self, name: str) -> str:
        if text := self._text(name, ", "):
            return text
        raise BadCell(name, "", "an address")

    def _level(self) -> str:
        word = self._text("level")
        if level := level_of(word, self._mapping):
            return level
        raise BadCell("level", word, f"a word for {', '.join(LevelOfService)}; the columns say which means what")

    def _is(self, text: str, words: tuple[str, ...]) -> bool:
        return bool(text) and plain(text) in {plain(word) for word in words}

    def cancelled(self) -> bool:
        text = self._text("status")
        return self._is(text, self._mapping.cancelled) or text.casefold() in _TICKED

    def _patient(self) -> Person | None:
        name = self._text("patient")
        if name.count(",") == 1:
            last, first = (part.strip() for part in name.split(","))
            name = f"{first} {last}".strip()
        if not name:
            if self._mapping.columns.get("patient"):
                raise BadCell("patient", "", "a name")
            return None
        if len(name) > 100:
            raise BadCell("patient", name, "at most 100 characters")
        born = self._text("born_on")
        try:
            born_on = clocks.day(clocks.divided(born)[0] or born, self._mapping.date_format, clocks.BIRTH_YEARS)
        except BadTime as error:
            if born:
                raise BadCell("born_on", born, error.expected) from error
            born_on = None
        return Person(name, self._text("member_id"), self._text("phone"), born_on)

    def _pickup(self, name: str, otherwise: date | None = None) -> tuple[datetime | None, date, bool]:
        """When the pickup is (None: nobody says), on which day, and whether it is a will-call."""
        text = self._text(name)
        marked = name == "pickup_time" and self._marked()
        if at := clocks.aware(text):
            return at, at.astimezone(self._zone).date(), marked
        said_day, said = clocks.divided(text)
        on = otherwise if otherwise and not said_day else self._day(name, said_day)
        if self._will_call(said) or (not said and marked):
            return None, on, True
        if not said:
            raise BadCell(name, "", f"a time like {clocks.TIME_FORMATS[self._mapping.time_format][1]}, or a will-call")
        return self._moment(name, on, self._clock(name, text, said), text), on, marked

    def _marked(self) -> bool:
        text = self._text("will_call")
        return text.casefold() in _YES or self._is(text, self._mapping.will_call)

    def _will_call(self, said: str) -> bool:
        if self._is(said, self._mapping.will_call):
            return True
        try:
            at = clocks.clock(said, "24h")
        except BadTime:
            return False
        return f"{at:%H:%M}" in self._mapping.will_call

    def _day(self, name: str, said: str) -> date:
        written = said or self._text("date")
        place = name if said else "date"
        if not written:
            if self._given_day and not self._mapping.columns.get("date"):
                return self._given_day
            raise BadCell(place, "", f"a day like {clocks.DATE_FORMATS[self._mapping.date_format][1]}")
        try:
            return clocks.day(clocks.divided(written)[0] or written, self._mapping.date_format)
        except BadTime as error:
            raise BadCell(place, written, error.expected) from error

    def _clock(self, name: str, text: str, said: str) -> time:
        try:
            return clocks.clock(said, self._mapping.time_format)
        except BadTime as error:
            raise BadCell(name, text, error.expected) from error

    def _moment(self, name: str, on: date, at: time, text: str) -> datetime:
        try:
            moment, twice = clocks.instant(on, at, self._zone)
        except BadTime as error:
            raise BadCell(name, text or f"{at:%H:%M}", error.expected) from error
        if twice:
            self._hints.append(f"{at:%H:%M} comes twice that night; the first is meant")
        return moment

    def _appointment(self, on: date, pickup_at: datetime | None) -> datetime | None:
        """A time before a pickup late in the day is on the next one."""
        text = self._text("appointment_time")
        if not text or self._will_call(clocks.divided(text)[1]):
            return None
        if aware := clocks.aware(text):
            return aware
        said_day, said = clocks.divided(text)
        at = self._clock("appointment_time", text, said)
        moment = self._moment("appointment_time", self._day("appointment_time", said_day) if said_day else on, at, text)
        if pickup_at and moment < pickup_at:
            if said_day or pickup_at - moment < timedelta(hours=12):
                raise BadCell("appointment_time", text, "a time after the pickup")
            moment = self._moment("appointment_time", on + timedelta(days=1), at, text)
        return moment

    def _outbound(self, ref: str) -> str | None:
        """The first leg of the same number, for one that is not the first."""
        number, leg = self._text("ref"), self._text("leg")
        if leg:
            return None if leg.casefold() in _FIRST_LEGS else f"{number}-{_first_like(leg)}"
        found = _LETTERED.fullmatch(ref)
        return f"{found[1]}A" if found and found[2] != "A" else None


def _first_like(leg: str) -> str:
    """How the first leg is called where this is a later one: B follows A, 2 follows 1."""
    low = leg.casefold()
    if low.isdigit():
        return "1".zfill(len(low))
    first = {"r": "O", "ret": "Out", "return": "Outbound", "from": "To", "back": "There"}.get(low, "A")
    return first.upper() if leg.isupper() else first.lower() if leg.islower() else first
