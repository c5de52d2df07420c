"""`depotbox version`."""

from __future__ import annotations

import json

import click

from appliance import __version__
from appliance.cli.options import json_option


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Show the version."""
    click.echo(json.dumps({"version": __version__}) if as_json else f"depotbox {__version__}")
