"""`depotbox fixes`: how many positions are stored, and which were rejected."""

from __future__ import annotations

import json

import click

from appliance.cli.depot import opened
from appliance.cli.options import json_option, with_settings
from appliance.cli.tables import local, print_list, shown
from appliance.config import Settings
from appliance.storage.gps import Store

SHOWN_CHARS = 80


@click.group()
def fixes() -> None:
    """Count fixes and look at rejected ones."""


@fixes.command()
@json_option
@with_settings
def count(settings: Settings, as_json: bool) -> None:
    """Print how many fixes are stored, over all days that are kept."""
    with opened(settings):  # says so where there is no depot
        total = Store(settings.paths.gps_dir).count()
    click.echo(json.dumps({"count": total}) if as_json else total)


@fixes.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@json_option
@with_settings
def rejected(settings: Settings, limit: int, as_json: bool) -> None:
    """List the newest rejected fixes: what was wrong, what was allowed, and how the payload began."""
    with opened(settings):
        found, total = Store(settings.paths.gps_dir).rejected(limit)
    items = [
        {
            "received_at": one["received_at"] if as_json else local(one["received_at"], settings.zone),
            "vehicle": one["vehicle"],
            "reason": one["reason"],
            "value": one["value"],
            "bound": one["bound"],
            "payload": shortened(one["payload"]),
        }
        for one in found
    ]
    print_list(items, as_json=as_json, total=total, empty="no rejected fixes")


def shortened(payload: bytes) -> str:
    """How a payload begins, as text."""
    text = shown(payload[: 4 * SHOWN_CHARS].decode(errors="replace"))
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
