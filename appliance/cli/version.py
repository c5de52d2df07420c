"""`depotbox version`."""

from __future__ import annotations

import json

import click
import msgspec

from appliance import __version__
from appliance.cli.options import json_option


@click.command()
@click.option("--all", "with_parts", is_flag=True, help="With every part, its version and its licence.")
@json_option
def version(as_json: bool, with_parts: bool) -> None:
    """Show the version, with --all those of all parts."""
    from appliance import parts  # here: the version alone is said at once

    known = parts.known() if with_parts else []
    if as_json:
        told = {"version": __version__} | ({"parts": msgspec.to_builtins(known)} if with_parts else {})
        click.echo(json.dumps(told))
        return
    click.echo(f"depotbox {__version__}")
    name, number = (max((len(getattr(part, key)) for part in known), default=0) for key in ("name", "version"))
    for part in known:
        click.echo(f"{part.kind:8} {part.name:{name}}  {part.version:{number}}  {part.licence}")
