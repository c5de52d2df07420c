"""A broker's manifest against the day as the box has it: first a plan that anybody can look at, then exactly that.

A trip is known by its payer and the payer's number of it. What a file says of a trip is remembered: the next one
changes only what the broker has changed since, so that a trip that the depot moved stays where it is, and the same file
a second time changes nothing. Trips that are under way or have ended are never touched.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlite_utils import Database

from appliance import dispatch, typed
from appliance.dispatch import NewTrip, Outcome
from appliance.domain import manifest, manifest_csv, manifest_guess, manifest_times, trip
from appliance.domain.manifest import Layout, Leg, Manifest
from appliance.domain.manifest_csv import BadRow, Sheet, Unreadable
from appliance.domain.trip import CancelledBy, Event, LevelOfService, State
from appliance.errors import InputError, NotFound, Refused
from appliance.events import Event as LiveEvent
from appliance.jobs import Ask
from appliance.manifest_patients import Making, Match, Patients
from appliance.storage import audit, manifests, payers, times, trips, vehicles
from appliance.storage.db import Row, Tx, write_tx
from appliance.typed import FIRST_YEAR

What = Literal["added", "changed", "cancelled", "kept", "unchanged"]
OPEN = (State.will_call, State.scheduled, State.assigned)
"""The states in which a manifest may change a trip."""
COMPARED = ("pickup_at", "appointment_at", "pickup_address", "dropoff_address", "level", "notes", "will_call")


class Change(Struct, frozen=True, kw_only=True):
    """A field of a trip and what becomes of it; times are stored text."""

    field: str
    old: str | None
    new: str | None


class Entry(Struct, frozen=True, kw_only=True):
    """What becomes of one trip. `kept` is a trip that the file wants otherwise and that cannot be changed; `said` is
    why. `line` is where the file names it; nowhere: it is missing from the file. `version` is the trip's own."""

    what: What
    ref: str
    pickup_at: str
    pickup_address: str
    dropoff_address: str
    level: str
    line: int | None = None
    appointment_at: str | None = None
    will_call: bool = False
    notes: str = ""
    outbound: str | None = None
    trip_id: int | None = None
    version: int | None = None
    state: str | None = None
    patient_name: str | None = None
    patient: Match | None = None
    changes: list[Change] = []
    said: str = ""
    hints: list[str] = []
    remembered: str | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """What an import would do. `digest` stands for all of it: whoever saw it asks for exactly that."""

    payer_id: int
    payer: str
    days: list[date]
    entries: list[Entry]
    bad: list[BadRow]
    hint: str
    digest: str

    @property
    def counts(self) -> dict[str, int]:
        """How many trips of each kind, and how many bad rows."""
        found = Counter(entry.what for entry in self.entries)
        kinds: tuple[What, ...] = ("added", "changed", "cancelled", "kept", "unchanged")
        return {**{what: found[what] for what in kinds}, "bad": len(self.bad)}

    def of(self, what: What) -> list[Entry]:
        return [entry for entry in self.entries if entry.what == what]


class Request(Struct, frozen=True, kw_only=True):
    """What somebody wants to import. `day` counts where the file says none; with `missing_cancelled` the payer's trips
    of the file's days that the file does not name are cancelled."""

    content: bytes
    payer: str
    layout: Layout | None = None
    day: date | None = None
    missing_cancelled: bool = False
    file_name: str = ""


class Done(Struct, frozen=True):
    """What was done; send `jobs` and publish `events` after the commit."""

    plan: Plan
    jobs: list[Ask]
    events: list[LiveEvent]


class Outdated(Struct, frozen=True):
    """Nothing was done: it is not any more what somebody saw. `plan` is what it would be now."""

    plan: Plan


def payer_named(db: Database, name: str) -> Row:
    """A broker or a facility. Raises NotFound."""
    found = payers.by_name(db, name)
    if found is None:
        raise NotFound("no such broker or facility", subject=f"payer {name!r}")
    return found


def sheet_of(content: bytes) -> Sheet:
    """The columns and rows of a file. Raises InputError."""
    try:
        return manifest_csv.read(content, manifest_guess.score)
    except Unreadable as error:
        raise InputError(error.what, subject="file", hint=error.hint) from error


def remembered(db: Database, payer_id: int) -> Layout | None:
    """What the columns of a payer's files mean, as somebody checked it last."""
    found = manifests.layout(db, payer_id)
    return msgspec.json.decode(found, type=Layout) if found else None


def remember(tx: Tx, payer_id: int, layout: Layout, *, who: str, now: datetime) -> None:
    """Keeps a layout for the payer's next file. Raises InputError, naming the field."""
    names = tuple(column for columns in layout.columns.values() for column in columns)
    unknown = next((name for name in layout.columns if name not in manifest.FIELDS), None)
    if unknown:
        raise InputError(f"expected one of {', '.join(manifest.FIELDS)}", subject=f"columns {unknown!r}")
    _must_fit(layout, names)
    text = msgspec.json.encode(layout, order="deterministic").decode()
    if text != manifests.layout(tx, payer_id):
        found = payers.get(tx, payer_id)
        assert found is not None
        manifests.set_layout(tx, payer_id, text, who, now)
        audit.record(tx, who, "manifest.layout", "payer", found["uid"], now)


def layout_for(db: Database, payer_id: int, sheet: Sheet, today: date) -> tuple[Layout, bool, bool]:
    """What this file's columns mean: as it is remembered, with guesses for what the file does not have; whether that
    was remembered, and whether a day might be read in two ways."""
    known = remembered(db, payer_id)
    guessed, open_ = manifest_guess.guess(sheet, today)
    if known is None:
        return guessed, False, open_
    columns = {name: tuple(column for column in wanted if column in sheet.header)
               for name, wanted in known.columns.items()}  # fmt: skip
    columns = {name: found for name, found in columns.items() if found}
    if set(columns) != set(known.columns):
        for name in manifest.REQUIRED:
            if name not in columns and name in guessed.columns:
                columns[name] = guessed.columns[name]
    return dataclasses.replace(known, columns=columns), True, False


def plan(db: Database, wanted: Request, *, zone: ZoneInfo, now: datetime) -> Plan:
    """What the import would do now; nothing is changed. Raises InputError where the file or the layout cannot be used,
    and NotFound."""
    if wanted.day:
        typed.of_this_age("day", wanted.day)
    payer = payer_named(db, wanted.payer)
    sheet = sheet_of(wanted.content)
    today = now.astimezone(zone).date()
    layout = wanted.layout or layout_for(db, payer["id"], sheet, today)[0]
    _must_fit(layout, sheet.header)
    if not (layout.columns.get("date") or wanted.day) and not _says_days(sheet, layout):
        raise InputError("the file does not say the day; expected it", subject="day")
    asked = manifest.read(sheet, layout, zone=zone, day=wanted.day)
    return _Planning(db, payer, asked, wanted, zone, now).plan()


def apply(db: Database, wanted: Request, digest: str, *, zone: ZoneInfo, now: datetime, who: str) -> Done | Outdated:
    """Imports what the plan with this digest said, all of it in one transaction, or nothing where the day, a patient or
    the file is not as it was. Raises like `plan`."""
    with write_tx(db) as tx:
        found = plan(tx, wanted, zone=zone, now=now)
        if found.digest != digest:
            return Outdated(found)
        return _Doing(tx, found, now, who).done(wanted)


def _must_fit(layout: Layout, header: tuple[str, ...]) -> None:
    for field, said in manifest.problems(layout, header).items():
        raise InputError(said, subject=f"{field}")


def _says_days(sheet: Sheet, layout: Layout) -> bool:
    """Whether the pickup times say their days themselves."""
    found = [text for column in layout.columns["pickup_time"] for text in sheet.column(column)]
    return any(manifest_times.divided(text)[0] or manifest_times.aware(text) for text in found)


class _Planning:
    """One look at the database with one file."""

    def __init__(
        self, db: Database, payer: Row, asked: Manifest, wanted: Request, zone: ZoneInfo, now: datetime
    ) -> None:
        self._db, self._payer, self._asked, self._wanted, self._zone, self._now = db, payer, asked, wanted, zone, now
        found = manifests.trips_with(db, payer["id"], asked.named)
        self._trips: dict[str, Row] = {row["ref"]: row for row in found}
        self._patients = Patients(db, payer["id"])

    def plan(self) -> Plan:
        bad = list(self._asked.bad)
        entries: list[Entry] = []
        for leg in self._asked.legs:
            if not FIRST_YEAR <= leg.pickup_at.year <= self._now.year + 2:
                year = self._now.year + 2
                bad.append(BadRow(leg.line, "pickup", str(leg.day), f"a day from {FIRST_YEAR} to {year}"))
            elif found := self._trips.get(leg.ref):
                entries.append(self._known(leg, found))
            else:
                entries.append(self._added(leg))
        entries += [self._cancelled(ref, line) for ref, line in self._asked.cancelled.items() if self._worth(ref)]
        missing, hint = self._missing()
        entries += missing
        bad.sort(key=lambda row: row.line)
        content = hashlib.sha256(self._wanted.content).hexdigest()
        made = (self._payer["id"], content, [_binding(entry) for entry in entries], bad)
        digest = hashlib.sha256(msgspec.json.encode(made, order="deterministic")).hexdigest()
        return Plan(payer_id=self._payer["id"], payer=self._payer["name"], days=self._asked.days, entries=entries,
                    bad=bad, hint=hint, digest=digest)  # fmt: skip

    def _worth(self, ref: str) -> bool:
        """A way back that never was is no news when its row is cancelled."""
        return ref in self._trips or not ref.endswith(manifest.RETURN)

    def _added(self, leg: Leg) -> Entry:
        match = self._patients.match(leg.patient) if leg.patient else None
        hints = [*leg.hints, *([match.hint] if match and match.hint else [])]
        return Entry(
            what="added",
            ref=leg.ref,
            line=leg.line,
            **_texts(leg),
            outbound=leg.outbound,
            patient=match,
            patient_name=match.name if match else None,
            hints=hints,
            remembered=_said(leg),
        )

    def _known(self, leg: Leg, found: Row) -> Entry:
        state = State(found["state"])
        said: dict[str, Any] = msgspec.json.decode(found["said"]) if found["said"] else {}
        reinstated = state is State.cancelled and bool(said.get("cancelled"))
        match = self._match(leg, said) if state in OPEN or reinstated else None
        changes = [*_changes(leg, found, said), *_patient_change(match, found)]
        hints = [*leg.hints, *([match.hint] if match and match.hint else [])]
        if reinstated:
            changes.insert(0, Change(field="state", old=State.cancelled.value, new=State.scheduled.value))
            hints += ["it waited for a call; now it has a time, which is guessed"] if leg.will_call else []
        what: What = "changed" if changes else "unchanged"
        reason = ""
        if changes and state not in OPEN and not reinstated:
            what, reason = "kept", f"the trip is {trip.STATE_WORDS[state]}"
        elif leg.will_call and state is not State.will_call and said and not said.get("will_call"):
            hints.append("the file calls it a will-call now; the trip keeps its time")
        if what == "changed" and (off := _unfitted(leg, found)):
            hints.append(off)
        return Entry(
            what=what,
            ref=leg.ref,
            line=leg.line,
            **_texts(leg),
            trip_id=found["id"],
            version=found["version"],
            state=state.value,
            patient=match,
            patient_name=match.name if match else found["patient"],
            changes=changes,
            said=reason,
            hints=hints,
            remembered=_said(leg) if what != "kept" and _said(leg) != found["said"] else None,
        )

    def _match(self, leg: Leg, said: Mapping[str, Any]) -> Match | None:
        """None where the file says the same person as last time, or nobody."""
        if leg.patient is None or (said and said.get("patient") == _person(leg)):
            return None
        return self._patients.match(leg.patient)

    def _cancelled(self, ref: str, line: int) -> Entry:
        found = self._trips.get(ref)
        if found is None:
            said = "cancelled before it was known here"
            return Entry(what="unchanged", ref=ref, line=line, said=said, pickup_at="", pickup_address="",
                         dropoff_address="", level="")  # fmt: skip
        return self._ended(found, "marked as cancelled in the file", line)

    def _ended(self, found: Row, why: str, line: int | None) -> Entry:
        state = State(found["state"])
        what: What = "cancelled" if state in OPEN else "unchanged" if state is State.cancelled else "kept"
        reason = why if what == "cancelled" else f"{why}; the trip is {trip.STATE_WORDS[state]}"
        return Entry(
            what=what,
            ref=found["ref"],
            line=line,
            pickup_at=found["pickup_at"],
            appointment_at=found["appointment_at"],
            pickup_address=found["pickup_address"],
            dropoff_address=found["dropoff_address"],
            level=found["level"],
            will_call=state is State.will_call,
            trip_id=found["id"],
            version=found["version"],
            state=state.value,
            patient_name=found["patient"],
            said=reason,
        )

    def _missing(self) -> tuple[list[Entry], str]:
        """The trips of the file's days that it does not name, where that was asked for."""
        if not self._wanted.missing_cancelled:
            return [], ""
        if unnamed := self._asked.unnamed:
            rows = "1 row" if unnamed == 1 else f"{unnamed} rows"
            return [], f"No trip is cancelled as missing: the trip number of {rows} cannot be read."
        entries: list[Entry] = []
        for day in self._asked.days:
            begin, end = (datetime.combine(day + timedelta(days=each), time(), self._zone) for each in (0, 1))
            for found in manifests.trips_between(self._db, self._payer["id"], begin, end):
                if found["ref"] not in self._asked.named and found["state"] in OPEN:
                    entries.append(self._ended(found, "not in the file any more", None))
        return entries, ""


def _binding(entry: Entry) -> Entry | tuple[str, ...]:
    """What must still be so when the import is done: who takes a trip that the import leaves alone, need not."""
    if entry.what == "kept":
        return (entry.what, entry.ref, entry.said, *(f"{change.field}={change.new}" for change in entry.changes))
    return entry if entry.what != "unchanged" else (entry.what, entry.ref, entry.remembered or "")


def _texts(leg: Leg) -> dict[str, Any]:
    """A leg's own values as they are stored."""
    return {
        "pickup_at": times.text(leg.pickup_at),
        "appointment_at": times.text(leg.appointment_at) if leg.appointment_at else None,
        "pickup_address": leg.pickup_address,
        "dropoff_address": leg.dropoff_address,
        "level": leg.level,
        "notes": leg.notes,
        "will_call": leg.will_call,
    }


def _person(leg: Leg) -> list[str] | None:
    who = leg.patient
    return [who.name, who.member_id, who.phone, who.born_on.isoformat() if who.born_on else ""] if who else None


def _said(leg: Leg) -> str:
    """What a file says of a trip, as it is remembered."""
    return msgspec.json.encode({**_texts(leg), "patient": _person(leg)}, order="deterministic").decode()


def _changes(leg: Leg, found: Row, said: Mapping[str, Any]) -> list[Change]:
    """What the broker changed since the last file, and is not so already."""
    waits = found["state"] == State.will_call
    present = {**found, "will_call": waits}
    changes = []
    for name, new in _texts(leg).items():
        if new == present[name] or (said and new == said.get(name)):
            continue
        if leg.will_call and not waits and name in ("pickup_at", "will_call"):
            continue  # the patient has called, or the depot knows the time: the file only guesses
        changes.append(Change(field=name, old=_shown(present[name]), new=_shown(new)))
    return changes


def _patient_change(match: Match | None, found: Row) -> Iterator[Change]:
    if match and match.id != found["patient_id"]:
        yield Change(field="patient", old=found["patient"], new=match.name)


def _shown(value: Any) -> str | None:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _unfitted(leg: Leg, found: Row) -> str:
    """What becomes of the assignment where the vehicle cannot take the new level."""
    levels = [LevelOfService(level) for level in (found["vehicle_levels"] or "").split()]
    if found["vehicle"] is None or trip.carries(levels, LevelOfService(leg.level)):
        return ""
    return f"comes off {found['vehicle']}, which is not fitted for {leg.level}"


class _Doing:
    """One plan while it is carried out."""

    def __init__(self, tx: Tx, found: Plan, now: datetime, who: str) -> None:
        self._tx, self._plan, self._now, self._who = tx, found, now, who
        self._making = Making(found.payer_id, who, now)
        self._jobs: list[Ask] = []
        self._events: list[LiveEvent] = []
        self._ids: dict[str, int] = {}

    def done(self, wanted: Request) -> Done:
        for entry in self._plan.entries:
            patient_id = self._making.settle(self._tx, entry.patient) if entry.patient else None
            if entry.what == "added":
                self._add(entry)
            elif entry.what == "changed":
                self._change(entry, patient_id)
            elif entry.what == "cancelled":
                self._cancel(entry)
            if entry.remembered and (id := self._ids.get(entry.ref) or entry.trip_id):
                manifests.say(self._tx, id, entry.remembered)
        counts = self._plan.counts
        uid = manifests.record(
            self._tx,
            self._now,
            payer_id=self._plan.payer_id,
            who=self._who,
            file_name="".join(char for char in wanted.file_name if char.isprintable())[:100],
            digest=hashlib.sha256(wanted.content).hexdigest(),
            days=" ".join(day.isoformat() for day in self._plan.days),
            **counts,
        )
        detail = ", ".join(f"{count} {what}" for what, count in counts.items())
        audit.record(self._tx, self._who, "manifest.imported", "manifest", uid, self._now, detail)
        return Done(self._plan, self._jobs, self._events)

    def _add(self, entry: Entry) -> None:
        outbound = None
        if entry.outbound:
            known = trips.of_payer(self._tx, self._plan.payer_id, entry.outbound)
            outbound = self._ids.get(entry.outbound) or (known["id"] if known else None)
        new = NewTrip(
            ref=entry.ref,
            payer=self._plan.payer,
            patient=entry.patient.name if entry.patient else None,
            pickup_at=times.parse(entry.pickup_at),
            appointment_at=times.parse_or_none(entry.appointment_at),
            pickup_address=entry.pickup_address,
            dropoff_address=entry.dropoff_address,
            level=entry.level,
            will_call=entry.will_call,
            outbound_trip_id=outbound,
            notes=entry.notes,
        )
        created = dispatch.create_trip(self._tx, new, now=self._now, who=self._who)
        self._ids[entry.ref] = created.id
        self._jobs += created.jobs
        self._events += created.events

    def _change(self, entry: Entry, patient_id: int | None) -> None:
        assert entry.trip_id is not None
        found = trips.get(self._tx, entry.trip_id)
        assert found is not None
        changed = {change.field for change in entry.changes}
        columns: dict[str, Any] = {
            name: getattr(entry, name) for name in COMPARED if name in changed and name != "will_call"
        }
        if "patient" in changed:
            columns["patient_id"] = patient_id
        if "state" in changed:
            self._event(entry, Event.reopen)
        if any(hint.startswith("comes off ") for hint in entry.hints) and found["state"] == State.assigned:
            self._event(entry, Event.unassign)
        if "will_call" in changed and not entry.will_call:
            self._event(entry, Event.ready, times.parse(entry.pickup_at))
        if columns:
            trips.change(self._tx, entry.trip_id, self._now, **columns)
        detail = f"manifest: {', '.join(sorted(changed))}"
        audit.record(self._tx, self._who, "trip.changed", "trip", found["uid"], self._now, detail)
        after = trips.get(self._tx, entry.trip_id)
        assert after is not None
        self._events.append(LiveEvent("trip", str(entry.trip_id), {"id": entry.trip_id, "state": after["state"]}))
        if code := vehicles.code_of(self._tx, after["vehicle_id"]):
            self._events.append(LiveEvent("assignment", code, {}))

    def _cancel(self, entry: Entry) -> None:
        outcome = self._event(entry, Event.cancel, note=entry.said)
        assert outcome.state == State.cancelled
        assert entry.trip_id is not None
        found = manifests.trips_with(self._tx, self._plan.payer_id, [entry.ref])[0]
        said = msgspec.json.decode(found["said"]) if found["said"] else {}
        manifests.say(self._tx, entry.trip_id, msgspec.json.encode({**said, "cancelled": True}).decode())

    def _event(self, entry: Entry, event: Event, at: datetime | None = None, note: str = "manifest") -> Outcome:
        assert entry.trip_id is not None
        outcome = dispatch.apply(
            self._tx,
            entry.trip_id,
            event,
            at=at or self._now,
            now=self._now,
            source="import",
            who=self._who,
            cancelled_by=CancelledBy.broker if event is Event.cancel else None,
            note=note,
            check_time=False,
        )
        if not outcome.accepted:
            raise Refused(outcome.reason or "it cannot be changed", subject=f"trip {entry.ref}")
        self._jobs += outcome.jobs
        self._events += outcome.events
        return outcome
