"""`depotbox schedule`: what runs by itself, and when."""

from __future__ import annotations

import json

import click

from appliance import clock, timetable
from appliance.cli.depot import opened, operator
from appliance.cli.options import Number, json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.sender import Sender
from appliance.storage import schedules
from appliance.storage.db import write_tx


@click.group()
def schedule() -> None:
    """List and change what runs by itself."""


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
                "when": rhythm(one["every_s"], one["crontab"], one["zone"] or settings.depot.timezone),
                "enabled": "yes" if one["enabled"] else "paused",
                "last_run": local(one["last_run_at"], settings.zone),
                "next_run": local(one["next_run_at"], settings.zone),
                "missed": one["missed"],
            }
            for one in found
        ]
    print_list(items, as_json=as_json, empty="nothing is scheduled", right=("missed",))


@schedule.command("set")
@click.argument("name")
@click.option("--task", help="Wire name of the task; needed for a new entry.")
@click.option(
    "--every", "every_s", type=Number(timetable.SHORTEST_S, timetable.LONGEST_S), help="Interval, seconds; 1 to a year."
)
@click.option("--crontab", help="Minute, hour, day of month, month, day of week: '0 2 * * *'.")
@click.option("--zone", help="IANA time zone of the crontab; else the depot's.")
@click.option("--arguments", help="The task's arguments, a JSON object.")
@with_settings
def set_(
    settings: Settings,
    name: str,
    task: str | None,
    every_s: float | None,
    crontab: str | None,
    zone: str | None,
    arguments: str | None,
) -> None:
    """Add an entry, or change the one of that NAME. It takes effect at once."""
    with opened(settings) as db:
        timetable.change(
            db,
            name,
            task=task,
            every_s=every_s,
            crontab=crontab,
            zone=zone,
            arguments=arguments,
            who=operator(),
            now=clock.now(),
        )


@schedule.command()
@click.argument("name")
@with_settings
def pause(settings: Settings, name: str) -> None:
    """Pause the entry NAME until it is resumed."""
    with opened(settings) as db:
        timetable.pause(db, name, operator(), clock.now())


@schedule.command()
@click.argument("name")
@with_settings
def resume(settings: Settings, name: str) -> None:
    """Let the entry NAME go on, planned anew."""
    with opened(settings) as db:
        timetable.resume(db, name, operator(), clock.now())


@schedule.command()
@click.argument("name")
@with_settings
def delete(settings: Settings, name: str) -> None:
    """Delete the entry NAME. The box's own can only be paused."""
    with opened(settings) as db:
        timetable.delete(db, name, operator(), clock.now())


@schedule.command()
@click.argument("name")
@with_settings
def run(settings: Settings, name: str) -> None:
    """Run the entry NAME now, besides its times."""
    with opened(settings) as db:
        with write_tx(db) as tx:
            ask = timetable.run_now(tx, name, operator(), clock.now())
        Sender(settings).send([ask])
    click.echo(ask.id)


def rhythm(every_s: float | None, crontab: str | None, zone: str) -> str:
    """`every 5 min`, or the crontab with its zone."""
    if every_s is None:
        return f"{crontab} ({zone})"
    for unit_s, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if every_s >= unit_s and every_s % unit_s == 0:
            return f"every {every_s / unit_s:g} {unit}"
    return f"every {every_s:g} s"
