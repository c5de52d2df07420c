"""How a command prints a list: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

PIPED_WIDTH = 200


def print_list(
    items: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    total: int | None = None,
    empty: str,
    right: Sequence[str] = (),
) -> None:
    """Prints rows that all have the same keys, which are the headings; `right` names the columns of numbers.

    As JSON: `{"items": [...], "total": N}`, like a list of the API. `total` counts what was not listed as well.
    """
    total = len(items) if total is None else total
    if as_json:
        click.echo(json.dumps({"items": items, "total": total}, indent=2, ensure_ascii=False))
    elif not items:
        click.echo(empty)
    else:
        _print_table(items, right)
        if total > len(items):
            click.echo(f"{len(items)} of {total}; --limit shows more")


def local(stored: str | None, zone: ZoneInfo) -> str:
    """A stored time in the depot's zone, to the second."""
    return datetime.fromisoformat(stored).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if stored else ""


def shown(value: Any) -> str:
    """A value as one line of text that cannot steer the terminal: payloads and names come from outside."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else "\ufffd" for char in " ".join(text.split()))


def _print_table(items: Sequence[Mapping[str, Any]], right: Sequence[str]) -> None:
    from rich.console import Console  # here: `--json` does not wait for it
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in items[0]:
        table.add_column(heading.replace("_", " "), justify="right" if heading in right else "left", overflow="fold")
    for item in items:
        table.add_row(*(Text(shown(value)) for value in item.values()))
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
