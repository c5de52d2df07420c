"""Forms: which field a refusal is about, and what was typed, so that nobody types it twice.

A form of a page posts with htmx to an address of its own. The answer is the page as it is afterwards: with one line
that says what was done, or with the form open again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.errors import DepotError, Outdated

_FIELD = re.compile(r"[a-z_]+")


@dataclass(frozen=True, slots=True)
class Form:
    """What a page knows of the form that was sent to it: its name, what was typed, and what is wrong with it.

    `problems` maps a field to its sentence; the key "" is what concerns the form as a whole.
    """

    name: str = ""
    typed: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    outdated: bool = False
    """Somebody else was faster: beside a field stands what is stored now, where that is something else."""

    def value(self, form: str, name: str, otherwise: Any = "") -> Any:
        """What stands in a field: what was typed into this form, else what is stored."""
        given = self.typed.get(name) if form == self.name and self.problems else None
        return ("" if otherwise is None else otherwise) if given is None else given

    def now(self, form: str, name: str, stored: Any) -> str | None:
        """What is stored, where the form is outdated and says something else; empty text included."""
        text = "" if stored is None else str(stored)
        typed = str(self.typed.get(name, text))
        return text if self.outdated and self.is_open(form) and typed.split() != text.split() else None

    def problem(self, form: str, name: str = "") -> str:
        """The sentence beside a field, or above the form; empty where nothing is wrong."""
        return self.problems.get(name, "") if form == self.name else ""

    def is_open(self, form: str) -> bool:
        return form == self.name and bool(self.problems)


def refused(form: str, typed: Mapping[str, Any], error: DepotError) -> Form:
    """The form after a refusal: beside the field that the error's subject begins with, else above the form."""
    found = _FIELD.match(error.subject or "")
    name = found.group() if found and found.group() in typed else ""
    said = error.what if name else ": ".join(part for part in (error.subject, error.what) if part)
    said = f"{said}; {error.hint}" if error.hint else said
    return Form(form, typed, {name: said[:1].upper() + said[1:] + "."}, isinstance(error, Outdated))
