"""What this program is made of: every part with its version and licence.

The frozen program carries its bill of materials (CycloneDX, `packaging/parts.py` writes it). A checkout knows of the
Python packages that it was installed with; its servers are the machine's, and browser libraries stand in
`package-lock.json`.
"""

from __future__ import annotations

import json
import platform
import re
import sqlite3
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from msgspec import Struct

from appliance.paths import PROJECT_ROOT

BILL = PROJECT_ROOT / "depotbox.cdx.json"
PROJECT = "depotbox"
PYTHON_LICENCE = "PSF-2.0"
_NEED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Part(Struct, frozen=True, kw_only=True):
    """`kind` is where it came from: `pypi`, `deb`, `npm`, or `generic` for Python itself."""

    name: str
    version: str
    kind: str
    licence: str


def known() -> list[Part]:
    """All parts by kind and name."""
    found = _of_bill(json.loads(BILL.read_text(encoding="utf-8"))) if BILL.is_file() else _of_checkout()
    return sorted(found, key=lambda part: (part.kind, part.name))


def _of_bill(bill: dict[str, Any]) -> Iterator[Part]:
    for component in bill["components"]:
        licences = [each.get("expression") or "".join(each["license"].values()) for each in component["licenses"]]
        yield Part(
            name=component["name"],
            version=component["version"],
            kind=component["purl"].removeprefix("pkg:").partition("/")[0],
            licence=", ".join(sorted(licences)),
        )


def _of_checkout() -> Iterator[Part]:
    yield Part(name="python", version=platform.python_version(), kind="generic", licence=PYTHON_LICENCE)
    yield Part(name="sqlite", version=sqlite3.sqlite_version, kind="generic", licence="blessing")
    for one in needed_by(PROJECT):
        yield Part(name=canonical(one.name), version=one.version, kind="pypi", licence=licence_of(one))


def needed_by(project: str) -> list[Distribution]:
    """The installed packages that the project needs, and those that they need, without extras."""
    found: dict[str, Distribution] = {}
    open_ends = [project]
    while open_ends:
        name = canonical(open_ends.pop())
        try:
            one = distribution(name)
        except PackageNotFoundError:  # for another system, or another Python
            continue
        if name not in found:
            found[name] = one
            needs = [line for line in one.requires or [] if "extra ==" not in line]
            open_ends += [match.group() for line in needs if (match := _NEED.match(line))]
    found.pop(project, None)
    return list(found.values())


def canonical(name: str) -> str:
    """The name of a Python package as PyPI normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(one: Distribution) -> str:
    """What the package says of its licence: an SPDX expression where it has one, else its own words."""

    def said(field: str) -> list[str]:
        return [str(value) for value in one.metadata.get_all(field) or [] if value]

    if said("License-Expression"):
        return said("License-Expression")[0]
    if said("License"):  # some put the whole text there
        return said("License")[0].strip().partition("\n")[0]
    named = [line.rpartition(" :: ")[2] for line in said("Classifier") if line.startswith("License ::")]
    return " OR ".join(named) or "not stated"
