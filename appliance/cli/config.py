"""`depotbox config`: the effective configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from appliance import config as configuration
from appliance.cli.options import json_option, with_settings
from appliance.config import Settings, literal

HIDDEN = "********"  # what `configuration.effective` shows of a secret that is set


@click.group()
def config() -> None:
    """Show or check the configuration."""


@config.command()
@json_option
@with_settings
def show(settings: Settings, as_json: bool) -> None:
    """Print every key with its effective value, as TOML that can be read again; secrets stay hidden."""
    if as_json:
        tree: dict[str, dict[str, Any]] = {}
        for section, key, value, _ in configuration.effective(settings):
            tree.setdefault(section, {})[key] = value
        click.echo(json.dumps(tree, indent=2))
    else:
        click.echo("\n".join(toml(settings)))


@config.command()
@with_settings
def check(settings: Settings) -> None:
    """Print `ok`, or one line that names file, key, value and what was expected (exit code 78)."""
    click.echo("ok")


def toml(settings: Settings) -> Iterator[str]:
    """The lines of the effective configuration. A secret that is set is a comment: read again, the stars would be the
    password."""
    yield f"# read from {settings.file or 'the defaults'}, the set-up and the environment"
    before = ""
    for section, key, value, description in configuration.effective(settings):
        if section != before:
            yield from ("", f"[{section}]")
            before = section
        hidden = "# " if value == HIDDEN else ""
        source = settings.source(section, key)
        told = description + (f"; set in {source}" if source else "")
        yield f"{hidden}{key} = {literal(value)}  # {told}"
