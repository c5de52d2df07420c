"""Options that commands share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from appliance import config

Command = Callable[..., Any]


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
