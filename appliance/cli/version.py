"""`depotbox version`."""

from __future__ import annotations

import json

import click

from appliance import __version__
from appliance.cli.options import json_option


@click.command()
@click.option("--all", "with_parts", is_flag=True, help="With every part, its version and its licence.")
@json_option
def version(as_json: bool, with_parts: bool) -> None:
    """Show the version, with --all those of all parts."""
    known = parts() if with_parts else []
    if as_json:
        click.echo(json.dumps({"version": __version__} | ({"parts": known} if with_parts else {})))
        return
    click.echo(f"depotbox {__version__}")
    name, number = (max((len(part[key]) for part in known), default=0) for key in ("name", "version"))
    for part in known:
        click.echo(f"{part['kind']:8} {part['name']:{name}}  {part['version']:{number}}  {part['licence']}")


def parts() -> list[dict[str, str]]:
    import msgspec  # here: the version alone is said at once

    from appliance.parts import known

    return [msgspec.to_builtins(part) for part in known()]
