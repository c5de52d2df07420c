"""The signs of the pages: one family (Lucide), as one hidden SVG of symbols that each page carries.

`icons.json` says which picture stands for which of our names; `make setup` brings just those files.
"""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

NAMES: dict[str, str] = json.loads(Path(__file__).with_name("icons.json").read_text(encoding="utf-8"))
"""Our name -> the family's."""

SOLID = frozenset({"live", "heading"})
"""Filled, so that they can be told from the outlined ones at a glance."""

_SVG = "{http://www.w3.org/2000/svg}"


def sprite(folder: Path) -> Markup:
    """`<svg>` with a `<symbol id="i-NAME">` for each name whose file is in `folder`."""
    symbols = "".join(
        _symbol(name, found) for name, file in NAMES.items() if (found := folder / f"{file}.svg").is_file()
    )
    return Markup(f'<svg hidden aria-hidden="true">{symbols}</svg>')  # noqa: S704 - of files that npm has verified


def _symbol(name: str, file: Path) -> str:
    root = ElementTree.parse(file).getroot()  # noqa: S314 - as above
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
    shapes = "".join(ElementTree.tostring(child, encoding="unicode").strip() for child in root)
    solid = ' class="solid"' if name in SOLID else ""
    return f'<symbol id="i-{name}" viewBox="{root.get("viewBox")}"{solid}>{shapes}</symbol>'
