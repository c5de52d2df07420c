"""`depotbox vehicle`: vehicles and the devices in them."""

from __future__ import annotations

import click
import msgspec

from appliance import clock, fleet, log
from appliance.cli.depot import opened, operator
from appliance.cli.options import json_option, with_settings
from appliance.cli.tables import print_list
from appliance.config import Settings
from appliance.domain.trip import LevelOfService
from appliance.errors import Unavailable
from appliance.storage import devices, vehicles
from appliance.storage.db import Row


@click.group()
def vehicle() -> None:
    """Add, list and revoke vehicles and their devices."""
    log.configure("cli", "error")  # onto standard error, away from what is printed for programs


@vehicle.command()
@click.argument("code")
@click.option("--name", default="", help="What people call it; the code when left out.")
@click.option("--plate", default="", help="Number plate.")
@click.option(
    "--level",
    "levels",
    multiple=True,
    type=click.Choice([level.value for level in LevelOfService]),
    help="A level of service that it is fitted for; may be given more than once. Default: ambulatory.",
)
@click.option("--another-device", is_flag=True, help="Add one more device to a vehicle that is there already.")
@json_option
@with_settings
def add(
    settings: Settings, code: str, name: str, plate: str, levels: tuple[str, ...], another_device: bool, as_json: bool
) -> int:
    """Add a vehicle with its first device, and print what the device is set up with. The password is shown only now.

    Exit code 69: the device is there, but the broker knows it only from its next start on.
    """
    if another_device and (name or plate or levels):
        raise click.UsageError("--another-device takes no --name, --plate or --level: the vehicle has them already")
    with opened(settings) as db:
        now, who = clock.now(), operator()
        if another_device:
            credentials = fleet.add_device(db, settings, code, now=now, who=who)
        else:
            fitted = [LevelOfService(level) for level in dict.fromkeys(levels)] or [LevelOfService.ambulatory]
            credentials = fleet.add_vehicle(db, settings, code, name=name, plate=plate, levels=fitted, now=now, who=who)
    if as_json:
        click.echo(msgspec.json.encode(credentials).decode())
    else:
        for key in ("host", "port", "topic", "client_id", "username", "password"):
            click.echo(f"{key.replace('_', ' '):<10} {getattr(credentials, key)}")
        click.echo("\nThe password is not shown again.")
    if credentials.warning:
        click.echo(f"depotbox: {credentials.warning}", err=True)
    return Unavailable.exit_code if credentials.warning else 0


@vehicle.command("list")
@json_option
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List the vehicles with their devices; the one marked * is the source of the vehicle's position."""
    with opened(settings) as db:
        of_vehicle: dict[int, list[Row]] = {}
        for device in devices.listed(db):
            of_vehicle.setdefault(device["vehicle_id"], []).append(device)
        found = [
            {key: one[key] for key in ("code", "name", "plate")}
            | {"levels": one["levels"].split(), "devices": list(map(_device, of_vehicle.get(one["id"], [])))}
            for one in vehicles.every(db)
        ]
    if not as_json:
        for item in found:
            item["levels"] = ", ".join(item["levels"])
            item["devices"] = ", ".join(map(_marked, item["devices"]))
    print_list(found, as_json=as_json, empty="no vehicles; add one: depotbox vehicle add CODE")


@vehicle.command()
@click.argument("username")
@with_settings
def revoke(settings: Settings, username: str) -> None:
    """Revoke the device USERNAME for good: it is disconnected and cannot log in any more."""
    with opened(settings) as db:
        found = fleet.revoke_device(db, settings, username, now=clock.now(), who=operator())
        source = devices.position_source(db, found["vehicle_id"])
    click.echo(f"{username} is revoked.")
    if found["position_source"]:
        code = found["code"]
        after = (
            f"The position of {code} now comes from {source['username']}."
            if source
            else (f"{code} has no device any more: depotbox vehicle add {code} --another-device")
        )
        click.echo(after)


def _device(device: Row) -> Row:
    in_use = device["revoked_at"] is None
    return {
        "username": device["username"],
        "position_source": in_use and bool(device["position_source"]),
        "revoked_at": device["revoked_at"],
    }


def _marked(device: Row) -> str:
    mark = " (revoked)" if device["revoked_at"] else "*" if device["position_source"] else ""
    return f"{device['username']}{mark}"
