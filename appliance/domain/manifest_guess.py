"""Guessing what the columns of a broker's file mean, by their names and by what stands in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from appliance.domain import manifest_times as clocks
from appliance.domain.manifest import JOINED, Layout, level_of
from appliance.domain.manifest_csv import Sheet

_WHO = r"(?:patient|member|passenger|rider|client|customer|pt)s?"
_PICKUP = r"(?:pick ?up|p ?u|origin|from|collect(?:ion)?|start)"
_DROPOFF = r"(?:drop ?off|d ?o|dest(?:ination)?|to|deliver(?:y)?|end)"
_PLACE = (
    r"(?:address|addr|street|st|location|place|facility|name|line|city|town|state|county|zip|zip ?code|post ?code"
    r"|postal ?code|code|apt|unit|suite|1|2)"
)
_NAMES: Mapping[str, str] = MappingProxyType({
    "appointment_time": r"(?:appt|appointment|apt)(?: (?:time|date ?time|at|by))?|arriv(?:al|e by)(?: time)?"
    rf"|be there by|due(?: time)?|{_DROPOFF} time",
    "return_time": r"(?:return|back)(?: (?:pick ?up )?(?:time|at|date ?time))?",
    "pickup_time": rf"(?:req(?:uested)? |sched(?:uled)? )?{_PICKUP} (?:date ?time|time|at)|(?:trip |ready )?time",
    "born_on": rf"(?:{_WHO} )?(?:dob|birth ?(?:date|day)|date of birth|born(?: on)?)",
    "date": rf"(?:trip|service|travel|ride|appt|appointment|{_PICKUP})? ?(?:date|day)"
    r"|dos|date of (?:service|travel|trip)",
    "pickup_address": rf"{_PICKUP}(?: {_PLACE})*",
    "dropoff_address": rf"{_DROPOFF}(?: {_PLACE})*",
    "member_id": rf"(?:{_WHO} |medicaid |medicare |insurance |subscriber |nhs |hospital )+(?:id|no|number|num|nr)|mrn"
    r"|medicaid|nhs",
    "phone": rf"(?:{_WHO} |contact |home |cell |mobile |primary |{_PICKUP} )?"
    r"(?:phone|tel|telephone|mobile|cell|contact)(?: (?:no|number|num|1))?",
    "patient": rf"(?:{_WHO} )?(?:full )?name|{_WHO}|(?:{_WHO} )?(?:first|given|fore|last|family|sur|middle) ?name",
    "will_call": r"(?:is )?will ?call(?: (?:flag|mark|y n))?|wc",
    "status": r"(?:trip |ride |booking )?status|cancel(?:led|ed|lation)?(?: (?:flag|mark|y n))?",
    "level": r"level(?: of)?(?: (?:service|care))?|los|mobility(?: (?:type|aid|code))?"
    r"|mode(?: of (?:transport|travel))?"
    r"|(?:service|trip|ride|vehicle|transport|space) (?:type|level|mode|code|required)",
    "notes": r"(?:trip |special |driver |pick ?up |dispatch |additional )*(?:notes?|comments?|remarks?|instructions?"
    r"|needs|requirements?)",
    "leg": r"(?:trip )?leg(?: (?:no|number|id|type))?|direction",
    "ref": r"(?:(?:trip|ride|booking|job|order|authori[sz]ation|auth|reservation|confirmation|request|transport) )*"
    r"(?:id|no|number|num|nr|ref|reference|code)|trip|booking|reservation|confirmation",
})  # fmt: skip
"""What a column is called, capitals and marks left out; the first that fits counts."""

_PATTERNS = {name: re.compile(pattern) for name, pattern in _NAMES.items()}
_GIVEN = re.compile(r"first|given|fore|middle")


def score(cells: tuple[str, ...]) -> int:
    """How much a row looks like a header: how many different fields its names mean."""
    return len({name for cell in cells if (name := _meaning(cell))})


def guess(sheet: Sheet, today: date) -> tuple[Layout, bool]:
    """What the columns seem to mean, and whether the order of day and month can be read in two ways."""
    columns: dict[str, tuple[str, ...]] = {}
    doubled: str | None = None
    for column in sheet.header:
        bare = re.sub(r" \(\d+\)$", "", column)
        name = _meaning(bare)
        if name is None and _is_place(bare):  # `Address, City, Zip` twice: first where from, then where to
            name = "dropoff_address" if bare != column else "pickup_address"
            doubled = column
        if name in ("pickup_address", "return_time") and _mostly_times(sheet, column):
            name = "pickup_time" if name == "pickup_address" else name
        if name is None or (name in columns and name not in JOINED):
            continue
        columns[name] = (*columns.get(name, ()), column)
    if doubled and "dropoff_address" not in columns:
        columns.pop("pickup_address", None)
    if "patient" in columns:
        columns["patient"] = of_person(columns["patient"])

    def samples(*names: str) -> list[str]:
        return [text for name in names for column in columns.get(name, ()) for text in sheet.column(column)]

    stamps = samples("pickup_time", "appointment_time")
    days = [clocks.divided(text)[0] or text for text in samples("date")]
    days += [said for text in stamps if (said := clocks.divided(text)[0])]
    order, open_ = clocks.guess_order(days, samples("born_on"), today)
    return Layout(columns, order, clocks.guess_hours(stamps)), open_


def unknown_levels(sheet: Sheet, layout: Layout) -> list[str]:
    """The broker's words for levels of service that mean nothing yet, each once."""
    words = [word for column in layout.columns.get("level", ()) if column in sheet.header
             for word in sheet.column(column)]  # fmt: skip
    return list(dict.fromkeys(word for word in words if level_of(word, layout) is None))


def _meaning(column: str) -> str | None:
    words = " ".join(re.sub(r"[^a-z0-9]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower()).split())
    return next((name for name, pattern in _PATTERNS.items() if pattern.fullmatch(words)), None) if words else None


def _is_place(column: str) -> bool:
    return bool(re.fullmatch(rf"{_PLACE}(?: {_PLACE})*", " ".join(re.sub(r"[^a-z0-9]+", " ", column.lower()).split())))


def _mostly_times(sheet: Sheet, column: str) -> bool:
    found = sheet.column(column)[:50]
    times = sum(bool(re.search(r"\d[:.]\d\d|^\d{4}$", text)) for text in found)
    return bool(found) and times * 2 >= len(found)


def of_person(columns: tuple[str, ...], *, all_of_them: bool = False) -> tuple[str, ...]:
    """One column with the whole name, else first name before last name. `all_of_them`: a person has chosen them."""
    parts = [column for column in columns if re.search(r"first|given|fore|last|family|sur|middle", column.lower())]
    whole = [column for column in columns if column not in parts]
    if all_of_them:
        parts, whole = list(columns), []
    return tuple(whole[:1]) if whole else tuple(sorted(parts, key=lambda one: not _GIVEN.search(one.lower())))
