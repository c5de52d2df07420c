"""Options that commands share, and the types of their numbers and times: nothing that is out of this world passes."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from appliance import config

Command = Callable[..., Any]

YEARS = range(2000, 2101)
"""Of a time that is given: no zone and no span leads from there out of the calendar."""


class Number(click.FloatRange):
    """A number between two bounds. (To click alone, what is not a number lies between any.)"""

    def __init__(self, least: float, most: float) -> None:
        super().__init__(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


class Instant(click.ParamType[datetime]):
    """A time with its zone, as the API takes it."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None or at.year not in YEARS:
            expected = f"expected a time with a zone, such as 2026-01-26T15:57:02Z, in {YEARS[0]} to {YEARS[-1]}"
            self.fail(f"{value!r}: {expected}", param, ctx)
        return at


class LocalTime(click.DateTime):
    """A time, or a day, whose zone the command knows."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        at: datetime = super().convert(value, param, ctx)
        if at.year not in YEARS:
            self.fail(f"{value!r}: expected a time in {YEARS[0]} to {YEARS[-1]}", param, ctx)
        return at


ID = click.IntRange(1, 2**63 - 1)
"""The number of a row, as the database can hold it."""

LIMIT = click.IntRange(1, 10_000)
"""How many rows a list has at most."""


def with_settings(command: Command) -> Command:
    """Adds `--config` and `--data-dir`, and passes the settings as the first argument.

    What was chosen is also put into the environment, so that every process that the command starts reads the same.
    """

    @click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file.")
    @click.option("--data-dir", type=click.Path(path_type=Path), help="Data folder, in place of the configured one.")
    @functools.wraps(command)
    def wrapper(*args: Any, config_file: Path | None, data_dir: Path | None, **kwargs: Any) -> Any:
        if data_dir is not None:
            os.environ["DEPOTBOX_STORAGE__DATA_DIR"] = str(data_dir.resolve())
        settings = config.load(config_file)
        if settings.file:
            os.environ["DEPOTBOX_CONFIG"] = settings.file
        os.environ["DEPOTBOX_STORAGE__DATA_DIR"] = settings.storage.data_dir
        return command(settings, *args, **kwargs)

    return wrapper


def json_option(command: Command) -> Command:
    """Adds `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)
