"""`depotbox vehicle`: vehicles and the devices in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
from msgspec import UNSET

from appliance import ca as authority
from appliance import clock, fleet, log, vehicle_desk
from appliance.cli import device_card
from appliance.cli.depot import opened, operator
from appliance.cli.details import DAY, given
from appliance.cli.options import json_option, with_settings
from appliance.cli.tables import print_list
from appliance.config import Settings
from appliance.device_setup import Model
from appliance.domain.trip import LevelOfService
from appliance.errors import InputError, Unavailable
from appliance.events import Publisher
from appliance.storage import devices, vehicles
from appliance.storage.db import Row, write_tx
from appliance.storage.gps import Store
from appliance.vehicle_desk import VehicleDetails


@click.group()
def vehicle() -> None:
    """Add, list and change vehicles and their devices."""
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
@click.option("--source", is_flag=True, help="With --another-device: make it the source of the vehicle's position.")
@click.option("--certificate", is_flag=True, help="It logs in with a certificate instead of a password.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False, exists=True, writable=True),
    default=".",
    help="With --certificate: folder for the certificate and its key. Default: this one.",
)
@click.option("--for", "model", type=click.Choice([one.value for one in Model]), help="Print this model's settings.")
@click.option("--qr", "qr_file", type=device_card.IMAGE, help="Write the QR code into a new .svg or .png file.")
@json_option
@with_settings
def add(
    settings: Settings,
    code: str,
    name: str,
    plate: str,
    levels: tuple[str, ...],
    another_device: bool,
    source: bool,
    certificate: bool,
    into: Path,
    model: str | None,
    qr_file: Path | None,
    as_json: bool,
) -> int:
    """Add a vehicle with its first device, and print what the device is set up with. It is shown only now.

    Exit code 69: the device is there, but the broker knows it only from its next start on.
    """
    if another_device and (name or plate or levels):
        raise click.UsageError("--another-device takes no --name, --plate or --level: the vehicle has them already")
    if source and not another_device:
        raise click.UsageError("--source goes with --another-device: the first device is the source anyway")
    if certificate and model == Model.owntracks:
        raise click.UsageError("OwnTracks is set up with a password: leave --certificate out")
    with opened(settings) as db:
        now, who = clock.now(), operator()
        if another_device:
            made = fleet.add_device(db, settings, code, source=source, certificate=certificate, now=now, who=who)
        else:
            fitted = [LevelOfService(level) for level in dict.fromkeys(levels)] or [LevelOfService.ambulatory]
            made = fleet.add_vehicle(
                db, settings, code, name=name, plate=plate, levels=fitted, certificate=certificate, now=now, who=who
            )
    device_card.show(made, into=into, model=Model(model) if model else None, qr_file=qr_file, as_json=as_json)
    device_card.warn_of_host(settings, made)
    if made.warning:
        click.echo(f"depotbox: {made.warning}", err=True)
    return Unavailable.exit_code if made.warning else 0


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
            {key: one[key] for key in ("code", "name", "plate", "documents_expire_on", "disabled_at")}
            | {"levels": one["levels"].split(), "devices": list(map(_device, of_vehicle.get(one["id"], [])))}
            for one in vehicles.every(db)
        ]
    if not as_json:
        for item in found:
            item["levels"] = ", ".join(item["levels"])
            item["devices"] = ", ".join(map(_marked, item["devices"]))
    print_list(found, as_json=as_json, empty="no vehicles; add one: depotbox vehicle add CODE")


@vehicle.command("set")
@click.argument("code")
@click.option("--name", help="What people call it.")
@click.option("--plate", help="Number plate.")
@click.option("--levels", help="The levels of service that it is fitted for, like ambulatory,wheelchair.")
@click.option("--documents-expire", "documents_expire_on", type=DAY, help="Last day of insurance and inspection.")
@with_settings
def set_(settings: Settings, code: str, levels: str | None, **options: Any) -> None:
    """Change the vehicle CODE; what is not given stays as it is."""
    fitted = [_level(word) for word in re.findall(r"[^\s,]+", levels)] if levels is not None else UNSET
    details = VehicleDetails(levels=fitted, **given(options, "documents_expire_on"))
    with opened(settings) as db, write_tx(db) as tx:
        event = vehicle_desk.change(tx, code, details, now=clock.now(), who=operator())
    Publisher(settings.paths.redis_socket).publish(event)
    click.echo(f"{code} is changed.")


@vehicle.command()
@click.argument("code")
@with_settings
def disable(settings: Settings, code: str) -> None:
    """Take the vehicle CODE out of service: its devices are shut out at once, and nothing can be assigned to it.
    Refused while it has trips."""
    with opened(settings) as db:
        event = vehicle_desk.disable(db, settings, code, now=clock.now(), who=operator())
    Publisher(settings.paths.redis_socket).publish(event)
    click.echo(f"{code} is disabled.")


@vehicle.command()
@click.argument("code")
@with_settings
def enable(settings: Settings, code: str) -> None:
    """Take the vehicle CODE into service again, with its devices."""
    with opened(settings) as db:
        event = vehicle_desk.enable(db, settings, code, now=clock.now(), who=operator())
    Publisher(settings.paths.redis_socket).publish(event)
    click.echo(f"{code} is enabled.")


@vehicle.command()
@click.argument("username")
@with_settings
def source(settings: Settings, username: str) -> None:
    """Make the device USERNAME the source of its vehicle's position, in the place of the one before."""
    with opened(settings) as db:
        found = fleet.make_source(db, username, now=clock.now(), who=operator())
    click.echo(f"The position of {found['code']} now comes from {username}.")
    if not Store(settings.paths.gps_dir).newest({found["vehicle_id"]: found["id"]}, None):
        click.echo(f"The box has had no fix from {username} these days: until one comes, nothing moves.", err=True)


@vehicle.command()
@json_option
@with_settings
def ca(settings: Settings, as_json: bool) -> None:
    """Print the certificate by which devices know the box, and its fingerprint on standard error."""
    fingerprint = authority.own(settings.paths).fingerprint
    text = authority.public(settings.paths)
    if as_json:
        found = {"certificate": text, "sha256": fingerprint, "file": str(settings.paths.ca_certificate)}
        click.echo(json.dumps(found))
    else:
        click.echo(text, nl=False)
        click.echo(f"SHA-256 fingerprint: {fingerprint}", err=True)


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


def _level(word: str) -> LevelOfService:
    if word not in list(LevelOfService):
        raise InputError(f"expected some of {', '.join(LevelOfService)}", subject=f"--levels {word!r}")
    return LevelOfService(word)


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
