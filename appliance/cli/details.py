"""Options with which details of people and things are given: what is left out stays as it is."""

from __future__ import annotations

from datetime import date
from typing import Any

import click


class _Day(click.ParamType[date | str]):
    """A day, or nothing at all, which takes it away."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date | str:
        if value == "" or isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value}: expected a day like 2027-03-31", param, ctx)


DAY = _Day()


def given(options: dict[str, Any], *days: str) -> dict[str, Any]:
    """The options that were given. Of `days`, an empty one becomes None; `\\n` ends a line of an address."""
    found = {name: value for name, value in options.items() if value is not None}
    if "address" in found:
        found["address"] = found["address"].replace("\\n", "\n")
    return {name: None if name in days and value == "" else value for name, value in found.items()}
