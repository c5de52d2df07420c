"""Who in a manifest is which patient of the box.

By the number that the payer gave the patient, else by name with date of birth or phone; by the name alone only where
the two records have nothing else to compare. Somebody of the same name who is somebody else becomes a patient of their
own, with what tells the two apart behind the name: two people are never made one.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from sqlite_utils import Database

from appliance.domain.manifest import Person, plain
from appliance.storage import audit, manifests, people
from appliance.storage.db import Row, Tx

_BEHIND = re.compile(r"\s*\([^()]*\)$")
_PHONE_DIGITS = 9
"""How many digits of two phone numbers must be the same: what stands before them depends on who writes."""


class Match(Struct, frozen=True, kw_only=True):
    """`id` is the patient's; of a new one it is below zero until the patient is made. `by` says what they were known
    by, `learned` what the box did not know of the patient yet (columns; `member_id` too), `hint` what to look at."""

    name: str
    how: Literal["known", "new"]
    by: str
    id: int
    learned: dict[str, str] = {}
    hint: str = ""


class Patients:
    """The patients of the box as one payer's file speaks of them, those included that the file itself makes known."""

    def __init__(self, db: Database, payer_id: int) -> None:
        self._by_member = manifests.members(db, payer_id)
        self._numbered = set(self._by_member.values())
        self._by_id: dict[int, Row] = {}
        self._by_name: dict[str, list[Row]] = {}
        self._names: set[str] = set()
        for one in people.patients(db):
            self._know(one)

    def match(self, person: Person) -> Match:
        """Who that is; somebody new is known from then on."""
        number = person.member_id
        if number in self._by_member and (one := self._by_id.get(self._by_member[number])):
            return self._known(one, person, "member id")
        alike = self._by_name.get(_key(person.name), [])
        ranked = sorted((rank, one["id"], by) for one in alike if (found := self._compared(one, person))
                        for rank, by in [found])  # fmt: skip
        best = [each for each in ranked if each[0] == ranked[0][0]]
        if len(best) == 1 or (best and best[0][0] < 2):
            return self._known(self._by_id[best[0][1]], person, best[0][2])
        return self._new(person, "another patient has this name" if alike else "")

    def _compared(self, one: Row, person: Person) -> tuple[int, str] | None:
        """How surely the two are the same (0: most), and by what; None: they are not."""
        if person.member_id and one["id"] in self._numbered:
            return None  # the payer knows that one by another number
        if person.born_on and one["born_on"]:
            return (0, "name and date of birth") if one["born_on"] == person.born_on.isoformat() else None
        if person.phone and one["phone"]:
            return (1, "name and phone") if _same_phone(person.phone, one["phone"]) else None
        return 2, "name"

    def _known(self, one: Row, person: Person, by: str) -> Match:
        said = _columns(person)
        learned = {name: said[name] for name in said if not one[name]}
        hint = ""
        if person.phone and one["phone"] and not _same_phone(person.phone, one["phone"]):
            hint = "the file has another phone number"
        one.update(learned)
        if person.member_id and person.member_id not in self._by_member:
            learned["member_id"] = person.member_id
            self._number(person.member_id, one["id"])
        made = one["id"] > 0
        return Match(name=one["name"], how="known" if made else "new", by=by if made else "", id=one["id"],
                     learned=learned, hint=hint)  # fmt: skip

    def _new(self, person: Person, hint: str) -> Match:
        one: Row = {"id": -1 - len(self._by_id), "name": self._free(person), "phone": "", "born_on": None}
        self._know(one)
        learned = _columns(person)
        one.update(learned)
        if person.member_id:
            learned["member_id"] = person.member_id
            self._number(person.member_id, one["id"])
        return Match(name=one["name"], how="new", by="", id=one["id"], learned=learned, hint=hint)

    def _free(self, person: Person) -> str:
        """The name, with something behind it where somebody else has it: trips know a patient by the name."""
        behind = [str(person.born_on.year)] if person.born_on else []
        behind += [f"member {person.member_id}"] if person.member_id else []
        behind += [f"phone ends {person.phone[-4:]}"] if person.phone else []
        behind += [str(number) for number in range(2, 1000)]
        names = (person.name, *(f"{person.name} ({each})" for each in behind))
        return next(name for name in names if name not in self._names)

    def _know(self, one: Row) -> None:
        self._by_id[one["id"]] = one
        self._by_name.setdefault(_key(one["name"]), []).append(one)
        self._names.add(one["name"])

    def _number(self, member_id: str, id: int) -> None:
        self._by_member[member_id] = id
        self._numbered.add(id)


class Making:
    """Makes the new patients of a plan, each once, and writes down what was learned of the others."""

    def __init__(self, payer_id: int, who: str, now: datetime) -> None:
        self._payer_id, self._who, self._now = payer_id, who, now
        self._made: dict[int, int] = {}

    def settle(self, tx: Tx, match: Match) -> int:
        """The id of the patient, who is there from now on."""
        learned: dict[str, Any] = dict(match.learned)
        member_id = learned.pop("member_id", None)
        id = self._made.get(match.id, match.id)
        if id < 0:
            id = self._made[match.id] = people.add_patient(tx, match.name, self._now, **learned)
            self._audit(tx, id, "patient.added", "")
        elif learned:
            people.change_patient(tx, id, **learned)
        if match.learned and match.id > 0:
            self._audit(tx, id, "patient.changed", ", ".join(sorted(match.learned)))
        if member_id:
            manifests.add_member(tx, self._payer_id, member_id, id)
        return id

    def _audit(self, tx: Tx, id: int, action: str, detail: str) -> None:
        found = people.patient(tx, id)
        assert found is not None
        audit.record(tx, self._who, action, "patient", found["uid"], self._now, f"manifest: {detail}" if detail else "")


def _columns(person: Person) -> dict[str, str]:
    said = {"phone": person.phone[:100], "born_on": person.born_on.isoformat() if person.born_on else ""}
    return {name: text for name, text in said.items() if text}


def _key(name: str) -> str:
    return plain(_BEHIND.sub("", name))


def _same_phone(one: str, other: str) -> bool:
    mine, theirs = ("".join(char for char in text if char.isdigit()) for text in (one, other))
    if min(len(mine), len(theirs)) < _PHONE_DIGITS:
        return mine == theirs
    return mine[-_PHONE_DIGITS:] == theirs[-_PHONE_DIGITS:]
