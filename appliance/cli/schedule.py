"""`depotbox schedule`: what runs by itself, and when."""

from __future__ import annotations

import json

import click

from appliance.cli.depot import opened
from appliance.cli.options import json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.storage import schedules


@click.group()
def schedule() -> None:
    """List what is scheduled."""


@schedule.command("list")
@json_option
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List what runs by itself, how often, and when it does so next."""
    with opened(settings) as db:
        found = schedules.listed(db)
    if as_json:
        items = [one | {"arguments": json.loads(one["arguments"]), "enabled": bool(one["enabled"])} for one in found]
    else:
        items = [
            {
                "name": one["name"],
                "task": one["task"],
                "when": rhythm(one["every_s"], one["crontab"], one["zone"]),
                "enabled": "yes" if one["enabled"] else "paused",
                "last_run": local(one["last_run_at"], settings.zone),
                "next_run": local(one["next_run_at"], settings.zone),
            }
            for one in found
        ]
    print_list(items, as_json=as_json, empty="nothing is scheduled")


def rhythm(every_s: float | None, crontab: str | None, zone: str) -> str:
    """`every 5 min`, or the crontab with its zone."""
    if every_s is None:
        return f"{crontab} ({zone})"
    for unit_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if every_s >= unit_s and every_s % unit_s == 0:
            return f"every {every_s / unit_s:g} {unit}"
    return f"every {every_s:g} s"
