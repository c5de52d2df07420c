"""`depotbox doctor`: what is wrong with the box, and what to do about it."""

from __future__ import annotations

import click
import msgspec

from appliance import clock, health
from appliance.cli.options import json_option, with_settings
from appliance.config import Settings
from appliance.queues import Queues
from appliance.supervisor import checkup

_COLOURS = {"urgent": "red", "warning": "yellow", "note": "cyan"}


@click.command()
@json_option
@with_settings
def doctor(settings: Settings, as_json: bool) -> int:
    """Show what is wrong, why, what follows from it and what to do next. Exit code 1: something needs a person."""
    redis = Queues(settings.paths.redis_socket).lengths() is not None
    found = health.issues(checkup.collect(settings, redis=redis, now=clock.now()))
    if as_json:
        click.echo(msgspec.json.encode({"issues": found}).decode())
    for issue in [] if as_json else found:
        click.secho(f"{issue.severity}: {issue.title}", fg=_COLOURS[issue.severity], bold=True)
        for label, text in (("cause", issue.cause), ("effect", issue.effect), ("next", issue.next)):
            click.echo(f"  {label + ':':<8}{text}")
    if not found and not as_json:
        click.echo("all well")
    return 1 if any(issue.severity != "note" for issue in found) else 0
