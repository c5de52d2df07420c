"""`depotbox shift`: who drives which vehicle, and when."""

from __future__ import annotations

from datetime import datetime

import click

from appliance import clock, log, shift_desk
from appliance.cli.depot import opened, operator
from appliance.cli.options import ID, LocalTime, json_option, with_settings
from appliance.cli.tables import local, print_list
from appliance.config import Settings
from appliance.storage import shifts
from appliance.storage.db import write_tx

MINUTES = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]


@click.group()
def shift() -> None:
    """Add, list and end shifts: an outage of a vehicle on a shift is told to the dispatchers."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@shift.command()
@click.argument("vehicle")
@click.argument("driver")
@click.option("--start", type=LocalTime(MINUTES), help="When it begins, in the depot's zone. Default: now.")
@click.option("--end", type=LocalTime(MINUTES), required=True, help="When it ends, in the depot's zone.")
@with_settings
def add(settings: Settings, vehicle: str, driver: str, start: datetime | None, end: datetime) -> None:
    """Add a shift of DRIVER on VEHICLE (their codes), and print its number."""
    now = clock.now()
    starts_at = start.replace(tzinfo=settings.zone) if start else None
    ends_at = end.replace(tzinfo=settings.zone)
    with opened(settings) as db, write_tx(db) as tx:
        id = shift_desk.add(tx, vehicle, driver, starts_at, ends_at, who=operator(), now=now)
    click.echo(id)


@shift.command("list")
@click.option("--all", "with_past", is_flag=True, help="Those that are over, too.")
@json_option
@with_settings
def list_(settings: Settings, with_past: bool, as_json: bool) -> None:
    """List the shifts that are not over, by their start."""
    with opened(settings) as db:
        found = shifts.listed(db, None if with_past else clock.now())
    if not as_json:
        for row in found:
            row |= {name: local(row[name], settings.zone) for name in ("starts_at", "ends_at")}
    empty = "no shifts; add one: depotbox shift add VEHICLE DRIVER --end 2026-01-26T18:00"
    print_list(found, as_json=as_json, empty=empty, right=("id",))


@shift.command()
@click.argument("id", type=ID)
@with_settings
def end(settings: Settings, id: int) -> None:
    """End the shift ID now; one that has not begun is taken back."""
    with opened(settings) as db, write_tx(db) as tx:
        shift_desk.end(tx, id, who=operator(), now=clock.now())
    click.echo(f"Shift {id} is over.")
