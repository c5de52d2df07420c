"""`depotbox driver`: who drives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from appliance import clock, driver_desk, log
from appliance.cli.depot import opened, operator
from appliance.cli.details import DAY, given
from appliance.cli.options import json_option, with_settings
from appliance.cli.tables import print_list
from appliance.config import Settings
from appliance.driver_desk import DriverDetails
from appliance.storage import people
from appliance.storage.db import write_tx

_SHOWN = ("code", "name", "phone", "email", "user", "licence_no", "licence_expires_on", "documents_expire_on",
          "disabled_at")  # fmt: skip


@click.group()
def driver() -> None:
    """Add, list and change drivers."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


def _details(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--name", help="What people call them."),
        click.option("--phone", help="Who is to be called when the vehicle is silent."),
        click.option("--email", help="Where the driver is told of trips."),
        click.option("--user", help="E-mail address of the driver's user of the pages; empty: none."),
        click.option("--licence", "licence_no", help="Number of the driving licence."),
        click.option("--licence-expires", "licence_expires_on", type=DAY, help="Its last day, like 2027-03-31."),
        click.option("--documents-expire", "documents_expire_on", type=DAY, help="Last day of the other documents."),
    ):
        command = option(command)
    return command


def _as_details(options: dict[str, Any]) -> DriverDetails:
    return DriverDetails(**given(options, "licence_expires_on", "documents_expire_on"))


@driver.command()
@click.argument("code")
@_details
@with_settings
def add(settings: Settings, code: str, **options: Any) -> None:
    """Add a driver with the short code CODE, which trips and shifts name."""
    with opened(settings) as db, write_tx(db) as tx:
        driver_desk.add(tx, code, _as_details(options), who=operator(), now=clock.now())
    click.echo(f"{code} is added.")


@driver.command("set")
@click.argument("code")
@_details
@with_settings
def set_(settings: Settings, code: str, **options: Any) -> None:
    """Change the driver CODE; what is not given stays as it is."""
    with opened(settings) as db, write_tx(db) as tx:
        driver_desk.change(tx, code, _as_details(options), who=operator(), now=clock.now())
    click.echo(f"{code} is changed.")


@driver.command("list")
@json_option
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List the drivers, those who are disabled too."""
    with opened(settings) as db:
        found = [{name: one[name] for name in _SHOWN} for one in people.drivers(db)]
    print_list(found, as_json=as_json, empty="no drivers; add one: depotbox driver add CODE --name NAME")


@driver.command()
@click.argument("code")
@with_settings
def disable(settings: Settings, code: str) -> None:
    """The driver CODE drives no more; shifts end. Refused while trips are assigned or under way."""
    with opened(settings) as db, write_tx(db) as tx:
        ended = driver_desk.disable(tx, code, who=operator(), now=clock.now())
    click.echo(f"{code} is disabled; shifts that ended: {ended}.")


@driver.command()
@click.argument("code")
@with_settings
def enable(settings: Settings, code: str) -> None:
    """The driver CODE drives again."""
    with opened(settings) as db, write_tx(db) as tx:
        driver_desk.enable(tx, code, who=operator(), now=clock.now())
    click.echo(f"{code} is enabled.")
